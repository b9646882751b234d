--- The lock of a directory: one owner at a time.
local errors = require "raft.errors"

local M = {}

--- Takes it, or raises an error value that says who has it.
-- @return what unlocks it
function M.take(host, dir)
  local path = dir .. "/lock"
  local lock, code, detail = host.lock(path)
  if lock then return lock end
  if code == "dir_locked" then
    local whom = detail > 0 and (" by process %d"):format(detail) or ""
    error(errors.new(code, dir .. " is in use" .. whom,
      { dir = dir, pid = detail }), 0)
  end
  error(errors.new("io_error", ("cannot lock %s: %s"):format(path, detail),
    { op = "lock", file = path, reason = detail }), 0)
end

return M
