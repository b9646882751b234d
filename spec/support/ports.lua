--- Ports for specs: free ones, which stay free for those they were meant for.
--
-- The kernel hands a port out again as soon as nobody has it: to a proxy, to
-- another run of the specs, or while a node is down that is to come back. So a
-- socket of ours stays bound to it, and does not listen. Linux lets a node
-- listen beside that; where it is not so, the port is only not used twice.
local helper = require "spec.support.helper"
local uv = require "luv"

local M = {}

local HELD_MAX <const> = 256  -- sockets; older ones are of tests long over
local TRIES <const> = 100

local handed_out = {}  -- port -> true
local held = {}        -- sockets, the newest last

local function bound(port)
  local tcp = assert(uv.new_tcp())
  assert(tcp:bind("127.0.0.1", port))
  return tcp
end

-- Can others listen there while we are bound?
local function leaves_room(port)
  local tcp = bound(port)
  local ok = tcp:listen(1, function() end)
  tcp:close()
  return ok ~= nil
end

local function hold(tcp, port)
  if not leaves_room(port) then return tcp:close() end
  helper.keep(tcp)
  held[#held + 1] = tcp
  if #held > HELD_MAX then table.remove(held, 1):close() end
end

--- An address of 127.0.0.1 on which nobody listens; each time another one.
function M.free_address()
  for _ = 1, TRIES do
    local tcp = bound(0)
    local port = assert(tcp:getsockname()).port
    if not handed_out[port] then
      handed_out[port] = true
      hold(tcp, port)
      return ("127.0.0.1:%d"):format(port)
    end
    tcp:close()
  end
  error("the kernel offers the same ports again and again")
end

return M
