--- One node of ours that is looked into (bench/probes), with as small a load
-- as there can be inside it.
--
--   lua5.4 bench/compare/probed.lua <id> <directory> <members>
--
-- Orders come in on stdin, answers go out on stdout:
--
--   load <outstanding> <entries> <bytes>  -> loaded
--   applied                               -> applied <number>
--   begin <calls or memory>               -> begun
--   finish                                -> counts <what>:<who>=<number> ...
--   sample <microseconds>                 -> sampling
--   sampled <file>                        -> sampled    stacks are in the file
--
-- For `begin`, bench/probes/counts.c must be preloaded.
--
-- Everything is as by default; the state are the newest commands.
package.path = "./?.lua;" .. package.path
package.cpath = "build/bench/?.so;" .. package.cpath
local core = require "raft.core"
local load = require "bench.compare.load"
local raft = require "raft"
local uv = require "luv"

local KEYS <const> = 10000

local members = {}
for name, address in arg[3]:gmatch("([^=,]+)=([^,]+)") do
  members[name] = address
end

local state, applied = {}, 0  -- luacheck: ignore 241 (written, not read)
local node = raft.node {
  id = arg[1], dir = arg[2], members = members, log = "error",
  snapshot = function() return tostring(applied) end,
  restore = function(bytes) applied = math.tointeger(bytes) end,
  apply = function(command)
    applied = applied + 1
    state[applied % KEYS] = command
    return applied
  end,
}

local orders = {}

-- No clock, no closure for a command, nothing of its own: what is counted is
-- the node's.
function orders.load(outstanding, entries, bytes)
  local command, opts = ("x"):rep(bytes), { timeout = false }
  local sent, answered = 0, 0
  local propose
  local function done(err)
    if err then error("the load failed: " .. tostring(err)) end
    answered = answered + 1
    if sent < entries then return propose() end
    if answered == entries then load.say "loaded" end
  end
  function propose()
    sent = sent + 1
    node:propose(command, opts, done)
  end
  for _ = 1, math.min(outstanding, entries) do propose() end
end

function orders.applied()
  load.say("applied", applied)
end

-- Any function of C in the core.
local function function_of_core()
  for _, value in pairs(core) do
    if type(value) == "function" then return value end
  end
  error "raft.core has no function"
end

function orders.begin(what)
  require "counts".begin(what, print, function_of_core(), uv.hrtime)
  load.say "begun"
end

function orders.finish()
  local words = {}
  for what, by_whom in pairs(require "counts".finish()) do
    for who, number in pairs(by_whom) do
      words[#words + 1] = ("%s:%s=%d"):format(what, who, number)
    end
  end
  load.say("counts", table.unpack(words))
end

function orders.sample(interval_us)
  require "sampler".start(interval_us)
  load.say "sampling"
end

function orders.sampled(path)
  local file <close> = assert(io.open(path, "wb"))
  for stack, samples in pairs(require "sampler".stop()) do
    assert(file:write(stack, " ", samples, "\n"))
  end
  load.say "sampled"
end

local function read_orders()
  local stdin, rest = uv.new_pipe(false), ""
  assert(stdin:open(0))
  stdin:read_start(function(_, chunk)
    if not chunk then return node:close() end  -- the parent is gone
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      local words = {}
      for word in line:gmatch("%S+") do
        words[#words + 1] = math.tointeger(word) or word
      end
      orders[words[1]](table.unpack(words, 2))
      return ""
    end)
  end)
end

node:on("role", function(role) load.say("role", role) end)
raft.run(function()
  assert(node:start())
  read_orders()
end)
