--- The core alone: processor time and instructions per committed entry, of all
-- three replicas together (bench/core/alone.c). Instructions are callgrind's,
-- where valgrind is installed: the difference of a long run and a short one, so
-- that the start does not count. They are the same in every run.
local callgrind = require "bench.callgrind"
local statistics = require "bench.compare.statistics"
local tables = require "bench.tables"

local M = {}

local PROGRAM <const> = "build/bench/core_alone"
local BATCHES <const> = { 1, 64, 1024 }
local ENTRIES <const> = 500000
local BEFORE <const> = 300000  -- entries that fill what logs keep in memory
local ROUNDS <const> = 5
local SHORT <const> = 2048  -- entries, under callgrind; or four batches

local function measure(batch, entries)
  local text = callgrind.output_of(("%s %d %d %d"):format(PROGRAM, batch,
    entries, BEFORE))
  local count, ns = text:match("^core (%d+) (%d+)")
  assert(count, text)
  return tonumber(ns) / tonumber(count)
end

--- Instructions and entries of one run under callgrind.
local function count(batch, entries)
  local instructions, text = callgrind.count(("%s %d %d"):format(PROGRAM,
    batch, entries))
  return instructions, assert(tonumber(text:match("core (%d+)")), text)
end

--- Instructions per committed entry.
function M.instructions(batch)
  local entries = math.max(SHORT, 4 * batch)
  local short, few = count(batch, entries)
  local long, many = count(batch, 3 * entries)
  return (long - short) / (many - few)
end

--- One row for each batch.
function M.rows(is_quick)
  local rows = {}
  for i, batch in ipairs(BATCHES) do
    local times = {}
    for round = 1, is_quick and 1 or ROUNDS do
      times[round] = measure(batch, is_quick and ENTRIES // 10 or ENTRIES)
    end
    local from, to = statistics.spread(times)
    rows[i] = { batch = batch, ns = statistics.median(times), ns_from = from,
      ns_to = to, instructions = callgrind.version()
        and M.instructions(batch) or nil }
  end
  return rows
end

--- Prints what `rows` measured.
function M.print(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    lines[i] = { row.batch, ("%.0f"):format(row.ns),
      ("%.0f-%.0f"):format(row.ns_from, row.ns_to),
      row.instructions and ("%.0f"):format(row.instructions) or "-" }
  end
  tables.print("the core alone: three replicas, per committed entry of 128 "
    .. "bytes", { "batch", "ns", "from-to", "instructions" }, lines)
end

return M
