--- What the commands and queries of a battery are called with: checked before
-- they run, so that what is refused has changed nothing.
--
--   checked("counter.add", { { "key", arguments.key }, ... }, fn)
--
-- A rule is function(value, limits) -> nil, or what was expected instead.
-- `limits` are those of the state, see raft.services.support.battery.
local codec = require "raft.codec"
local schema = require "raft.schema"

local M = {}

----------------------------------------------------------------------- rules --

--- An integer of these bounds. A float is none, whatever its value.
function M.integer(low, high)
  local words = ("an integer from %d to %d"):format(low, high)
  return function(value)
    local is_integer = math.type(value) == "integer"
    if not is_integer or value < low or value > high then return words end
  end
end

--- Any integer.
function M.any_integer(value)
  if math.type(value) ~= "integer" then return "an integer" end
end

-- Tables in each other. A value stands some tables deeper in the state and in
-- answers, and what is more than 100 deep no snapshot holds.
local DEPTH_MAX <const> = 90

local MS_MAX <const> = 100 * 366 * 86400000  -- a century

--- A duration in ms.
M.ms = M.integer(1, MS_MAX)
M.ms_or_none = M.integer(0, MS_MAX)

--- How many items a page may have.
M.page = M.integer(1, 1000)

--- A version that may be given: 0 is that of what is not there.
M.version = M.integer(0, math.maxinteger)

local function text(low)
  return function(value, limits)
    local is_text = type(value) == "string" and #value >= low
      and #value <= limits.key_bytes_max
    if is_text then return nil end
    return ("a string of %d to %d bytes"):format(low, limits.key_bytes_max)
  end
end

--- A key: a string that is not empty, and not too long.
M.key = text(1)

--- What keys begin with: a string.
M.prefix = text(0)

--- Are there more tables in each other than a value may have?
-- @param left how many it may have
function M.is_deep(value, left)
  if type(value) ~= "table" then return false end
  left = left or DEPTH_MAX
  if left == 0 then return true end
  for _, item in pairs(value) do
    if M.is_deep(item, left - 1) then return true end
  end
  return false
end

--- What a value is that is not too deep, in words.
M.NOT_DEEP = ("a value of at most %d tables deep"):format(DEPTH_MAX)

--- A value to be kept: anything plain but nil, not too deep, and not too large.
function M.value(value, limits)
  if value == nil then return "a value" end
  if M.is_deep(value) then return M.NOT_DEEP end
  if #codec.encode(value) > limits.value_bytes_max then
    return ("a value of at most %d encoded bytes"):format(
      limits.value_bytes_max)
  end
end

--- The rule, or nothing at all.
function M.optional(rule)
  return function(value, limits)
    if value ~= nil then return rule(value, limits) end
  end
end

-------------------------------------------------------------------- checking --

-- Why these arguments cannot be taken; nil: they can.
local function refusal(name, rules, limits, ...)
  local count = select("#", ...)
  if count > #rules then
    return ("%s: expected %d arguments at most, got %d"):format(name, #rules,
      count)
  end
  for i, rule in ipairs(rules) do
    local value = select(i, ...)
    local expected = rule[2](value, limits)
    if expected then
      return ("%s: %s: expected %s, got %s"):format(name, rule[1], expected,
        schema.show(value))
    end
  end
end

--- fn(state, ...), run where the rules allow it; else it is refused in words.
-- @param name of the command, for the words: "map.put"
-- @param rules array of { the argument's name, rule }
function M.checked(name, rules, fn)
  return function(state, ...)
    local why = refusal(name, rules, state.limits, ...)
    if why then return nil, why end
    return fn(state, ...)
  end
end

--- The same, where the first argument is a key that may be left out in front
-- of a number.
function M.keyed(fn)
  return function(state, first, ...)
    if math.type(first) then return fn(state, nil, first, ...) end
    return fn(state, first, ...)
  end
end

return M
