--- Plain Lua values to bytes and back, the same bytes on every machine.
-- Equal values give equal bytes, in whatever order their tables were filled;
-- decode accepts only what encode would write, and believes no length that
-- the bytes do not bear out. A table that occurs twice is written twice.
--
--   message  version = 1, value
--   value    0 nil | 1 false | 2 true
--            | 3 integer: zigzag varint
--            | 4 float: 8 bytes, low byte first
--            | 5 string: varint size, bytes
--            | 6 table: varint n, the values of keys 1..n (n: as many as
--              there are), varint m, m times key and value, keys ascending
--   keys     false < true < integers < floats < strings by bytes
--   varint   7 bits a byte, low bits first, high bit set: more follow;
--            always the shortest
--
-- The work is done in C (csrc/lua_codec.c). What C refuses goes through
-- codec/reference.lua: the same in Lua, with words for what is wrong.
local core = require "raft.core"
local plain = require "raft.plain"
local reference = require "raft.codec.reference"

local M = {}

local core_encode, core_decode = core.codec_encode, core.codec_decode

--- The bytes of a plain value.
-- @param what how an error calls the value; "value" when absent
-- @raise an error value bad_value, with the path of what is not plain
function M.encode(value, what)
  return core_encode(value) or reference.encode(value, what)
end

--- The value that these bytes encode.
-- @return the value (which may be nil), or nil and the error `corrupt` with
--   its `offset`; success is that there is no error
function M.decode(bytes)
  if type(bytes) ~= "string" then
    error("raft.codec.decode: expected a string, got " .. type(bytes), 2)
  end
  local ok, value = core_decode(bytes)
  if ok then return value end
  return reference.decode(bytes)
end

--- A deep copy of a plain value, with the checks of encode.
-- @function copy
M.copy = plain.copy

return M
