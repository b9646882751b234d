--- Has the log grown so much that another snapshot is due?
--
-- Counts what is written in this life, and looks at the log itself at times:
-- for what lives before have left, and for what was written, but not yet
-- applied, when the last snapshot was taken.
local core = require "raft.core"

local M = {}

local Growth = { __name = "raft.node.growth" }
Growth.__index = Growth

local GROWTH <const> = 4  -- times the last snapshot, at least
local LOOKS <const> = 16  -- at the log, while snapshot_bytes are written
local SECTOR <const> = core.WAL_SECTOR

--- @param driver gives storage, options, applied
function M.new(driver)
  return setmetatable({
    driver = driver,
    log_bytes = 0,       -- of entries, given to the storage so far
    taken_at = 0,        -- log_bytes at the last snapshot
    disk_bytes = 0,      -- what they take there, at the most
    looked_at = false,   -- disk_bytes at the last look at the log; false: never
    need = false,        -- by how much it must grow; false: not known
    step = 0,            -- bytes on disk between two looks
  }, Growth)
end

--- So many bytes of entries are on their way to the disk.
function Growth:stored(bytes)
  self.log_bytes = self.log_bytes + bytes
  self.disk_bytes = self.disk_bytes + (bytes // SECTOR + 1) * SECTOR
end

--- A snapshot of what is applied now is being taken, or came in.
function Growth:taken()
  self.taken_at = self.log_bytes
end

--- There is a newer snapshot: looks anew.
function Growth:settled()
  self.looked_at, self.need = false, false
end

-- How much the log must have grown. Both bounds have to be passed: many small
-- snapshots cost little, but a large state must not be written again and again
-- for a small part of it.
local function measure(self)
  local driver = self.driver
  local newest, least = driver.storage.snapshots.newest,
    driver.options.snapshot_bytes
  self.need = math.max(least, newest and GROWTH * newest.state_bytes or 0)
  self.step = least // LOOKS
end

-- Is there so much log behind the newest snapshot?
local function is_log_long(self)
  local driver = self.driver
  if self.looked_at and self.disk_bytes - self.looked_at < self.step then
    return false
  end
  local newest = driver.storage.snapshots.newest
  local upto = newest and newest.index or 0
  if driver.applied <= upto then return false end
  self.looked_at = self.disk_bytes
  local index = driver.storage:index_before(self.need)
  return index > 0 and index >= upto
end

function Growth:is_enough()
  if not self.need then measure(self) end
  return self.log_bytes - self.taken_at >= self.need or is_log_long(self)
end

return M
