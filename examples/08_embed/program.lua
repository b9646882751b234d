--- A program that was there before the node: it owns the loop, the signals, a
-- timer and a TCP server, and a node lives among them. Callbacks all the way;
-- neither raft.run nor a coroutine.
--
--   lua5.4 program.lua n1
--
-- It echoes lines, each with its number: how many lines all programs of the
-- cluster have echoed so far. While it has no node, a line's number is "-".
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local cluster = require "cluster"
local raft = require "raft"
local uv = require "luv"

local BACKLOG <const> = 128
local REPORT_MS <const> = 1000
local STOP_MS <const> = 3000

local id = arg[1]
if not cluster[id] then
  io.stderr:write("usage: lua5.4 program.lua ID (one of cluster.lua)\n")
  os.exit(2)
end

local node = false     -- while there is one
local clients = {}     -- socket -> true
local handles = {}     -- all others that are ours
local is_over = false  -- have we been told to end?

local function say(...)
  print(id .. ": " .. string.format(...))
end

local function close(handle)
  if not handle:is_closing() then handle:close() end
end

-------------------------------------------------------------------- the node --

local members = {}
for name, addresses in pairs(cluster) do members[name] = addresses.raft end

-- A node, with a state of its own: a new one each time.
local function new_node()
  local count = 0
  return raft.node {
    id = id, dir = "data/" .. id, cluster = "embed", members = members,
    apply = function()
      count = count + 1
      return count
    end,
    snapshot = function() return tostring(count) end,
    restore = function(bytes) count = math.tointeger(tonumber(bytes)) end,
    on = {
      leader = function(leader)
        say("leader %s", leader or "none")
      end,
      failed = function(err)  -- the program goes on without it
        say("the node failed: %s", tostring(err))
        node = false
      end,
    },
  }
end

local function switch_on()
  local new = new_node()
  local ok, err = new:start()
  if not ok then return say("no node: %s", tostring(err)) end
  node = new
  say("node on")
end

-- Hands leadership over, flushes, closes; then calls done().
local function switch_off(done)
  if not node then return done() end
  local old = node
  node = false
  old:stop({ timeout = STOP_MS }, function()
    say("node off")
    done()
  end)
end

----------------------------------------------------------------- the program --

local function drop(socket)
  clients[socket] = nil
  close(socket)
end

local function echo(socket, line)
  local function answer(number)
    if not socket:is_closing() then
      socket:write(("%s %s\n"):format(number, line))
    end
  end
  if not node then return answer("-") end
  node:propose("line", function(err, number)
    answer(err and "?" or number)  -- counted, perhaps, but nobody can say
  end)
end

local function serve(socket)
  local rest = ""
  clients[socket] = true
  socket:read_start(function(_, chunk)
    if not chunk then return drop(socket) end
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      echo(socket, line)
      return ""
    end)
  end)
end

local function listen(address)
  local host, port = address:match("^(.*):(%d+)$")
  local listener = uv.new_tcp()
  assert(listener:bind(host, tonumber(port)))
  assert(listener:listen(BACKLOG, function(err)
    local socket = uv.new_tcp()
    if err or not listener:accept(socket) then return close(socket) end
    serve(socket)
  end))
  return listener
end

local function report()
  if not node then return say("no node just now") end
  local status = node:status()
  say("%s term=%d applied=%d", status.role, status.term, status.applied)
end

-- Closes all that is ours; the loop ends by itself once nothing is left on it.
local function quit()
  if is_over then return end
  is_over = true
  for _, handle in ipairs(handles) do close(handle) end
  for socket in pairs(clients) do close(socket) end
  switch_off(function() say("goodbye") end)
end

local function on_signal(name, fn)
  local handle = uv.new_signal()
  assert(handle:start(name, fn))
  return handle
end

local function every(ms, fn)
  local timer = uv.new_timer()
  assert(timer:start(ms, ms, fn))
  return timer
end

-- A new node in the same directory; the program goes on meanwhile.
local function renew()
  switch_off(function()
    if not is_over and not node then switch_on() end
  end)
end

io.stdout:setvbuf("line")
switch_on()
handles = {
  listen(cluster[id].echo),
  on_signal("sigint", quit),
  on_signal("sigterm", quit),
  on_signal("sighup", renew),
  every(REPORT_MS, report),
}
say("echoes on %s", cluster[id].echo)
uv.run()

local left = 0
uv.walk(function() left = left + 1 end)
say("%d handles left", left)
os.exit(left == 0)
