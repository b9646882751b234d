--- Ours beside its peers and the ceiling, in one interleaved run: canonical
-- raft and etcd where they are installed (`make bench-deps`), their columns
-- empty where not. See bench/compare/plan.lua for the words it takes.
--
--   make bench [QUICK=1] [ARGS="embedded rounds=3 outstanding=1,64"]
--
-- Tables go to the terminal, data to build/bench/compare.json, plots to
-- docs/bench after a whole run, beside the data after any other.
local core_alone = require "bench.core_alone"
local costs = require "bench.compare.costs"
local json = require "bench.compare.json"
local machines = require "bench.compare.machine"
local planning = require "bench.compare.plan"
local plots = require "bench.compare.plots"
local processes = require "bench.compare.processes"
local recovery = require "bench.compare.recovery"
local report = require "bench.compare.report"
local rounds = require "bench.compare.rounds"
local subjects = require "bench.compare.subjects"
local tables = require "bench.tables"
local uv = require "luv"

local JSON <const> = "build/bench/compare.json"
local INTERRUPTED <const> = 130  -- as a shell has it for SIGINT
local PLOTS <const>, OTHER_PLOTS <const> = "docs/bench", "build/bench"

local function write(path, text)
  assert(os.execute(("mkdir -p '%s'"):format(path:match("^(.*)/") or ".")))
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function tell(group, cell)
  io.stderr:write(("%s: %s, %d nodes, %d bytes, %d outstanding\n"):format(
    group.part.name, cell.name, cell.nodes, cell.bytes, cell.outstanding))
end

-- One table per part, once its last group is measured.
local function print_part(plan, part)
  local rows = {}
  for _, group in ipairs(plan.groups) do
    if group.part == part then
      for _, cell in ipairs(group.cells) do
        rows[#rows + 1] = report.row(part, cell)
      end
    end
  end
  tables.print(("%s; medians of %d rounds of %d ms"):format(part.title,
    plan.rounds, plan.ms), report.head(part), rows)
end

local function measure(plan)
  for i, group in ipairs(plan.groups) do
    rounds.run(group, plan, tell)
    local following = plan.groups[i + 1]
    if not following or following.part ~= group.part then
      print_part(plan, group.part)
    end
  end
  if plan.others.processes then
    plan.processes = processes.rows(plan)
    processes.print(plan.processes)
  end
  local has_ours = not plan.subjects or plan.subjects.ours
  if plan.others.recovery and has_ours then
    plan.recovery = recovery.measure(plan)
    recovery.print(plan.recovery)
  end
  if plan.others.core then
    plan.core = core_alone.rows(plan.is_quick)
    core_alone.print(plan.core)
  end
  if plan.others.costs and has_ours then
    plan.costs = costs.measure(plan)
    if plan.costs then costs.print(plan.costs) end
  end
end

local function say_who_is_absent()
  for _, side in ipairs { "embedded", "client" } do
    for _, subject in ipairs(subjects[side]) do
      if not subject.where() then
        print(subject.name .. " is not here: its columns are empty "
          .. "(make bench-deps)")
      end
    end
  end
end

local function save(plan, machine)
  write(plan.json or JSON, json.encode(report.data(plan, machine)) .. "\n")
  local dir = plan.plots or plan.is_whole and PLOTS or OTHER_PLOTS
  for file, text in pairs(plots.draw(plan, machine)) do
    write(dir .. "/" .. file, text)
  end
  print(("data: %s, plots: %s"):format(plan.json or JSON, dir))
end

-- Who interrupts a run leaves no process and no directory behind.
local function watch_signals()
  local is_ending = false
  for _, name in ipairs { "sigint", "sigterm" } do
    local signal = uv.new_signal()
    signal:start(name, function()
      if is_ending then return end
      is_ending = true
      coroutine.wrap(function()
        subjects.abandon()
        os.exit(INTERRUPTED)
      end)()
    end)
    signal:unref()
  end
end

--- Runs what these words ask for, in a coroutine.
return function(words)
  local plan = planning.parse(words, os.getenv "QUICK" == "1")
  local machine = machines.describe()
  print(("%s, %d cores, files on %s, load average %.1f"):format(machine.cpu,
    machine.cores, machine.file_system, machine.load_before))
  say_who_is_absent()
  watch_signals()
  local began = uv.hrtime()
  local ok, err = xpcall(measure, debug.traceback, plan)
  subjects.close_all()
  if not ok then error(err, 0) end
  save(plan, machine)
  print(("took %.0f s"):format((uv.hrtime() - began) / 1e9))
end
