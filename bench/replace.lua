--- A large state moved to a new node under load: node:add of an empty node to
-- a cluster of three, until its vote counts. RAFT_STATE_MIB=n: the state.
local cluster = require "bench.cluster"
local load = require "bench.load"
local tables = require "bench.tables"
local uv = require "luv"

local ELECTION <const> = { 500, 1000 }
local ROUNDS <const> = 20        -- before and after
local LOG_WRITES <const> = 3000  -- of 8 KiB: more log than is kept
local NS_PER_S <const> = 1e9

-- The three have a snapshot, and the leader's log begins behind it.
local function prepared(run)
  local leader = run:leader()
  leader:ask("write", "wrote")
  leader:ask(("load %d %d 8192"):format(LOG_WRITES, load.OUTSTANDING))
  return leader, tonumber(leader:ask("take", "took"):match("took (%d+)"))
end

-- Writes go on until the new node counts: seconds until it had loaded the
-- state, and until then.
local function add(run, leader, results)
  local where = run:join("n4")
  local new, loaded_at, added_ms = run.children.n4, false, false
  new:await("started")
  new.waiters.loaded = function() loaded_at = uv.hrtime() end
  leader.waiters.added = function(line)
    added_ms = tonumber(line:match("%S+$"))
  end
  local began = uv.hrtime()
  leader:send("add", "n4", where)
  repeat
    load.measure(leader, results)
  until added_ms
  assert(loaded_at, "it was brought up without a snapshot")
  return new, (loaded_at - began) / NS_PER_S, added_ms / 1000
end

return function()
  local mib = math.tointeger(os.getenv "RAFT_STATE_MIB") or 1024
  cluster.environment = load.environment(mib)
  local run = cluster.new(3, ELECTION)
  local leader, bytes = prepared(run)
  local before, during, after = {}, {}, {}
  local machine = load.machine()
  for _ = 1, ROUNDS do load.measure(leader, before) end
  local new, loaded_s, added_s = add(run, leader, during)
  for _ = 1, ROUNDS do load.measure(leader, after) end
  local peaks = { load.peak_mib(leader), load.peak_mib(new) }
  run:close()
  load.print(("writes of %d bytes, %d outstanding, load in the leader; "
    .. "%s before"):format(load.BYTES, load.OUTSTANDING, machine),
    { { "three nodes", before }, { "one is added", during },
      { "four nodes", after } })
  tables.print("the new node", { "MiB", "s until loaded", "MiB/s",
    "s until it counts", "leader's peak MiB", "its peak MiB" },
    { { bytes >> 20, ("%.1f"):format(loaded_s),
      ("%.1f"):format(bytes / loaded_s / (1 << 20)), ("%.1f"):format(added_s),
      peaks[1], peaks[2] } })
end
