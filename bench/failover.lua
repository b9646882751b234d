--- From the SIGKILL of the leader to another leader, and to the next
-- acknowledged write, through either survivor.
--
-- What bounds it is how long nobody misses the leader: the shorter of the two
-- survivors' draws from the election time-out, which began with its last
-- heartbeat. That is a third of the way from its minimum to its maximum, in the
-- mean, less the half of a heartbeat. RAFT_KILLS=n: so many, in place of 50.
local cluster = require "bench.cluster"
local tables = require "bench.tables"
local uv = require "luv"

local KILLS <const> = 50
local SETTINGS <const> = { { 500, 1000 }, { 150, 300 } }
local HEARTBEATS <const> = 5  -- in the minimum, as by default

-- Both survivors write; the first acknowledgement counts. `elected` is called
-- once one of them leads.
local function first_write(survivors, elected)
  local co, is_done = coroutine.running(), false
  for _, child in ipairs(survivors) do
    local function watch()
      child.waiters.role = function(line)
        if line == "role leader" then return elected() end
        watch()
      end
    end
    watch()
    child.waiters.wrote = function()
      if is_done then return end
      is_done = true
      assert(coroutine.resume(co))
    end
    child:send("write")
  end
  coroutine.yield()
  for _, child in ipairs(survivors) do child.waiters.role = nil end
end

-- ms to the first write, and to the leader.
local function kill_once(run)
  local leader = run:leader()
  leader:ask("write", "wrote")
  local began, elected_at = uv.hrtime(), false
  leader.process:kill("sigkill")
  first_write(run:others(leader), function() elected_at = uv.hrtime() end)
  local wrote_at = uv.hrtime()
  leader:kill("sigkill")
  run:start(leader.id):await("started")
  for _, child in ipairs(run:others(leader)) do child:ask("status") end
  cluster.pause(2 * run.election[2])  -- it greets and catches up
  return (wrote_at - began) / 1e6, ((elected_at or wrote_at) - began) / 1e6
end

local function add_columns(row, times)
  table.sort(times)
  for _, share in ipairs { 0.5, 0.99, 1 } do
    row[#row + 1] = ("%.0f"):format(
      times[math.max(1, math.ceil(#times * share))])
  end
end

local function row_of(election, wrote, elected)
  local min, max = election[1], election[2]
  local heartbeat = min // HEARTBEATS
  local row = { ("{%d, %d}"):format(min, max), #wrote,
    ("%.0f"):format(min + (max - min) / 3 - heartbeat / 2) }
  add_columns(row, elected)
  add_columns(row, wrote)
  return row
end

return function()
  local kills = math.tointeger(os.getenv "RAFT_KILLS") or KILLS
  local rows = {}
  for _, election in ipairs(SETTINGS) do
    local run, wrote, elected = cluster.new(3, election), {}, {}
    for i = 1, kills do wrote[i], elected[i] = kill_once(run) end
    run:close()
    rows[#rows + 1] = row_of(election, wrote, elected)
  end
  tables.print("kill -9 of the leader to another leader, and to the next "
    .. "acknowledged write, ms", { "election_timeout", "kills", "expected",
    "elected p50", "p99", "max", "wrote p50", "p99", "max" }, rows)
end
