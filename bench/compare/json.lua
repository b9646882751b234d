--- Writes JSON: tables with a 1 are lists, others are objects with sorted keys,
-- so that two runs can be compared line by line. An empty table is a list.
local M = {}

local escapes <const> = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n",
  ["\r"] = "\\r", ["\t"] = "\\t" }

local function text(s)
  return '"' .. s:gsub('[%c"\\]', function(c)
    return escapes[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function number(n)
  if math.type(n) == "integer" then return ("%d"):format(n) end
  assert(n == n and n - n == 0, "JSON has no such number")
  return ("%.6g"):format(n)
end

local encode

local function is_list(value)
  return value[1] ~= nil or next(value) == nil
end

local function list(value, indent)
  local parts = {}
  for i, each in ipairs(value) do parts[i] = encode(each, indent) end
  return "[" .. table.concat(parts, ", ") .. "]"
end

local function object(value, indent)
  local keys, parts, inner = {}, {}, indent .. "  "
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do
    parts[i] = inner .. text(key) .. ": " .. encode(value[key], inner)
  end
  return "{\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "}"
end

function encode(value, indent)
  local kind = type(value)
  if kind == "string" then return text(value) end
  if kind == "number" then return number(value) end
  if kind == "boolean" then return tostring(value) end
  assert(kind == "table", "JSON has no " .. kind)
  if is_list(value) then return list(value, indent) end
  return object(value, indent)
end

--- A value as JSON.
function M.encode(value)
  return encode(value, "")
end

return M
