--- What must hold of raft.codec for any bytes: see fuzz.h. Also that what is in
-- C and its reference in Lua read the same bytes, and write the same values:
-- those that were read, and those that the bytes tell how to build.
-- Returns a function of the bytes that raises when something does not.
local codec = require "raft.codec"
local core = require "raft.core"
local errors = require "raft.errors"
local reference = require "raft.codec.reference"

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

--------------------------------------------------------------------- build --

local SCALARS <const> = { false, true, 0, 1, 2, 3, -1, 64, math.mininteger,
  0.5, -0.0, 2.0 ^ 63, math.huge, 0 / 0, "", "a", "a\0", "\xff",
  ("k"):rep(600) }
local ODD <const> = { print, io.stdout, coroutine.create(print),
  setmetatable({}, {}) }

-- Each byte puts something under a key of the table that we are in, or opens a
-- table there, or closes it, or puts one of those around it there.
local function build(bytes)
  local around, t, key = {}, {}, 1
  for i = 1, #bytes do
    local kind, which = bytes:byte(i) >> 5, bytes:byte(i) & 31
    local scalar = SCALARS[which % #SCALARS + 1]
    if kind < 3 then t[#t + 1] = scalar
    elseif kind == 3 and scalar == scalar then key = scalar
    elseif kind == 4 then t[key] = scalar
    elseif kind == 5 then
      local inner = {}
      t[key], around[#around + 1], t = inner, t, inner
    elseif kind == 6 then t = table.remove(around) or t
    elseif which == 0 then t[key] = around[1]
    elseif which == 1 then t[around[1] or "k"] = 1
    elseif which < 4 then t[key] = ODD[i % #ODD + 1] end
  end
  return around[1] or t
end

-- Both write it, or what is in C refuses what the reference raises for.
local function check_encode(value)
  local ok, expected = pcall(reference.encode, value)
  local bytes, why = core.codec_encode(value)
  if ok then return assert(bytes == expected, "C writes it otherwise") end
  assert(errors.is_error(expected), expected)
  assert(bytes == nil and why == "bad_value", "C writes what is no value")
end

local function check_decode(bytes)
  local value, err = reference.decode(bytes)
  local ok, other = core.codec_decode(bytes)
  assert((ok == true) == (err == nil), "C and Lua read different things")
  if ok then assert(same(value, other), "C and Lua read different values") end
end

return function(bytes)
  check_decode(bytes)
  check_encode(build(bytes))
  local value, err = codec.decode(bytes)
  if err then return check_error(bytes, err) end
  assert(codec.encode(value) == bytes, "a value has another encoding")
  local copy = codec.copy(value)
  assert(same(copy, value), "a copy differs")
  assert(codec.encode(copy) == bytes, "a copy has another encoding")
end
