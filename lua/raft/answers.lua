--- Answers of commands as bytes: what a session keeps of them, and what a
-- client is sent. Encoded once, they are the same on every node.
local codec = require "raft.codec"
local errors = require "raft.errors"

local M = {}

-- Of an error: what is the same on every node. A traceback is not.
local KEPT <const> = { "code", "message", "outcome", "retry", "value", "index",
  "where", "reason", "leader", "address", "size", "max" }

local function fields_of(err)
  local fields = {}
  for _, name in ipairs(KEPT) do fields[name] = err[name] end
  return fields
end

local function error_of(fields)
  local code, message = fields.code, fields.message
  fields.code, fields.message = nil, nil
  return errors.new(code, message, fields)
end

-- What was returned and has no bytes is an error, on every node.
local function not_plain(why)
  local text = errors.is_error(why) and why.message or errors.text(why)
  return errors.new("bad_value", "apply returned what cannot be copied: "
    .. text, { outcome = "unknown" })
end

--- The bytes of what a command has come to.
-- @param ok did it return? Then value and why are its first two results, else
--   value is an error value
function M.encode(ok, value, why)
  if ok then
    local is_plain, bytes = pcall(codec.encode, { value = value, why = why })
    if is_plain then return bytes end
    value = not_plain(bytes)
  end
  return codec.encode { error = fields_of(value) }
end

--- What a command has come to: ok, value, why as encode had them; or nil and
-- the error `corrupt`.
function M.decode(bytes)
  local answer, err = codec.decode(bytes)
  if err then return nil, err end
  if answer.error then return false, error_of(answer.error) end
  return true, answer.value, answer.why
end

return M
