--- From the SIGKILL of the leader to the next acknowledged write, through
-- either survivor.
local cluster = require "bench.cluster"
local tables = require "bench.tables"
local uv = require "luv"

local KILLS <const> = 50
local SETTINGS <const> = { { 500, 1000 }, { 150, 300 } }

-- Both survivors write; the first acknowledgement counts.
local function first_write(survivors)
  local co, is_done = coroutine.running(), false
  for _, child in ipairs(survivors) do
    child.waiters.wrote = function()
      if is_done then return end
      is_done = true
      assert(coroutine.resume(co))
    end
    child:send("write")
  end
  coroutine.yield()
end

local function kill_once(run)
  local leader = run:leader()
  leader:ask("write", "wrote")
  local began = uv.hrtime()
  leader.process:kill("sigkill")
  first_write(run:others(leader))
  local ms = (uv.hrtime() - began) / 1e6
  leader:kill("sigkill")
  run:start(leader.id):await("started")
  for _, child in ipairs(run:others(leader)) do child:ask("status") end
  cluster.pause(2 * run.election[2])  -- it greets and catches up
  return ms
end

local function row_of(election, times)
  table.sort(times)
  local function at(share)
    return times[math.max(1, math.ceil(#times * share))]
  end
  return { ("{%d, %d}"):format(election[1], election[2]), #times,
    ("%.0f"):format(at(0.5)), ("%.0f"):format(at(0.99)),
    ("%.0f"):format(times[#times]) }
end

return function()
  local rows = {}
  for _, election in ipairs(SETTINGS) do
    local run, times = cluster.new(3, election), {}
    for i = 1, KILLS do times[i] = kill_once(run) end
    run:close()
    rows[#rows + 1] = row_of(election, times)
  end
  tables.print("kill -9 of the leader to the next acknowledged write, ms",
    { "election_timeout", "kills", "p50", "p99", "max" }, rows)
end
