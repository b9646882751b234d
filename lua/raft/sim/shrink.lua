--- Makes a failing case smaller while it fails for the same reason: first
-- fewer events, then fewer nodes, then calmer machines.
local M = {}

local RUNS_MAX <const> = 100  -- of the case, in all

-- What failed, without its details: numbers and quoted text differ from run to
-- run.
local function kind_of(what)
  return (what:gsub("%(seed.*", ""):gsub('".-"', ""):gsub("n?%d+%.?%d*", ""))
end

local function copy(case)
  local other = {}
  for name, value in pairs(case) do other[name] = value end
  return other
end

local function without(plan, from, to)
  local rest = table.move(plan, 1, from - 1, 1, {})
  return table.move(plan, to + 1, #plan, #rest + 1, rest)
end

-- Drops ever smaller pieces of the plan: halves, quarters, single events.
local function fewer_events(state)
  local size = math.max(1, #state.case.plan // 2)
  while size >= 1 do
    local from = 1
    while from <= #state.case.plan do
      local to = math.min(from + size - 1, #state.case.plan)
      local smaller = copy(state.case)
      smaller.plan = without(state.case.plan, from, to)
      if not state:try(smaller) then from = to + 1 end
    end
    size = size // 2
  end
end

local function names_only(plan, count)
  local function is_known(id)
    return not id or tonumber(id:match("%d+")) <= count
  end
  local function are_known(ids)
    for _, id in ipairs(ids) do
      if not is_known(id) then return false end
    end
    return true
  end
  local kept = {}
  for _, event in ipairs(plan) do
    local fits = is_known(event.id) and is_known(event.from)
      and are_known(event.ids or {})
      and is_known(event.to) and event.kind ~= "partition"
    if fits then kept[#kept + 1] = event end
  end
  return kept
end

local function fewer_nodes(state)
  for count = state.case.nodes - 1, 1, -1 do
    local smaller = copy(state.case)
    smaller.nodes, smaller.plan = count, names_only(state.case.plan, count)
    state:try(smaller)
  end
end

local CALM <const> = {
  { "network", "loss", 0 },
  { "network", "duplicate", 0 },
  { "network", "reorder_ms", 0 },
  { "network", "delay", { 0.05, 2 } },
  { "disk", "torn", false },
  { "disk", "sync", { 0.1, 1 } },
  { "clock", "rate_ppm", 0 },
  { "clock", "offset_ms", 0 },
}

local function calmer(state)
  for _, item in ipairs(CALM) do
    local group, name, value = item[1], item[2], item[3]
    local smaller = copy(state.case)
    smaller.options = copy(state.case.options)
    smaller.options[group] = copy(state.case.options[group])
    smaller.options[group][name] = value
    state:try(smaller)
  end
end

--- The smallest case found, and what fails in it.
-- @param run function(case) -> did it succeed?, what failed
function M.shrink(case, what, run)
  local state = { case = case, what = what, runs = 0, kind = kind_of(what) }
  function state:try(smaller)
    if self.runs >= RUNS_MAX then return false end
    self.runs = self.runs + 1
    local ok, other = run(smaller)
    if ok or kind_of(other) ~= self.kind then return false end
    self.case, self.what = smaller, other
    return true
  end
  fewer_events(state)
  fewer_nodes(state)
  fewer_events(state)
  calmer(state)
  return state.case, state.what
end

return M
