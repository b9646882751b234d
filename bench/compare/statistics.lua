--- Medians, spreads and ratios of rounds.
local M = {}

--- Of an odd number the one in the middle, of an even one the mean of the two;
-- nil of none.
function M.median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local half = #sorted // 2
  if #sorted == 0 then return nil end
  if #sorted % 2 == 1 then return sorted[half + 1] end
  return (sorted[half] + sorted[half + 1]) / 2
end

--- The least and the greatest; nil of none.
function M.spread(values)
  if #values == 0 then return nil end
  return math.min(table.unpack(values)), math.max(table.unpack(values))
end

--- One field of each round.
function M.column(rounds, field)
  local values = {}
  for i, round in ipairs(rounds) do values[i] = round[field] end
  return values
end

--- Median and spread of a field.
function M.summary(rounds, field)
  local values = M.column(rounds, field)
  local from, to = M.spread(values)
  return { median = M.median(values), from = from, to = to }
end

--- The quotient of two subjects round by round, so that a machine that is busy
-- for a while is so for both: median and spread. nil without both.
function M.ratio(rounds, other_rounds, field)
  local quotients = {}
  for i = 1, math.min(#rounds, #other_rounds) do
    local below = other_rounds[i][field]
    if below > 0 then quotients[#quotients + 1] = rounds[i][field] / below end
  end
  if #quotients == 0 then return nil end
  local from, to = M.spread(quotients)
  return { median = M.median(quotients), from = from, to = to }
end

return M
