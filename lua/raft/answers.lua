--- Answers of commands as bytes: what a session keeps of them, and what a
-- client is sent. Encoded once, they are the same on every node.
local codec = require "raft.codec"
local core = require "raft.core"
local errors = require "raft.errors"

local M = {}

-- What is plain, and no error: without a table around it, or nothing.
local encode_plain, decode_plain = core.answer_encode, core.answer_decode

-- Of an error: what is the same on every node. A traceback is not.
local KEPT <const> = { "code", "message", "outcome", "retry", "value", "index",
  "where", "reason", "leader", "address", "size", "max", "resent" }

local function fields_of(err)
  local fields = {}
  for _, name in ipairs(KEPT) do fields[name] = err[name] end
  return fields
end

local CODES <const> = {}
for _, code in ipairs(errors.codes()) do CODES[code] = true end

local OUTCOMES <const> = { none = true, unknown = true }

-- The error value of these fields, or nil: no node says such a thing.
local function error_of(fields)
  local is_one = type(fields) == "table" and CODES[fields.code]
    and type(fields.message) == "string"
    and (fields.outcome == nil or OUTCOMES[fields.outcome])
  if not is_one then return nil end
  local details = fields_of(fields)
  details.code, details.message = nil, nil
  return errors.new(fields.code, fields.message, details)
end

-- What was asked for may have been done all the same.
local function none(why)
  return nil, errors.new("corrupt", why or "an answer that is none",
    { outcome = "unknown" })
end

-- What was returned and has no bytes is an error, on every node.
local function not_plain(why)
  local text = errors.is_error(why) and why.message or errors.text(why)
  return errors.new("bad_value", "apply returned what cannot be copied: "
    .. text, { outcome = "unknown" })
end

-- A value that can be copied may still be too deep inside of an answer: then
-- it is left out. Nothing may be raised here, for that would end every node.
local function encode_error(err)
  local fields = fields_of(err)
  local is_plain, bytes = pcall(codec.encode, { error = fields })
  if is_plain then return bytes end
  fields.value = nil
  return codec.encode { error = fields }
end

--- The bytes of what a command has come to.
-- @param ok did it return? Then value and why are its first two results, else
--   value is an error value
function M.encode(ok, value, why)
  if not ok then return encode_error(value) end
  local is_done, bytes = pcall(encode_plain, value, why)
  if is_done and bytes then return bytes end
  is_done, bytes = pcall(codec.encode, { value = value, why = why })
  return is_done and bytes or encode_error(not_plain(bytes))
end

--- Goes through what the commands of a slice of @{raft.machine} have come to,
-- most of which is plain and needs no string of its own.
-- @param plain function(i, last): takes results that are no errors, from the
--   i-th on: how many; up to one that is not plain, or that it will not take
-- @param other function(i, bytes): takes such a one, or an error
function M.each_of(slice, from, last, plain, other)
  local values, whys, errs = slice.values, slice.whys, slice.errors
  local has_errors = next(errs) ~= nil
  local i = from
  while i <= last do
    local stop = has_errors and i - 1 or last
    while stop < last and not errs[stop + 1] do stop = stop + 1 end
    i = i + plain(i, stop)
    if i <= last then
      local err = errs[i]
      other(i, err and M.encode(false, err)
        or M.encode(true, values[i], whys[i]))
      i = i + 1
    end
  end
end

-- What may be an error.
local function decode_any(bytes)
  local answer, err = codec.decode(bytes)
  if err then return none(err.message) end
  if type(answer) ~= "table" then return none() end
  if answer.error ~= nil then
    local value = error_of(answer.error)
    if not value then return none() end
    return false, value
  end
  return true, answer.value, answer.why
end

--- What a command has come to: ok, value, why as encode had them; or nil and
-- the error `corrupt`, outcome unknown.
function M.decode(bytes)
  local ok, value, why = decode_plain(bytes)
  if ok then return true, value, why end
  return decode_any(bytes)
end

return M
