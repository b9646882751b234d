--- A follower that needs a snapshot, under load: how fast it comes over, and
-- what that costs those who write. RAFT_STATE_MIB=n: the size of the state.
local cluster = require "bench.cluster"
local tables = require "bench.tables"
local uv = require "luv"

local ELECTION <const> = { 500, 1000 }
local OUTSTANDING <const> = 16
local WRITES <const> = 4000      -- in a round, 128 bytes each
local ROUNDS <const> = 5         -- before the transfer
local LOG_WRITES <const> = 3000  -- of 8 KiB: more log than is kept
local NS_PER_S <const> = 1e9

local function environment(mib)
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    list[#list + 1] = name .. "=" .. value
  end
  list[#list + 1] = "RAFT_STATE_MIB=" .. mib
  return list
end

local function measure(leader, results)
  local line = leader:ask(("load %d %d 128"):format(WRITES, OUTSTANDING))
  local seconds, p50, p99 = line:match("load (%S+) (%S+) (%S+)")
  results[#results + 1] = { ops = WRITES / tonumber(seconds),
    p50 = tonumber(p50), p99 = tonumber(p99) }
end

local function median(results, field)
  table.sort(results, function(a, b) return a[field] < b[field] end)
  return results[(#results + 1) // 2][field]
end

local function worst(results, field)
  table.sort(results, function(a, b) return a[field] < b[field] end)
  return results[#results][field]
end

local function row_of(name, results)
  return { name, #results, ("%.0f"):format(median(results, "ops")),
    ("%.2f"):format(median(results, "p50")),
    ("%.2f"):format(median(results, "p99")),
    ("%.2f"):format(worst(results, "p99")) }
end

-- The peak of what a process had in memory, in MiB.
local function peak_mib(child)
  local file = io.open(("/proc/%d/status"):format(child.process:get_pid()))
  if not file then return 0 end
  local kib = file:read("a"):match("VmHWM:%s*(%d+)")
  file:close()
  return tonumber(kib) // 1024
end

return function()
  local mib = math.tointeger(os.getenv "RAFT_STATE_MIB") or 1024
  cluster.environment = environment(mib)
  local run = cluster.new(3, ELECTION)
  local leader = run:leader()
  local away = run:others(leader)[1]
  leader:ask("write", "wrote")
  away:kill("sigkill")
  leader:ask(("load %d %d 8192"):format(LOG_WRITES, OUTSTANDING))
  local bytes = tonumber(leader:ask("take", "took"):match("took (%d+)"))
  local before, during = {}, {}
  for _ = 1, ROUNDS do measure(leader, before) end
  local began = uv.hrtime()
  away = run:start(away.id)
  repeat
    measure(leader, during)
  until away.last.loaded
  local seconds = (uv.hrtime() - began) / NS_PER_S
  local peaks = { peak_mib(leader), peak_mib(away) }
  run:close()
  tables.print(("writes of 128 bytes, %d outstanding, load in the leader, two "
    .. "of three nodes up"):format(OUTSTANDING), { "", "rounds", "ops/s",
    "p50 ms", "p99 ms", "worst p99 ms" },
    { row_of("before", before), row_of("while it is shipped", during) })
  tables.print("the snapshot", { "MiB", "s until loaded", "MiB/s",
    "leader's peak MiB", "follower's peak MiB" },
    { { bytes >> 20, ("%.1f"):format(seconds),
      ("%.1f"):format(bytes / seconds / (1 << 20)), peaks[1], peaks[2] } })
end
