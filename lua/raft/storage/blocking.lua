--- The calls of Files that a reader makes, done at once: for the replay at
-- start, when nothing else may run yet.
local errors = require "raft.errors"

local M = {}

local Blocking = { __name = "raft.storage.blocking" }
Blocking.__index = Blocking

--- @param files a Files, whose open files are shared
function M.new(files)
  return setmetatable({ files = files }, Blocking)
end

-- done(err) or done(nil, result).
local function answer(done, ok, result)
  if ok then return done(nil, result) end
  if not errors.is_error(result) then error(result, 0) end
  done(result)
end

function Blocking:soon(fn)
  fn()
end

function Blocking:open_later(path, how, done)
  answer(done, pcall(self.files.open, self.files, path, how))
end

function Blocking:close_later(fd, done)
  answer(done, pcall(self.files.close, self.files, fd))
end

function Blocking:read_later(fd, size, offset, done)
  answer(done, pcall(self.files.read, self.files, fd, size, offset))
end

return M
