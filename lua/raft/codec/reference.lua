--- The encoding of raft.codec in Lua: its reference, and who tells its errors.
-- csrc/lua_codec.c does the same at speed and refuses without a word; what it
-- refuses comes here. spec/codec_same_spec.lua holds the two side by side.
local errors = require "raft.errors"
local plain = require "raft.plain"

local M = {}

local VERSION <const> = "\1"
local NIL <const>, FALSE <const>, TRUE <const> = 0, 1, 2
local INTEGER <const>, FLOAT <const>, STRING <const>, TABLE <const> = 3, 4, 5, 6

local FLOAT_FORMAT <const> = "<d"
local FLOAT_BYTES <const> = 8
-- There are many NaNs, and processors disagree on which one 0/0 is.
local NAN <const> = "\0\0\0\0\0\0\xf8\x7f"

local TAGS = {}  -- tag -> the byte that is written
for tag = NIL, TABLE do TAGS[tag] = string.char(tag) end

------------------------------------------------------------------- encode --

local function varint(u)
  if u >= 0 and u < 0x80 then return string.char(u) end
  local bytes = {}
  while u & ~0x7f ~= 0 do
    bytes[#bytes + 1] = string.char((u & 0x7f) | 0x80)
    u = u >> 7
  end
  bytes[#bytes + 1] = string.char(u)
  return table.concat(bytes)
end

-- Not #t: with holes that depends on how the table was filled.
local function count_array(t)
  local n = 0
  while t[n + 1] ~= nil do n = n + 1 end
  return n
end

-- The keys of t outside 1..n, in order.
local function other_keys(walk, t, n)
  local keys, only_strings = {}, true
  for key in next, t do
    local kind = math.type(key) or type(key)
    if kind ~= "integer" or key < 1 or key > n then
      if not plain.key_rank(key) then plain.refuse_key(walk, key) end
      only_strings = only_strings and kind == "string"
      keys[#keys + 1] = key
    end
  end
  if #keys < 2 then return keys end
  return plain.sort_keys(keys, only_strings)
end

local write = {}  -- type -> function(out, value, walk)

local function write_value(out, value, walk)
  local writer = write[math.type(value) or type(value)]
  if not writer then plain.refuse(walk, value) end
  writer(out, value, walk)
end

write["nil"] = function(out)
  out[#out + 1] = TAGS[NIL]
end

function write.boolean(out, value)
  out[#out + 1] = TAGS[value and TRUE or FALSE]
end

function write.integer(out, value)
  out[#out + 1] = TAGS[INTEGER]
  out[#out + 1] = varint((value << 1) ~ -(value >> 63))
end

function write.float(out, value)
  out[#out + 1] = TAGS[FLOAT]
  out[#out + 1] = value == value and FLOAT_FORMAT:pack(value) or NAN
end

function write.string(out, value)
  out[#out + 1] = TAGS[STRING]
  out[#out + 1] = varint(#value)
  out[#out + 1] = value
end

function write.table(out, t, walk)
  local depth, n = plain.enter(walk, t), count_array(t)
  out[#out + 1] = TAGS[TABLE]
  out[#out + 1] = varint(n)
  for i = 1, n do
    walk.keys[depth] = i
    write_value(out, t[i], walk)
  end
  local keys = other_keys(walk, t, n)
  out[#out + 1] = varint(#keys)
  for _, key in ipairs(keys) do
    walk.keys[depth] = key
    write_value(out, key, walk)
    write_value(out, t[key], walk)
  end
  plain.leave(walk)
end

--- As raft.codec has it.
function M.encode(value, what)
  local out = { VERSION }
  local walk = not plain.is_scalar(value) and plain.walk(what or "value")
  write_value(out, value, walk)
  return table.concat(out)
end

------------------------------------------------------------------- decode --

-- Raised inside, caught by decode.
local function corrupt(at, why)
  error(errors.new("corrupt", ("encoded value: %s at byte %d"):format(why, at),
    { offset = at - 1 }), 0)
end

local function read_varint(bytes, at)
  local u, shift = 0, 0
  repeat
    local byte = bytes:byte(at)
    if not byte then corrupt(at, "the end comes too early") end
    if byte == 0 and shift > 0 then corrupt(at, "a number not shortest") end
    if shift == 63 and byte > 1 then corrupt(at, "a number too large") end
    u = u | (byte & 0x7f) << shift
    shift, at = shift + 7, at + 1
  until byte < 0x80
  return u, at
end

-- A count of things of which each takes `size` bytes at least.
local function read_count(bytes, at, size)
  local count, next_at = read_varint(bytes, at)
  if count < 0 or count > (#bytes - next_at + 1) // size then
    corrupt(at, "a length beyond the end")
  end
  return count, next_at
end

local read = {}  -- tag -> function(bytes, at, depth) -> value, next at

local function read_value(bytes, at, depth)
  local tag = bytes:byte(at)
  if not tag then corrupt(at, "the end comes too early") end
  local reader = read[tag]
  if not reader then corrupt(at, "an unknown tag " .. tag) end
  return reader(bytes, at + 1, depth)
end

local function read_inside(bytes, at, depth)
  if bytes:byte(at) == NIL then corrupt(at, "nil in a table") end
  return read_value(bytes, at, depth)
end

read[NIL] = function(_, at) return nil, at end
read[FALSE] = function(_, at) return false, at end
read[TRUE] = function(_, at) return true, at end

read[INTEGER] = function(bytes, at)
  local u, next_at = read_varint(bytes, at)
  return (u >> 1) ~ -(u & 1), next_at
end

read[FLOAT] = function(bytes, at)
  if #bytes - at + 1 < FLOAT_BYTES then
    corrupt(at, "the end comes too early")
  end
  local value, next_at = FLOAT_FORMAT:unpack(bytes, at)
  if value ~= value and bytes:sub(at, next_at - 1) ~= NAN then
    corrupt(at, "a NaN of another make")
  end
  return value, next_at
end

read[STRING] = function(bytes, at)
  local size, from = read_count(bytes, at, 1)
  return bytes:sub(from, from + size - 1), from + size
end

-- A key after the array 1..n: one that encode would write, and write here.
local function check_key(key, last, n, at)
  if not plain.key_rank(key) or key ~= key then
    corrupt(at, "a key that cannot be one")
  elseif math.type(key) == "float" and math.tointeger(key) then
    corrupt(at, "an integer key written as a float")
  elseif math.type(key) == "integer" and key >= 1 and key <= n + 1 then
    corrupt(at, "a key that belongs to the array")
  elseif last ~= nil and not plain.key_less(last, key) then
    corrupt(at, "keys out of order")
  end
end

local function read_array(bytes, at, depth, t)
  local n
  n, at = read_count(bytes, at, 1)
  for i = 1, n do t[i], at = read_inside(bytes, at, depth) end
  return n, at
end

local function read_pairs(bytes, at, depth, t, n)
  local count, last
  count, at = read_count(bytes, at, 2)
  for _ = 1, count do
    local key, value_at = read_inside(bytes, at, depth)
    check_key(key, last, n, at)
    t[key], at = read_inside(bytes, value_at, depth)
    last = key
  end
  return at
end

read[TABLE] = function(bytes, at, depth)
  if depth == plain.DEPTH_MAX then corrupt(at, "nested too deep") end
  local t = {}
  local n, pairs_at = read_array(bytes, at, depth + 1, t)
  return t, read_pairs(bytes, pairs_at, depth + 1, t, n)
end

local function read_message(bytes)
  if bytes:sub(1, 1) ~= VERSION then corrupt(1, "not version 1") end
  local value, at = read_value(bytes, 2, 0)
  if at <= #bytes then corrupt(at, "more bytes than the value has") end
  return value
end

--- As raft.codec has it, of a string.
function M.decode(bytes)
  local ok, value = pcall(read_message, bytes)
  if ok then return value end
  if not errors.is_error(value) then error(value, 0) end
  return nil, value
end

return M
