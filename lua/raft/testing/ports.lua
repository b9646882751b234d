--- Ports for the nodes of a test: the kernel chooses them, and they stay ours.
-- The members must know each other's addresses before the first one starts, and
-- a node that was killed comes back where it was. But the kernel hands a port
-- out again as soon as nobody has it, to another test or to a connection. So a
-- socket that never listens stays bound to each. Linux lets a node listen
-- beside it; where a system does not, the ports are found and let go again.
local M = {}

local HOST <const> = "127.0.0.1"

local function bound(uv, port)
  local tcp = assert(uv.new_tcp())
  assert(uv.tcp_bind(tcp, HOST, port))
  return tcp
end

-- Can others listen there while we are bound?
local function leaves_room(uv, port)
  local tcp = bound(uv, port)
  local ok = uv.listen(tcp, 1, function() end)
  uv.close(tcp)
  return ok ~= nil
end

--- Addresses on which nobody listens, all different.
-- @return an array of n "host:port", and the handles that keep them: to be
--   closed when the nodes are gone. They do not keep a loop alive.
function M.reserve(uv, n)
  local addresses, held = {}, {}
  for i = 1, n do  -- all at once, so that no two are the same
    held[i] = bound(uv, 0)
    local port = assert(uv.tcp_getsockname(held[i])).port
    addresses[i] = ("%s:%d"):format(HOST, port)
  end
  local first = tonumber(addresses[1]:match("(%d+)$"))
  if leaves_room(uv, first) then return addresses, held end
  for _, tcp in ipairs(held) do uv.close(tcp) end
  return addresses, {}
end

return M
