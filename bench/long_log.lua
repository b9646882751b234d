--- A log much larger than memory: how long a node takes to replay it, and how
-- long a follower that needs all of it. RAFT_LOG_MIB=n: its size (4096), on two
-- nodes, and later on the third. No snapshots.
local cluster = require "bench.cluster"
local load = require "bench.load"
local tables = require "bench.tables"
local uv = require "luv"

local ELECTION <const> = { 1000, 2000 }
local COMMAND_BYTES <const> = 4096
local OUTSTANDING <const> = 256
local KEYS <const> = 1000  -- of the state: that is not to be measured
local LOOK_MS <const> = 200
local NS_PER_S <const> = 1e9

local function applied(child)
  return tonumber(child:ask("status"):match("%d+$"))
end

-- Seconds until this one has applied so much.
local function wait_applied(child, count)
  local began = uv.hrtime()
  while applied(child) < count do cluster.pause(LOOK_MS) end
  return (uv.hrtime() - began) / NS_PER_S
end

local function row_of(name, mib, seconds, peaks)
  return { name, ("%.1f"):format(seconds),
    ("%.1f"):format(seconds * 1024 / mib), ("%.0f"):format(mib / seconds),
    table.unpack(peaks) }
end

return function()
  local mib = math.tointeger(os.getenv "RAFT_LOG_MIB") or 4096
  cluster.environment = load.environment(0)
  table.insert(cluster.environment, "RAFT_KEYS=" .. KEYS)
  local run = cluster.new(3, ELECTION)
  local leader = run:leader()
  local others = run:others(leader)
  local again, away = others[1], others[2]
  leader:ask("write", "wrote")
  away:kill("sigkill")
  local machine, rows = load.machine(), {}
  local count = (mib << 20) // COMMAND_BYTES
  local line = leader:ask(("load %d %d %d"):format(count, OUTSTANDING,
    COMMAND_BYTES))
  rows[1] = row_of("written, by two", mib, tonumber(line:match("load (%S+)")),
    { load.peak_mib(leader), load.peak_mib(again) })
  wait_applied(again, count)
  again:kill("sigkill")
  again = run:start(again.id)
  local ms = tonumber(again:await("started"):match("started (%S+)"))
  wait_applied(again, count)
  rows[2] = row_of("replayed at start", mib, ms / 1000, { "",
    load.peak_mib(again) })
  -- A leader whose peak is that of serving, not of writing.
  leader:kill("sigkill")
  run:start(leader.id):await("started")
  leader = run:leader()
  away = run:start(away.id)
  away:await("started")
  rows[3] = row_of("sent to who lacks it", mib, wait_applied(away, count),
    { load.peak_mib(leader), load.peak_mib(away) })
  run:close()
  tables.print(("a log of %d MiB, in commands of %d bytes; %s"):format(mib,
    COMMAND_BYTES, machine), { "", "s", "s per GiB", "MiB/s",
    "leader's peak MiB", "follower's peak MiB" }, rows)
end
