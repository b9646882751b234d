--- What the system said of a file, as an error value.
local errors = require "raft.errors"

local M = {}

-- Errors that pass when somebody makes room, or closes a file.
local PASSING <const> = { ENOSPC = true, EDQUOT = true, EFBIG = true,
  EMFILE = true, ENFILE = true, ENOMEM = true }
local FULL <const> = { ENOSPC = true, EDQUOT = true, EFBIG = true }

--- @param op "write"; @param text begins with the name of an errno
-- @param offset in bytes, or nil
function M.new(op, path, offset, text)
  local errno = tostring(text):match("^%u[%u%d]+") or "EIO"
  local where = offset and (" at byte %d"):format(offset) or ""
  return errors.new(FULL[errno] and "no_space" or "io_error",
    ("cannot %s %s%s: %s"):format(op, path, where, text),
    { op = op, errno = errno, file = path, offset = offset })
end

--- May trying again help?
function M.is_passing(err)
  return PASSING[err.errno] or false
end

return M
