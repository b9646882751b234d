--- Flame graphs of a leader, with one command outstanding and with 1024: of its
-- Lua functions (bench/probes/sampler.c) and, where perf may be used, of its C
-- functions.
--
--   make bench ARGS=flame             # to docs/bench/flame_*.svg
--   make bench QUICK=1 ARGS=flame     # few samples, to build/bench
--
-- Three processes on loopback, all else as by default; the load is as small as
-- there can be (bench/compare/probed.lua).
local cluster = require "bench.cluster"
local drawing = require "bench.flame.drawing"
local machines = require "bench.compare.machine"
local stacks = require "bench.flame.stacks"
local uv = require "luv"

local SAMPLER <const> = "build/bench/sampler.so"
local DIR <const>, QUICK_DIR <const> = "docs/bench", "build/bench"
local NODES <const>, BYTES <const> = 3, 128
local LOADS <const> = { { outstanding = 1, entries = 30000 },
  { outstanding = 1024, entries = 4000000 } }
local QUICK_SHARE <const> = 20   -- of the entries
local WARM_ENTRIES <const> = 100000
local WAIT_MS <const> = 120000
local INTERVAL_US <const> = 997  -- no divisor of what else goes by the clock
local HZ <const> = 997
local STACK_BYTES <const> = 24576  -- that perf keeps of each stack
local C_SHARE <const> = 2  -- of the entries: perf looks more often
local PERF_BEGINS_MS <const> = 500

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return text, (pipe:close())
end

local function put_load(leader, load)
  leader:ask(("load %d %d %d"):format(load.outstanding, load.entries, BYTES),
    "loaded", WAIT_MS)
end

-- What the leader's Lua does under a load, as a tree.
local function sample_lua(run, load)
  local path = run.cluster.root .. "/stacks"
  run.leader:ask(("sample %d"):format(INTERVAL_US), "sampling", WAIT_MS)
  put_load(run.leader, load)
  run.leader:ask("sampled " .. path, "sampled", WAIT_MS)
  return stacks.of_sampler(read(path))
end

-- The same of its C, by perf; nil and why not.
local function sample_c(run, load)
  local path, co = run.cluster.root .. "/perf.data", coroutine.running()
  local has_ended, process = false, nil
  process = assert(uv.spawn("perf", { args = { "record", "-q", "-e",
    "cpu-clock", "-F", tostring(HZ), "--call-graph", "dwarf," .. STACK_BYTES,
    "-o", path, "-p", tostring(run.leader.process:get_pid()) },
    stdio = { nil, nil, 2 } }, function()
    has_ended = true
    process:close()
    if coroutine.status(co) == "suspended" and run.is_waiting then
      assert(coroutine.resume(co))
    end
  end))
  cluster.pause(PERF_BEGINS_MS)
  if has_ended then return nil, "perf may not look at a process" end
  put_load(run.leader, { outstanding = load.outstanding,
    entries = load.entries // C_SHARE })
  process:kill("sigint")
  run.is_waiting = true
  if not has_ended then coroutine.yield() end
  run.is_waiting = false
  local text, ok = output_of(("perf script -i '%s' -F comm,tid,ip,sym,dso "
    .. "2>/dev/null"):format(path))
  if not ok then return nil, "perf script failed" end
  return stacks.of_perf(text)
end

local KINDS <const> = {
  { name = "lua", text = "Lua functions", sample = sample_lua },
  { name = "c", text = "C functions", sample = sample_c },
}

local function has_perf()
  return (select(2, output_of("perf --version >/dev/null 2>&1")))
end

local function draw(run, load, kind, machine)
  local tree, why = kind.sample(run, load)
  if not tree then
    print(kind.text .. ": " .. why)
    return
  end
  local title = ("%s of a leader, %d command%s outstanding, by processor time")
    :format(kind.text, load.outstanding, load.outstanding > 1 and "s" or "")
  local text = drawing.draw(tree, title, ("%d samples; %s, %s, %d cores")
    :format(tree.samples, machine.date, machine.cpu, machine.cores))
  if not text then
    print(title .. ": no samples")
    return
  end
  local path = ("%s/flame_%s_%d.svg"):format(run.dir, kind.name,
    load.outstanding)
  write(path, text)
  print(("%s: %d samples, %s"):format(title, tree.samples, path))
end

local function draw_all(run, is_quick)
  local machine, perf = machines.describe(), has_perf()
  if not perf then print "there is no perf: no graphs of C functions" end
  run.leader = run.cluster:leader()
  local share = is_quick and QUICK_SHARE or 1
  put_load(run.leader, { outstanding = 64, entries = WARM_ENTRIES // share })
  for _, load in ipairs(LOADS) do
    local shorter = { outstanding = load.outstanding,
      entries = load.entries // share }
    for _, kind in ipairs(KINDS) do
      if kind.name == "lua" or perf then draw(run, shorter, kind, machine) end
    end
  end
end

return function()
  if not uv.fs_access(SAMPLER, "R") then
    error(SAMPLER .. " is not here: flame graphs need Linux", 0)
  end
  local is_quick = os.getenv "QUICK" == "1"
  local run = { cluster = cluster.new(NODES, false, function(id, dir, members)
    return cluster.script(id, "bench/compare/probed.lua", id, dir, members)
  end), leader = false, is_waiting = false,
    dir = is_quick and QUICK_DIR or DIR }
  assert(os.execute("mkdir -p " .. run.dir))
  local ok, err = xpcall(draw_all, debug.traceback, run, is_quick)
  run.cluster:close()
  if not ok then error(err, 0) end
end
