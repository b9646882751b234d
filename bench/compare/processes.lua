--- What the processes cost, and how they start and fail over: start-up, memory,
-- the processor time of a follower and of a leader that have nothing to do, and
-- the time from the death of a leader to another one, and to the next
-- acknowledged command.
local cluster = require "bench.cluster"
local statistics = require "bench.compare.statistics"
local subjects = require "bench.compare.subjects"
local tables = require "bench.tables"
local uv = require "luv"

local M = {}

local NODES <const> = 3
local IDLE_MS <const>, QUICK_IDLE_MS <const> = 5000, 1000
local IDLE_AIM <const> = 0.3  -- percent of a core, of a follower of ours

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

--- Nanoseconds that all threads of a process had a processor.
function M.processor_ns(pid)
  local sum, scan = 0, assert(uv.fs_scandir(("/proc/%d/task"):format(pid)))
  for name in function() return uv.fs_scandir_next(scan) end do
    local stat = read(("/proc/%d/task/%s/schedstat"):format(pid, name))
    sum = sum + math.tointeger(stat:match("^%d+"))
  end
  return sum
end

--- What a process has in memory, MiB.
function M.resident_mib(pid)
  local kib = read(("/proc/%d/status"):format(pid)):match("VmRSS:%s*(%d+)")
  return tonumber(kib) / 1024
end

-- The shares of a processor, in percent, and the memory of each node. The least
-- of both are a follower's, and the greatest share is that of the leader, who
-- hears of all of them.
local function idle(running, ms)
  local before = {}
  local children = running.cluster.children
  for id, child in pairs(children) do
    before[id] = M.processor_ns(child.process:get_pid())
  end
  local began = uv.hrtime()
  cluster.pause(ms)
  local percent, leader_percent, mib = math.huge, 0, math.huge
  for id, child in pairs(children) do
    local pid = child.process:get_pid()
    local spent = M.processor_ns(pid) - before[id]
    local share = 100 * spent / (uv.hrtime() - began)
    percent = math.min(percent, share)
    leader_percent = math.max(leader_percent, share)
    mib = math.min(mib, M.resident_mib(pid))
  end
  return percent, leader_percent, mib
end

-- One life of a cluster, added to what is known of the subject.
local function live(subject, row, plan)
  local began = uv.hrtime()
  local running = subject.start(NODES, "processes")
  row.start_ms[#row.start_ms + 1] = (uv.hrtime() - began) / 1e6
  if not row.idle_percent then
    row.idle_percent, row.idle_leader_percent, row.resident_mib = idle(
      running, plan.is_quick and QUICK_IDLE_MS or IDLE_MS)
  end
  if running.fail_over and subject.name ~= "ceiling" then
    local ms, elected_ms = running:fail_over()
    row.fail_over_ms[#row.fail_over_ms + 1] = ms
    row.elected_ms[#row.elected_ms + 1] = elected_ms
  end
  subjects.close_all()
end

-- Those with the load inside, and of the others who is not among them.
local function all()
  local list = table.move(subjects.embedded, 1, #subjects.embedded, 1, {})
  for _, subject in ipairs(subjects.client) do
    if subject.name ~= "ours" then list[#list + 1] = subject end
  end
  return list
end

--- One row for each subject that is there.
function M.rows(plan)
  local rows = {}
  for _, subject in ipairs(all()) do
    local is_asked = not plan.subjects or plan.subjects[subject.name]
    if is_asked and subject.where() then
      io.stderr:write(("processes: %s\n"):format(subject.name))
      local row = { name = subject.name, start_ms = {}, fail_over_ms = {},
        elected_ms = {} }
      for _ = 1, plan.rounds do live(subject, row, plan) end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function median_text(values)
  local median = statistics.median(values)
  return median and ("%.0f"):format(median) or "-"
end

--- Prints what `rows` measured.
function M.print(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    lines[i] = { row.name, median_text(row.start_ms),
      ("%.1f"):format(row.resident_mib), ("%.2f"):format(row.idle_percent),
      ("%.2f"):format(row.idle_leader_percent), median_text(row.elected_ms),
      median_text(row.fail_over_ms) }
  end
  lines[#lines + 1] = { "aim of ours", "-", "-", ("< %.2f"):format(IDLE_AIM),
    "-", "-", "-" }
  tables.print("three processes: from start to a leader; with nothing to do, "
    .. "% of a core; kill -9 of the leader to another, to the next command",
    { "", "start ms", "MiB", "follower %", "leader %", "elected ms",
      "fail-over ms" }, lines)
end

return M
