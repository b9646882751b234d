--- Plain Lua values as JSON: what a status and an error need, and no more.
-- A table is an array when it has a first item, or is json.EMPTY.
local M = {}

M.EMPTY = {}

local ESCAPES <const> = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n",
  ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local encode

local function array(items)
  local parts = {}
  for i, item in ipairs(items) do parts[i] = encode(item) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function object(fields)
  local names, parts = {}, {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    parts[i] = quote(name) .. ":" .. encode(fields[name])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- @param value nil, a boolean, a number, a string in UTF-8, or a table of such
function encode(value)
  if type(value) == "string" then return quote(value) end
  if type(value) ~= "table" then
    return value == nil and "null" or tostring(value)
  end
  if value == M.EMPTY or value[1] ~= nil then return array(value) end
  return object(value)
end

M.encode = encode

return M
