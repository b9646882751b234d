--- Lets old segments go, once a snapshot covers what is in them.
--
-- Promises. The identity file says which segment is the oldest before an older
-- one leaves, and then they leave oldest first: so whatever a crash leaves is
-- a whole log, perhaps with files before it, which the next start removes. The
-- newest segment stays, and whatever the log needs to be read from its begin.
local segments = require "raft.storage.segments"

local M = {}

local Removal = { __name = "raft.storage.removal" }
Removal.__index = Removal

--- @param owner the identity file
-- @param reader told of what goes
-- @param failed(err): the identity file could not be written
function M.new(files, dir, wal, owner, reader, failed)
  return setmetatable({
    files = files,
    dir = dir,
    wal = wal,
    owner = owner,
    reader = reader,
    failed = failed,
    is_busy = false,
    upto = 0,       -- the newest index asked for
    waiting = {},   -- to be called when all asked for is gone
  }, Removal)
end

--- See Storage:remove_before. One after the other; what is asked for meanwhile
-- is done in one go.
function Removal:remove_before(index, done)
  if index > self.upto then self.upto = index end
  if done then self.waiting[#self.waiting + 1] = done end
  if self.is_busy then return end
  self.is_busy = true
  self.files:soon(function() self:begin() end)
end

function Removal:begin()
  local waiting = self.waiting
  local first, oldest = self.owner.fields.first_segment,
    self.wal:oldest(self.upto)
  self.waiting = {}
  if oldest <= first then return self:finish(waiting) end
  self.owner.fields.first_segment = oldest
  self.owner:save_later(function(err)
    if err then
      self.failed(err)
      return self:finish(waiting, err)
    end
    self.wal:drop(oldest)
    self.reader:forget(oldest)
    self:unlink(first, oldest, function(unlink_err)
      self:finish(waiting, unlink_err)
    end)
  end)
end

function Removal:unlink(number, oldest, done)
  if number == oldest then return self.files:sync_dir_later(self.dir, done) end
  self.files:remove_later(segments.path(self.dir, number), function(err)
    if err then return done(err) end
    self:unlink(number + 1, oldest, done)
  end)
end

function Removal:finish(waiting, err)
  self.is_busy = false
  for _, done in ipairs(waiting) do done(err) end
  if self.waiting[1] and not self.is_busy then
    self.is_busy = true
    self:begin()
  end
end

return M
