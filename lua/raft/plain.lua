--- Plain values: what can be carried to other nodes, in which order, copies.
-- Plain are nil, booleans, numbers, strings, and tables of them, nested up to
-- 100 deep, without metatables and without cycles; keys are booleans, numbers
-- or strings. Anything else raises bad_value with the path that leads to it.
local errors = require "raft.errors"

local M = {}

local DEPTH_MAX <const> = 100
local KEY_BYTES_MAX <const> = 40  -- of a key shown in an error
local DEPTH_SHOWN <const> = 3     -- a hundred keys would help nobody

M.DEPTH_MAX = DEPTH_MAX

local SCALARS <const> = { ["nil"] = true, boolean = true, number = true,
  string = true }

--- Is this plain without looking further?
function M.is_scalar(value)
  return SCALARS[type(value)] or false
end

----------------------------------------------------------------- the walk --

-- A walk knows the keys that led to where it is, and the tables it is in.
-- Both are arrays that are overwritten, so that a step costs no allocation.

--- @param what how an error calls the value
function M.walk(what)
  return {
    what = what,
    depth = 0,    -- tables we are in
    keys = {},    -- depth -> the key being visited there
    tables = {},  -- depth -> the table
  }
end

local function step_text(key)
  if type(key) == "string" and key:find("^[%a_][%w_]*$") then
    return "." .. key
  elseif type(key) == "string" then
    return ("[%q]"):format(key:sub(1, KEY_BYTES_MAX))
  end
  return "[" .. errors.text(key) .. "]"
end

local function refuse_at(walk, depth, why)
  local path = { walk.what }
  for i = 1, depth do path[#path + 1] = step_text(walk.keys[i]) end
  local text = table.concat(path)
  error(errors.new("bad_value", text .. ": " .. why, { path = text }), 0)
end

-- Every cycle is deeper than the limit, so only there is it looked for.
local function refuse_depth(walk)
  for i = 1, DEPTH_MAX do
    for k = i + 1, DEPTH_MAX do
      if walk.tables[i] == walk.tables[k] then
        refuse_at(walk, k - 1, "a table that contains itself is no value")
      end
    end
  end
  refuse_at(walk, DEPTH_SHOWN,
    "tables are nested deeper than " .. DEPTH_MAX)
end

--- Steps into a table, which must be plain itself.
-- @return the depth of its keys
function M.enter(walk, t)
  if getmetatable(t) ~= nil then
    refuse_at(walk, walk.depth, "a table with a metatable cannot be carried")
  end
  if walk.depth == DEPTH_MAX then refuse_depth(walk) end
  walk.depth = walk.depth + 1
  walk.tables[walk.depth] = t
  return walk.depth
end

function M.leave(walk)
  walk.depth = walk.depth - 1
end

--- Raises for the value that the walk stands at.
function M.refuse(walk, value)
  refuse_at(walk, walk.depth, ("a %s cannot be carried"):format(type(value)))
end

--- Raises for a key of the table that the walk is in.
function M.refuse_key(walk, key)
  refuse_at(walk, walk.depth - 1,
    ("a %s cannot be carried as a key"):format(type(key)))
end

------------------------------------------------------------ order of keys --

local STRING_RANK <const> = 5
local RANKS <const> = { integer = 3, float = 4, string = STRING_RANK }

--- 1 to 5 for false, true, integers, floats, strings; nil: can be no key.
function M.key_rank(key)
  if key == false then return 1 elseif key == true then return 2 end
  return RANKS[math.type(key) or type(key)]
end

local function bytes_less(a, b)
  local i = 1
  while a:byte(i) and a:byte(i) == b:byte(i) do i = i + 1 end
  local x, y = a:byte(i), b:byte(i)
  return y ~= nil and (x == nil or x < y)
end

local function native_less(a, b)
  return a < b
end

local function key_order(string_less)
  return function(a, b)
    local x, y = M.key_rank(a), M.key_rank(b)
    if x ~= y then return x < y end
    if x == STRING_RANK then return string_less(a, b) end
    return x > 2 and a < b
  end
end

--- Does key a come before key b? Strings are compared byte by byte.
M.key_less = key_order(bytes_less)

local native_key_less = key_order(native_less)

-- `<` on strings asks the locale. In the C locale that is the order of bytes,
-- and many times faster than looking at them one by one.
local function is_order_of_bytes()
  local locale = os.setlocale(nil, "collate")
  return locale == "C" or locale == "POSIX"
end

--- The quickest function that does what key_less does, here and now.
function M.key_order()
  return is_order_of_bytes() and native_key_less or M.key_less
end

--- Sorts keys in place.
-- @param only_strings true when all of them are strings, which is quicker
function M.sort_keys(keys, only_strings)
  if only_strings then
    table.sort(keys, not is_order_of_bytes() and bytes_less or nil)
  else
    table.sort(keys, M.key_order())
  end
  return keys
end

--------------------------------------------------------------------- copy --

local function copy_table(walk, t)
  local depth, copied = M.enter(walk, t), {}
  for key, value in next, t do
    if not SCALARS[type(key)] then M.refuse_key(walk, key) end
    walk.keys[depth] = key
    if SCALARS[type(value)] then
      copied[key] = value
    elseif type(value) == "table" then
      copied[key] = copy_table(walk, value)
    else
      M.refuse(walk, value)
    end
  end
  M.leave(walk)
  return copied
end

--- A deep copy of a plain value.
-- @param what how an error calls it; "value" when absent
-- @raise an error value bad_value
function M.copy(value, what)
  if SCALARS[type(value)] then return value end
  local walk = M.walk(what or "value")
  if type(value) ~= "table" then M.refuse(walk, value) end
  return copy_table(walk, value)
end

return M
