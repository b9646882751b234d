--- Rounds of writes, and what they took: for benchmarks that look at what else
-- goes on beside them.
local tables = require "bench.tables"
local uv = require "luv"

local M = {}

M.OUTSTANDING = 16
M.BYTES = 128
local WRITES <const> = 4000  -- in a round

--- Our environment with RAFT_STATE_MIB=mib.
function M.environment(mib)
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    list[#list + 1] = name .. "=" .. value
  end
  list[#list + 1] = "RAFT_STATE_MIB=" .. mib
  return list
end

--- One round inside this process, added to the results.
function M.measure(child, results)
  local line = child:ask(("load %d %d %d"):format(WRITES, M.OUTSTANDING,
    M.BYTES))
  local seconds, p50, p99, most = line:match("load (%S+) (%S+) (%S+) (%S+)")
  results[#results + 1] = { ops = WRITES / tonumber(seconds),
    p50 = tonumber(p50), p99 = tonumber(p99), most = tonumber(most) }
end

local function sorted(results, field)
  table.sort(results, function(a, b) return a[field] < b[field] end)
  return results
end

local function row_of(name, results)
  local middle, last = (#results + 1) // 2, #results
  return { name, last, ("%.0f"):format(sorted(results, "ops")[middle].ops),
    ("%.2f"):format(sorted(results, "p50")[middle].p50),
    ("%.2f"):format(sorted(results, "p99")[middle].p99),
    ("%.2f"):format(sorted(results, "p99")[last].p99),
    ("%.1f"):format(sorted(results, "most")[last].most) }
end

--- @param phases { { name, results }, ... }
function M.print(title, phases)
  local rows = {}
  for i, phase in ipairs(phases) do rows[i] = row_of(phase[1], phase[2]) end
  tables.print(title, { "", "rounds", "ops/s", "p50 ms", "p99 ms",
    "worst p99 ms", "worst ms" }, rows)
end

--- The peak of what a process had in memory, in MiB; 0: nobody knows.
function M.peak_mib(child)
  local file <close> = io.open(("/proc/%d/status"):format(
    child.process:get_pid()))
  local kib = file and file:read("a"):match("VmHWM:%s*(%d+)")
  return (tonumber(kib) or 0) // 1024
end

--- How busy the machine is, in words.
function M.machine()
  local one = uv.loadavg()
  return ("load average %.1f"):format(one)
end

return M
