--- One node alone, for what is measured of a start and of memory.
--
--   lua5.4 bench/compare/starting.lua <directory> <address>
--
-- It says "started <ms to a core that is ready> <ms to apply again> <ms in all>
-- <entries>". Orders come in on stdin, answers go out on stdout:
--
--   fill <count> <bytes> <outstanding>  -> filled <newest entry>
--   memory  -> memory <resident bytes> <bytes of the log> <newest entry>
--
-- The state are the newest commands; there are no snapshots.
package.path = "./?.lua;" .. package.path
local raft = require "raft"
local uv = require "luv"

local KEYS <const> = 10000
local NS_PER_MS <const> = 1000000

local times
local state, applied = {}, 0  -- luacheck: ignore 241 (written, not read)
local node = raft.node {
  id = "n1", dir = arg[1], members = { n1 = arg[2] },
  election_timeout = { 50, 100 },
  log = function(level, text, fields)
    if text == "started" then times = fields end
    if level == "error" then io.stderr:write(text, "\n") end
  end,
  apply = function(command)
    applied = applied + 1
    state[applied % KEYS] = command
    return applied
  end,
}

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local orders = {}

function orders.fill(count, bytes, outstanding)
  local command, sent, answered = ("x"):rep(bytes), 0, 0
  local function propose()
    sent = sent + 1
    node:propose(command, { timeout = false }, function(err)
      assert(not err, err and tostring(err))
      answered = answered + 1
      if sent < count then propose() end
      if answered == count then say("filled", node:status().last) end
    end)
  end
  for _ = 1, math.min(count, outstanding) do propose() end
end

function orders.memory()
  collectgarbage()
  collectgarbage()
  local status = node:status()
  say("memory", math.tointeger(uv.resident_set_memory() // 1),
    status.memory_bytes, status.last)
end

local function read_orders()
  local stdin, rest = uv.new_pipe(false), ""
  assert(stdin:open(0))
  stdin:read_start(function(_, chunk)
    if not chunk then return node:close() end  -- the parent is gone
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      local order, a, b, c = line:match("^(%a+) ?(%d*) ?(%d*) ?(%d*)$")
      orders[order](math.tointeger(a), math.tointeger(b), math.tointeger(c))
      return ""
    end)
  end)
end

raft.run(function()
  local began = uv.hrtime()
  assert(node:start())
  local ms = (uv.hrtime() - began) // NS_PER_MS
  say("started", times.recovered_ms, times.applied_ms, math.tointeger(ms),
    times.last)
  read_orders()
end)
