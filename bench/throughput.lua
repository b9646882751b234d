--- Durable proposals per second, and their latency: three processes on
-- loopback, load inside the leader.
local cluster = require "bench.cluster"
local tables = require "bench.tables"

local BYTES <const> = 128
local ROUNDS <const> = 5
local ELECTION <const> = { 500, 1000 }
local LOADS <const> = {  -- outstanding, how many in a round
  { 1, 2000 }, { 16, 20000 }, { 64, 50000 }, { 256, 100000 },
  { 1024, 200000 },
}

local function measure(leader, outstanding, count)
  local line = leader:ask(("load %d %d %d"):format(count, outstanding, BYTES))
  local seconds, p50, p99 = line:match("load (%S+) (%S+) (%S+)")
  return { ops = count / tonumber(seconds), p50 = tonumber(p50),
    p99 = tonumber(p99) }
end

local function row_of(outstanding, results)
  table.sort(results, function(a, b) return a.ops < b.ops end)
  local median = results[(#results + 1) // 2]
  return { outstanding, ("%.0f"):format(median.ops),
    ("%.0f-%.0f"):format(results[1].ops, results[#results].ops),
    ("%.2f"):format(median.p50), ("%.2f"):format(median.p99) }
end

return function()
  local run = cluster.new(3, ELECTION)
  local leader = run:leader()
  measure(leader, 64, 20000)  -- warm
  local rows = {}
  for _, load in ipairs(LOADS) do
    local results = {}
    for i = 1, ROUNDS do results[i] = measure(leader, load[1], load[2]) end
    rows[#rows + 1] = row_of(load[1], results)
  end
  run:close()
  tables.print(("durable proposals of %d bytes, 3 processes, load in the "
    .. "leader; medians of %d"):format(BYTES, ROUNDS),
    { "outstanding", "ops/s", "from-to", "p50 ms", "p99 ms" }, rows)
end
