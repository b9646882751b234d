--- Measures the cells of a plan in rounds: within one the subjects take turns,
-- so that a machine that is busy for a while is so for all of them.
local planning = require "bench.compare.plan"
local subjects = require "bench.compare.subjects"

local M = {}

local WARM_MS <const> = 300
local WARM_OUTSTANDING <const> = 64

-- Those of the group that are there and asked for: { name, running } each.
local function start(group, plan)
  local started = {}
  for _, subject in ipairs(subjects[group.part.side]) do
    local is_asked = not plan.subjects or plan.subjects[subject.name]
    if is_asked and subject.where() then
      started[#started + 1] = { name = subject.name,
        running = subject.start(group.nodes, group.part.name) }
    end
  end
  return started
end

local function warm(started, cell)
  local first = { kind = "propose", bytes = cell.bytes, at = "leader",
    outstanding = math.min(WARM_OUTSTANDING, cell.outstanding) }
  for _, each in ipairs(started) do each.running:measure(first, WARM_MS) end
end

-- Subject -> its rounds.
local function measure_cell(started, cell, plan)
  local results = {}
  for _ = 1, plan.rounds do
    for _, each in ipairs(started) do
      if planning.can(each.name, cell) then
        local rounds = results[each.name] or {}
        results[each.name] = rounds
        rounds[#rounds + 1] = each.running:measure(cell, plan.ms)
      end
    end
  end
  return results
end

--- Runs a group; each of its cells then has `results`. `tell` hears of each
-- cell.
function M.run(group, plan, tell)
  local started = start(group, plan)
  warm(started, group.cells[1])
  for _, cell in ipairs(group.cells) do
    tell(group, cell)
    cell.results = measure_cell(started, cell, plan)
  end
  subjects.close_all()
end

return M
