--- Checks tables of options: what is wrong raises, and the text names the
-- path, the rule and the value. A rule is function(value, path) -> the value
-- as it will be used; it refuses with schema.refuse. What comes out is always
-- a new table; the one that came in is never changed.
--
--   local check = schema.fields { { "n", schema.integer(1, 9), default = 3 } }
--   local opts = schema.check("raft.thing", 3, check, t)

local M = {}

local TEXT_BYTES_MAX <const> = 60    -- of a value shown in an error
local NAME_BYTES_MAX <const> = 64    -- of ids, cluster and service names
local GUESS_DISTANCE_MAX <const> = 2 -- edits between a typo and its guess

-- What a rule raises; turned into text in one place.
local Problem = { __name = "raft.schema.problem" }

--- A value in an error.
function M.show(value)
  if type(value) == "string" then
    local text = #value > TEXT_BYTES_MAX
      and value:sub(1, TEXT_BYTES_MAX) .. "..." or value
    return '"' .. text:gsub("%c", "?") .. '"'
  elseif type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return value == nil and "nil" or "a " .. type(value)
end

--- Refuses what stands at the path, in free words.
function M.complain(path, words)
  local text = path == "" and words or path .. ": " .. words
  error(setmetatable({ text = text }, Problem), 0)
end

--- Refuses the value at the path: another kind of thing was expected.
function M.refuse(path, expected, value)
  M.complain(path, ("expected %s, got %s"):format(expected, M.show(value)))
end

--- Applies the rule to the options; raises what it refuses.
-- @param who whose options these are: "raft.node"
-- @param level whom to blame, as for error: 2 is the caller of check
function M.check(who, level, rule, value)
  local ok, result = pcall(rule, value, "")
  if ok then return result end
  if getmetatable(result) ~= Problem then error(result, 0) end
  error(who .. ": " .. result.text, level)
end

--- The path of a field of a table.
function M.join(path, key)
  if type(key) ~= "string" or not key:find("^[%w_-]+$") then
    local shown = type(key) == "string" and ("%q"):format(key) or tostring(key)
    return ("%s[%s]"):format(path, shown)
  end
  return path == "" and key or path .. "." .. key
end

------------------------------------------------------------- simple rules --

local function of_type(wanted, words)
  return function(value, path)
    if type(value) ~= wanted then M.refuse(path, words, value) end
    return value
  end
end

M.boolean = of_type("boolean", "true or false")
M.callable = of_type("function", "a function")
M.any_table = of_type("table", "a table")

--- A string that is not empty.
function M.text(value, path)
  if type(value) ~= "string" or value == "" then
    M.refuse(path, "a string that is not empty", value)
  elseif value:find("\0", 1, true) then
    M.complain(path, "holds a zero byte")
  end
  return value
end

--- Names of nodes, clusters, services.
function M.name(value, path)
  local is_name = type(value) == "string" and #value <= NAME_BYTES_MAX
    and value:find("^[%w_.-]+$")
  if not is_name then
    M.refuse(path, ("a name of letters, digits and _ . - of up to %d bytes")
      :format(NAME_BYTES_MAX), value)
  end
  return value
end

--- An integer from low to high; 500.0 will do.
-- @param unit what it counts, for the message: "ms"
function M.integer(low, high, unit)
  local words = ("an integer from %d to %d"):format(low, high)
    .. (unit and " (" .. unit .. ")" or "")
  return function(value, path)
    local integer = type(value) == "number" and math.tointeger(value)
    if not integer or integer < low or integer > high then
      M.refuse(path, words, value)
    end
    return integer
  end
end

--- One of these strings.
function M.one_of(choices)
  local quoted, is_choice = {}, {}
  for i, choice in ipairs(choices) do
    quoted[i], is_choice[choice] = M.show(choice), true
  end
  local words = table.concat(quoted, ", ", 1, #quoted - 1)
    .. " or " .. quoted[#quoted]
  return function(value, path)
    if not is_choice[value] then M.refuse(path, words, value) end
    return value
  end
end

--- False, or what the rule says.
function M.or_false(rule)
  return function(value, path)
    return value ~= false and rule(value, path)
  end
end

------------------------------------------------------------ tables of them --

-- Edits that turn a into b: one row of the table at a time.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local change = diagonal + (a:byte(i) == b:byte(j) and 0 or 1)
      diagonal = row[j]
      row[j] = math.min(change, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

local function plain_letters(name)
  return (name:lower():gsub("[_-]", ""))
end

-- The name meant by a typo: electionTimeout, hearbeat. Nil if none is near.
local function guess(typo, names)
  local best, best_distance = nil, GUESS_DISTANCE_MAX + 1
  for _, name in ipairs(names) do
    local d = distance(plain_letters(typo), plain_letters(name))
    if d < best_distance and d <= #name // 3 then
      best, best_distance = name, d
    end
  end
  return best
end

--- Refuses a key that is none of the names.
function M.refuse_key(path, key, names, what)
  local meant = type(key) == "string" and #key <= TEXT_BYTES_MAX
    and guess(key, names)
  local hint = meant and (", did you mean %s?"):format(meant)
    or "; known are " .. table.concat(names, ", ")
  M.complain(M.join(path, key), ("unknown %s%s"):format(what or "option", hint))
end

-- The first key that is no field, in an order that does not vary.
local function unknown_key(t, known)
  local keys = {}
  for key in pairs(t) do
    if not known[key] then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys[1]
end

local function check_field(field, t, path)
  local value, key = t[field[1]], M.join(path, field[1])
  if value ~= nil then return field[2](value, key) end
  if field.required then
    M.complain(key, ("expected %s, got nil"):format(field.required))
  end
  return field.default or false
end

--- A table with these fields and no other.
-- @param fields array of { name, rule, default = value }; without a default
--   an absent field becomes false; `required = "words"`: must be there
-- @return the rule; it makes a new table with every field set
function M.fields(fields)
  local known, names = {}, {}
  for i, field in ipairs(fields) do
    known[field[1]], names[i] = field, field[1]
  end
  return function(t, path)
    if type(t) ~= "table" then M.refuse(path, "a table of options", t) end
    local key = unknown_key(t, known)
    if key ~= nil then M.refuse_key(path, key, names) end
    local result = {}
    for _, field in ipairs(fields) do
      result[field[1]] = check_field(field, t, path)
    end
    return result
  end
end

local SCALARS <const> = { string = true, number = true, boolean = true }

-- A copy, and how many there are; false where a value may change by itself.
local function copy_of(t)
  local copy, count = {}, 0
  for key, value in next, t do
    if not SCALARS[type(value)] then return false end
    copy[key], count = value, count + 1
  end
  return copy, count
end

local function is_copy(t, copy, count)
  for key, value in next, t do
    if copy[key] ~= value then return false end
    count = count - 1
  end
  return count == 0
end

--- The same rule for the options of calls, of which most say what the one
-- before has said: then nothing is checked again. What comes out is shared
-- between calls, so nobody may change it.
-- @param rule of M.fields
function M.remembered(rule)
  local copy, count, result = false, 0, nil
  return function(t, path)
    local is_bare = type(t) == "table" and not getmetatable(t)
    if not is_bare then return rule(t, path) end
    if copy and is_copy(t, copy, count) then return result end
    result = rule(t, path)
    copy, count = copy_of(t)
    return result
  end
end

return M
