--- tostring and string.format without addresses: these differ from node to
-- node.
local M = {}

local raw_format, raw_tostring = string.format, tostring

local HAS_TEXT <const> = { ["nil"] = true, boolean = true, number = true,
  string = true }

-- Level 3 is who called tostring or format.
local function text_of(value)
  if HAS_TEXT[type(value)] then return raw_tostring(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then
    return raw_tostring(value)
  end
  error(("the text of a %s is its address, which differs from node to node")
    :format(type(value)), 3)
end

--- tostring; of what has no text it raises.
function M.tostring(value)
  local text = text_of(value)
  return text
end

--- string.format; %p, and %s of what has no text, raise.
function M.format(format, ...)
  if type(format) == "string"
    and format:gsub("%%%%", ""):find("%%[-+ #0-9.]*p") then
    error("%p is an address, which differs from node to node", 2)
  end
  local count, arguments = select("#", ...), { ... }
  for i = 1, count do
    local value = arguments[i]
    if not HAS_TEXT[type(value)] then arguments[i] = text_of(value) end
  end
  return raw_format(format, table.unpack(arguments, 1, count))
end

return M
