--- What must hold of raft.codec for any bytes: see fuzz.h.
-- Returns a function of the bytes that raises when something does not.
local codec = require "raft.codec"
local errors = require "raft.errors"

-- What cannot be decoded says where: at a byte, or right behind the last one.
local function check_error(bytes, err)
  assert(errors.is_error(err), "not an error value")
  assert(err.code == "corrupt", "another code than corrupt")
  local offset = err.offset
  assert(offset >= 0 and offset <= #bytes, "damage beyond the bytes")
end

local function same(a, b)
  if type(a) ~= "table" then
    return a == b and math.type(a) == math.type(b) or a ~= a and b ~= b
  end
  for key, value in next, a do
    if not same(value, b[key]) then return false end
  end
  for key in next, b do
    if a[key] == nil then return false end
  end
  return true
end

return function(bytes)
  local value, err = codec.decode(bytes)
  if err then return check_error(bytes, err) end
  assert(codec.encode(value) == bytes, "a value has another encoding")
  local copy = codec.copy(value)
  assert(same(copy, value), "a copy differs")
  assert(codec.encode(copy) == bytes, "a copy has another encoding")
end
