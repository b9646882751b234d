--- What commands of services say of arguments that are none: words for
-- `return nil, words`, or nil where the argument will do. Used inside commands,
-- so all of it is deterministic.
local show = require("raft.schema").show

local M = {}

local function words(what, expected, value)
  return ("%s: expected %s, got %s"):format(what, expected, show(value))
end

--- A string that is not empty, up to so many bytes.
function M.text(what, value, bytes_max)
  if type(value) == "string" and value ~= "" and #value <= bytes_max then
    return nil
  end
  return words(what, ("a string of 1 to %d bytes"):format(bytes_max), value)
end

--- An integer from low to high; 500.0 will do.
function M.integer(what, value, low, high)
  local integer = type(value) == "number" and math.tointeger(value)
  if integer and integer >= low and integer <= high then return nil end
  return words(what, ("an integer from %d to %d"):format(low, high), value)
end

--- True, false, or nil.
function M.boolean(what, value)
  if value == nil or type(value) == "boolean" then return nil end
  return words(what, "true or false", value)
end

--- One of these strings.
function M.one_of(what, value, choices)
  for _, choice in ipairs(choices) do
    if choice == value then return nil end
  end
  return words(what, '"' .. table.concat(choices, '" or "') .. '"', value)
end

--- The first of these that is no field: words, or nil.
-- @param names of the fields, an array
function M.fields(what, t, names)
  if type(t) ~= "table" then return words(what, "a table", t) end
  for key in pairs(t) do
    if M.one_of(what, key, names) then
      return ("%s: unknown field %s; known are %s"):format(what, show(key),
        table.concat(names, ", "))
    end
  end
end

return M
