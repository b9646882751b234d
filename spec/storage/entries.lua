--- Encoded entries for specs, written from the description of the format.
local M = {}

local CRC <const> = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do c = (c & 1) ~= 0 and (c >> 1) ~ 0x82f63b78 or c >> 1 end
  CRC[i] = c
end

function M.crc32c(bytes)
  local c = 0xffffffff
  for i = 1, #bytes do c = CRC[(c ~ bytes:byte(i)) & 255] ~ (c >> 8) end
  return c ~ 0xffffffff
end

--- One encoded entry, written from the description of the format.
function M.entry(index, term, payload)
  local body = string.pack("<I4i8i8i8I4BBI2", M.crc32c(payload), index, term,
    1000 + index, #payload, 2, 0, 0)
  return string.pack("<I4", M.crc32c(body)) .. body .. payload
end

--- Encoded entries [first, last].
function M.entries(first, last, term, size)
  local list = {}
  for i = first, last do
    list[#list + 1] = M.entry(i, term, ("%d.%d;"):format(i, term) ..
      string.rep("x", size or 0))
  end
  return table.concat(list)
end

return M
