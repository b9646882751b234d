--- What a node with a long log costs: its start, in parts, and the memory of an
-- entry. One node alone, in a process of its own; its files are in the cache of
-- the system, as they are after a crash of the process.
local cluster = require "bench.cluster"
local statistics = require "bench.compare.statistics"
local tables = require "bench.tables"
local uv = require "luv"

local M = {}

local ENTRIES <const>, QUICK_ENTRIES <const> = 1000000, 100000
local BYTES <const> = 128
local HEADER_BYTES <const> = 40   -- of an encoded entry: docs/FORMATS.md
local WARM <const>, HELD <const> = 80000, 100000  -- entries: all in memory
local WARM_OUTSTANDING <const>, OUTSTANDING <const> = 256, 1024
local WAIT_MS <const> = 300000
local MIB <const> = 1 << 20

--- What is measured, in order: field, what it is, and the aim where there is
-- one. Those of ms are for ENTRIES.
M.figures = {
  { field = "process_ms",
    text = "a process, to a node that has started with nothing, ms" },
  { field = "recovered_ms", text = "open the log, to a core that is ready, ms",
    aim = 1000 },
  { field = "applied_ms", text = "apply its commands again, ms" },
  { field = "start_ms", text = "start() in all, ms" },
  { field = "resident_mib", text = "resident after that, MiB" },
  { field = "log_bytes", aim = 8,
    text = "an entry held, beyond its encoding: allocated, bytes" },
  { field = "resident_bytes", aim = 8,
    text = "an entry held, beyond its encoding: resident, bytes" },
}

local function spawn(root)
  return cluster.script("n1", "bench/compare/starting.lua", root .. "/n1",
    cluster.free_addresses(1)[1])
end

-- Bytes: resident, of the log; and how many entries that has.
local function memory_of(child)
  local resident, log, last = child:ask("memory"):match(
    "memory (%d+) (%d+) (%d+)")
  return tonumber(resident), tonumber(log), tonumber(last)
end

local function fill(child, count, outstanding)
  child:ask(("fill %d %d %d"):format(count, BYTES, outstanding), "filled",
    WAIT_MS)
end

-- Runs fn(root) with a directory that is gone afterwards.
local function in_directory(fn)
  local root = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp")
    .. "/raft-bench-XXXXXX"))
  local ok, err = pcall(fn, root)
  cluster.remove_tree(root)
  if not ok then error(err, 0) end
end

-- The start of a new node; what an entry takes in its memory, and what each of
-- HELD more adds to a process that has come to its working size.
local function measure_new(round)
  in_directory(function(root)
    local began = uv.hrtime()
    local child = spawn(root)
    child:await("started", WAIT_MS)
    round.process_ms = (uv.hrtime() - began) / 1e6
    fill(child, WARM, WARM_OUTSTANDING)
    local before = memory_of(child)
    fill(child, HELD, WARM_OUTSTANDING)
    local resident, log, entries = memory_of(child)
    child:kill("sigkill")
    local encoded = BYTES + HEADER_BYTES
    round.resident_bytes = (resident - before) / HELD - encoded
    round.log_bytes = log / entries - encoded
  end)
end

local function measure_start(root, round)
  local child = spawn(root)
  local line = child:await("started", WAIT_MS)
  local recovered, applied, all = line:match("started (%d+) (%d+) (%d+)")
  round.recovered_ms, round.applied_ms = tonumber(recovered), tonumber(applied)
  round.start_ms = tonumber(all)
  round.resident_mib = memory_of(child) / MIB
  child:kill("sigkill")
end

--- The figures of these rounds, each with its aim, if it has one.
function M.summaries(rounds)
  local list = {}
  for i, figure in ipairs(M.figures) do
    list[i] = statistics.summary(rounds, figure.field)
    list[i].name, list[i].text = figure.field, figure.text
    list[i].aim = figure.aim
  end
  return list
end

--- { entries=, bytes=, figures = { one for each of M.figures } }
function M.measure(plan)
  io.stderr:write("recovery: ours\n")
  local rounds, entries = {}, plan.is_quick and QUICK_ENTRIES or ENTRIES
  for i = 1, plan.rounds do
    rounds[i] = {}
    measure_new(rounds[i])
  end
  in_directory(function(root)
    local child = spawn(root)
    child:await("started", WAIT_MS)
    fill(child, entries, OUTSTANDING)
    child:kill("sigkill")
    for _, round in ipairs(rounds) do measure_start(root, round) end
  end)
  return { entries = entries, bytes = BYTES, figures = M.summaries(rounds) }
end

local function short(value)
  return (value < 20 and "%.1f" or "%.0f"):format(value)
end

--- Prints what `measure` found.
function M.print(found)
  local lines = {}
  for i, figure in ipairs(found.figures) do
    lines[i] = { figure.text, short(figure.median),
      short(figure.from) .. "-" .. short(figure.to),
      figure.aim and "<= " .. figure.aim or "-" }
  end
  tables.print(("a node with %d commands of %d bytes in its log"):format(
    found.entries, found.bytes), { "", "median", "from-to", "aim" }, lines)
end

return M
