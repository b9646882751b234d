--- Protocol Buffers, as far as the calls of etcd need them: fields of integers
-- and bytes.
local M = {}

local VARINT <const>, BYTES <const> = 0, 2

local function varint(value)
  local bytes = {}
  while value >= 0x80 do
    bytes[#bytes + 1] = string.char(value & 0x7f | 0x80)
    value = value >> 7
  end
  bytes[#bytes + 1] = string.char(value)
  return table.concat(bytes)
end

local function read_varint(bytes, at)
  local value, shift = 0, 0
  while true do
    local byte = bytes:byte(at) or error("a message ends within a number")
    value = value | (byte & 0x7f) << shift
    at, shift = at + 1, shift + 7
    if byte < 0x80 then return value, at end
  end
end

function M.integer(field, value)
  return varint(field << 3 | VARINT) .. varint(value)
end

function M.bytes(field, value)
  return varint(field << 3 | BYTES) .. varint(#value) .. value
end

--- Field number -> its last value: an integer or bytes.
function M.fields(message)
  local fields, at = {}, 1
  while at <= #message do
    local key, value, size
    key, at = read_varint(message, at)
    if key & 7 == VARINT then
      value, at = read_varint(message, at)
    else
      assert(key & 7 == BYTES, "neither integer nor bytes")
      size, at = read_varint(message, at)
      value, at = message:sub(at, at + size - 1), at + size
    end
    fields[key >> 3] = value
  end
  return fields
end

return M
