--- What the settings of a configuration may be: the option `fields` of the
-- battery `config`, and values held against it. A field is data, so it is a
-- part of the replicated state.
--
--   { type = "integer", default = 100, min = 1, max = 1000 }
--   { type = "string", one_of = { "red", "green" } }
local schema = require "raft.schema"

local M = {}

local is_of_type <const> = {
  any = function(value) return value ~= nil end,
  boolean = function(value) return type(value) == "boolean" end,
  integer = function(value) return math.type(value) == "integer" end,
  number = function(value)
    return type(value) == "number" and value == value
  end,
  string = function(value) return type(value) == "string" end,
  table = function(value) return type(value) == "table" end,
}

local ARTICLES <const> = { any = "a value", boolean = "true or false",
  integer = "an integer", number = "a number", string = "a string",
  table = "a table" }

-- Types of which min and max say something.
local HAS_SIZE <const> = { integer = true, number = true, string = true }

--------------------------------------------------------------- of one value --

local function within(field, value)
  local size = type(value) == "string" and #value or value
  if field.min and size < field.min then return false end
  return not field.max or size <= field.max
end

local function is_one_of(field, value)
  for _, choice in ipairs(field.one_of) do
    if choice == value then return true end
  end
  return false
end

local function shown_choices(field)
  local words = {}
  for i, choice in ipairs(field.one_of) do words[i] = schema.show(choice) end
  return "one of " .. table.concat(words, ", ")
end

local function shown_range(field)
  local what = ARTICLES[field.type]
  local unit = field.type == "string" and " bytes" or ""
  if field.min and field.max then
    return ("%s from %s to %s%s"):format(what, field.min, field.max, unit)
  elseif field.min then
    return ("%s from %s%s on"):format(what, field.min, unit)
  elseif field.max then
    return ("%s up to %s%s"):format(what, field.max, unit)
  end
  return what
end

--- What this field expects instead of this value; nil: the value will do.
function M.expected(field, value)
  if not is_of_type[field.type](value) then return shown_range(field) end
  if HAS_SIZE[field.type] and not within(field, value) then
    return shown_range(field)
  elseif field.one_of and not is_one_of(field, value) then
    return shown_choices(field)
  end
end

--------------------------------------------------------------- of the option --

local field_rule = schema.fields {
  { "type", schema.one_of { "any", "boolean", "integer", "number", "string",
    "table" }, required = 'a type: "any", "boolean", "integer", "number", '
    .. '"string" or "table"' },
  { "default", function(value) return value end },
  { "min", function(value, path)
    if not math.type(value) then schema.refuse(path, "a number", value) end
    return value
  end },
  { "max", function(value, path)
    if not math.type(value) then schema.refuse(path, "a number", value) end
    return value
  end },
  { "one_of", schema.any_table },
}

local function field(value, path)
  local made = field_rule(value, path)
  made.default = value.default  -- which may be false, or nothing at all
  if (made.min or made.max) and not HAS_SIZE[made.type] then
    schema.complain(path, ("min and max say nothing of the type %s"):format(
      made.type))
  elseif made.min and made.max and made.min > made.max then
    schema.complain(path, ("min is %s, and max is %s"):format(made.min,
      made.max))
  end
  local expected = made.default ~= nil and M.expected(made, made.default)
  if expected then
    schema.refuse(schema.join(path, "default"), expected, made.default)
  end
  return made
end

--- The rule for the option: name -> field.
function M.rule(value, path)
  schema.any_table(value, path)
  local names, made = {}, {}
  for name in pairs(value) do
    schema.name(name, schema.join(path, name))
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    made[name] = field(value[name], schema.join(path, name))
  end
  return made
end

return M
