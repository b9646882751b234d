--- Results as tables for the terminal and as data for a file.
local statistics = require "bench.compare.statistics"

local M = {}

local EMPTY <const> = "-"

--- Side -> the columns of its table.
M.columns = { embedded = { "ours", "canonical", "ceiling" },
  client = { "ours", "etcd" } }
local ONLY_OURS <const> = { "ours" }

local function columns_of(part)
  return part.name == "reads" and ONLY_OURS or M.columns[part.side]
end

-- Three digits that count: 0.42, 12.3, 1234.
local function short(value)
  if value < 10 then return ("%.2f"):format(value) end
  if value < 100 then return ("%.1f"):format(value) end
  return ("%.0f"):format(value)
end
M.short = short

local function range(summary)
  if summary.from == summary.to then return short(summary.from) end
  return short(summary.from) .. "-" .. short(summary.to)
end

local function add_subject(row, rounds)
  if not rounds then
    return table.move({ EMPTY, EMPTY, EMPTY, EMPTY }, 1, 4, #row + 1, row)
  end
  local ops = statistics.summary(rounds, "ops")
  table.move({ short(ops.median), range(ops),
    short(statistics.summary(rounds, "p50").median),
    short(statistics.summary(rounds, "p99").median) }, 1, 4, #row + 1, row)
end

local function ratio_text(results, other)
  local ratio = results.ours and results[other]
    and statistics.ratio(results.ours, results[other], "ops")
  if not ratio then return EMPTY end
  return ("%s (%s)"):format(short(ratio.median), range(ratio))
end

--- Head of a part's table.
function M.head(part)
  local head = { "", "nodes", "bytes", "out" }
  for _, name in ipairs(columns_of(part)) do
    table.move({ name .. "/s", "from-to", "p50 ms", "p99 ms" }, 1, 4,
      #head + 1, head)
  end
  for i, name in ipairs(columns_of(part)) do
    if i > 1 then head[#head + 1] = "ours : " .. name end
  end
  return head
end

--- The row of a cell.
function M.row(part, cell)
  local row = { cell.name, cell.nodes, cell.bytes, cell.outstanding }
  for _, name in ipairs(columns_of(part)) do
    add_subject(row, cell.results[name])
  end
  for i, name in ipairs(columns_of(part)) do
    if i > 1 then row[#row + 1] = ratio_text(cell.results, name) end
  end
  return row
end

local function data_of_cell(part, cell)
  local data = { part = part.name, kind = cell.name, nodes = cell.nodes,
    bytes = cell.bytes, outstanding = cell.outstanding, subjects = {},
    ratios = {} }
  for name, rounds in pairs(cell.results) do
    local subject = {}
    for _, field in ipairs { "ops", "p50", "p99", "worst" } do
      subject[field] = statistics.summary(rounds, field)
      subject[field].rounds = statistics.column(rounds, field)
    end
    data.subjects[name] = subject
    if name ~= "ours" and cell.results.ours then
      data.ratios[name] = statistics.ratio(cell.results.ours, rounds, "ops")
    end
  end
  return data
end

--- Everything that was measured, as plain data.
function M.data(plan, machine)
  local cells = {}
  for _, group in ipairs(plan.groups) do
    for _, cell in ipairs(group.cells) do
      cells[#cells + 1] = data_of_cell(group.part, cell)
    end
  end
  return { machine = machine, rounds = plan.rounds, ms = plan.ms,
    cells = cells, processes = plan.processes, recovery = plan.recovery,
    core = plan.core, costs = plan.costs }
end

return M
