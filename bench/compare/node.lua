--- One node of ours, with the load inside it (bench/compare/load.lua).
--
--   lua5.4 bench/compare/node.lua <id> <directory> <members> [leases]
--
-- Kinds of load: propose, linearizable, lease, stale. "role leader" is said
-- when it begins to lead. Everything is as by default; the state are the newest
-- commands.
package.path = "./?.lua;" .. package.path
local load = require "bench.compare.load"
local raft = require "raft"

local KEYS <const> = 10000

local members = {}
for name, address in arg[3]:gmatch("([^=,]+)=([^,]+)") do
  members[name] = address
end

local state, applied = {}, 0
local node = raft.node {
  id = arg[1], dir = arg[2], members = members, log = "error",
  leases = arg[4] == "leases",
  -- Nearly nothing, as with the peers: what is measured is not the snapshot.
  snapshot = function() return tostring(applied) end,
  restore = function(bytes) applied = math.tointeger(bytes) end,
  apply = function(command)
    applied = applied + 1
    state[applied % KEYS] = command
    return applied
  end,
  query = function() return state[1] or "" end,
}

local function start(kind, bytes)
  if kind == "propose" then
    local command, opts = ("x"):rep(bytes), { timeout = false }
    return function(done) node:propose(command, opts, done) end
  end
  local opts = { timeout = false, consistency = kind }
  return function(done) node:read(opts, done) end
end

node:on("role", function(role) load.say("role", role) end)
raft.run(function()
  assert(node:start())
  load.serve(start, function() node:close() end)
end)
