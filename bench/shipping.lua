--- A follower that needs a snapshot, under load: how fast it comes over, and
-- what that costs those who write. RAFT_STATE_MIB=n: the size of the state.
local cluster = require "bench.cluster"
local load = require "bench.load"
local tables = require "bench.tables"
local uv = require "luv"

local ELECTION <const> = { 500, 1000 }
local ROUNDS <const> = 5         -- before the transfer
local LOG_WRITES <const> = 3000  -- of 8 KiB: more log than is kept
local NS_PER_S <const> = 1e9

return function()
  local mib = math.tointeger(os.getenv "RAFT_STATE_MIB") or 1024
  cluster.environment = load.environment(mib)
  local run = cluster.new(3, ELECTION)
  local leader = run:leader()
  local away = run:others(leader)[1]
  leader:ask("write", "wrote")
  away:kill("sigkill")
  leader:ask(("load %d %d 8192"):format(LOG_WRITES, load.OUTSTANDING))
  local bytes = tonumber(leader:ask("take", "took"):match("took (%d+)"))
  local before, during = {}, {}
  for _ = 1, ROUNDS do load.measure(leader, before) end
  local began = uv.hrtime()
  away = run:start(away.id)
  repeat
    load.measure(leader, during)
  until away.last.loaded
  local seconds = (uv.hrtime() - began) / NS_PER_S
  local peaks = { load.peak_mib(leader), load.peak_mib(away) }
  run:close()
  load.print(("writes of %d bytes, %d outstanding, load in the leader, two "
    .. "of three nodes up"):format(load.BYTES, load.OUTSTANDING),
    { { "before", before }, { "while it is shipped", during } })
  tables.print("the snapshot", { "MiB", "s until loaded", "MiB/s",
    "leader's peak MiB", "follower's peak MiB" },
    { { bytes >> 20, ("%.1f"):format(seconds),
      ("%.1f"):format(bytes / seconds / (1 << 20)), peaks[1], peaks[2] } })
end
