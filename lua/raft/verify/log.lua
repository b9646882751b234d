--- The entries of a directory that nobody runs, one after the other.
local core = require "raft.core"
local errors = require "raft.errors"

local M = {}

local READ_BYTES <const> = 1 << 20  -- at a time

local Log = { __name = "raft.verify.log" }
Log.__index = Log

--- @param offline raft.storage.offline
function M.new(offline)
  local found = offline.found
  return setmetatable({
    storage = offline.storage,
    dir = offline.storage.dir,
    first = found.base_index + 1,  -- oldest entry
    last = found.last,             -- newest one
    commit = math.min(found.commit, found.last),  -- known to be committed
    bytes = "",   -- read, from entry `next` on
    at = 1,       -- of that entry in them
    next = 0,     -- index that comes next; 0: none was read
  }, Log)
end

local function damaged(self, index, why)
  error(errors.new("corrupt", ("%s: entry %d cannot be read: %s"):format(
    self.dir, index, why), { dir = self.dir, index = index }), 0)
end

local function fill(self, index)
  local bytes, err = self.storage:read_now(index, self.last, READ_BYTES)
  if not bytes then error(err, 0) end
  if bytes == "" then damaged(self, index, "it is not there") end
  self.bytes, self.at, self.next = bytes, 1, index
end

--- The entry at `index`: kind, term, time, payload. Cheap for one that follows
-- the one before. Raises error values.
function Log:entry(index)
  assert(index >= self.first and index <= self.last, "not in the log")
  if index ~= self.next or self.at > #self.bytes then fill(self, index) end
  local at, found, kind, term, time, payload =
    core.wal_entry(self.bytes, self.at)
  if not at then damaged(self, index, found) end
  if found ~= index then damaged(self, index, "another is in its place") end
  self.at, self.next = at, index + 1
  return kind, term, time, payload
end

return M
