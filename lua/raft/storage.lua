--- The durable state of one node: a directory with a write-ahead log.
--
--   identity          whose it is, and how often it was opened
--   lock              one owner at a time
--   wal-<n>.log       the log, in segments
--   spare             the next segment, being filled with zeros
--   snap-<i>-<t>.snap snapshots: raft.storage.snapshots
--
-- Promises. What was reported by `stored` is on the disk. Reports come in
-- order, from the loop, never inside a call. Damage that may hide a durable
-- fact is refused when the directory is opened. A failed write or sync is
-- reported by `failed`, once, and the last thing that happens; a full disk is
-- not a failure (`space`).
--
-- Limits. `open` waits for the disk: nothing else runs until it returns.
local Blocking = require "raft.storage.blocking"
local Files = require "raft.storage.files"
local Reader = require "raft.storage.reader"
local Removal = require "raft.storage.removal"
local Snapshots = require "raft.storage.snapshots"
local Writer = require "raft.storage.writer"
local errors = require "raft.errors"
local identity = require "raft.storage.identity"
local lock = require "raft.storage.lock"
local names = require "raft.storage.snapshot_names"
local segments = require "raft.storage.segments"

local M = {}

local Storage = { __name = "raft.storage" }
Storage.__index = Storage

local DEFAULTS <const> = {
  memory_bytes = 64 << 20,   -- of the newest entries, handed to the core
  segment_bytes = 64 << 20,  -- of a segment; the first ones are smaller
  mark_ms = 200,             -- without writes, then a mark
}

local function settings(options)
  local out = {}
  for name, default in pairs(DEFAULTS) do
    out[name] = options[name] or default
  end
  out.segment_bytes = segments.fitting(out.segment_bytes)
  return out
end

--------------------------------------------------------------------- opening --

-- All that can raise. `self` keeps what must be given back.
local function open_all(self, options)
  local files, dir = self.files, options.dir
  local chosen = settings(options)
  files:make_dirs(dir)
  self.lock = lock.take(options.host, dir)
  local numbers = segments.list(files, dir)
  local has_past = numbers[1] or names.list(files:list(dir), dir).whole[1]
  local owner = identity.open(files, dir, options.id, options.cluster,
    has_past)
  local state = segments.recover(files, dir, owner.fields, chosen)
  self.snapshots:recover(state.recovered)
  owner.fields.starts = owner.fields.starts + 1
  owner:save()  -- before anything is written or said
  self.owner = owner
  self.recovered, self.report = state.recovered, state.report
  self.incarnation, self.starts = owner.fields.incarnation, owner.fields.starts
  self.identity, self.is_new = owner.fields.identity, owner.is_new
  self.reader = Reader.new(files, dir, state.wal)
  self.writer = Writer.new(files, dir, state, owner, chosen, self.events)
  self.writer:find_spare()
  self.removal = Removal.new(files, dir, state.wal, owner, self.reader,
    function(err) self.writer:fail(err) end)
end

-- The events of the writer, handed on to whoever listens now.
local function events_of(self)
  local function hand_on(name)
    return function(...)
      if self.on[name] then self.on[name](...) end
    end
  end
  return { stored = hand_on("stored"), space = hand_on("space"),
    failed = hand_on("failed") }
end

local function new(options)
  local self
  local guard = options.guard or function(fn)
    return function(...)
      local ok, what = xpcall(fn, debug.traceback, ...)
      if not ok then self:broke(what) end
    end
  end
  self = setmetatable({
    dir = options.dir,
    logger = options.logger or false,
    files = Files.new(options.uv, options.host, guard,
      options.is_direct),
    lock = false,
    owner = false,        -- the identity file
    reader = false,
    replayer = false,     -- a reader that blocks
    writer = false,
    removal = false,      -- of old segments
    snapshots = false,
    on = { stored = false, failed = false, space = false },
    events = false,
    recovered = false,    -- for the core; may be set to false once used
    incarnation = 0,      -- of this directory
    starts = 0,           -- how often it was opened, this time included
    nonce = identity.random(options.uv),  -- names this start
    seed = identity.random(options.uv),   -- of what the core draws
    identity = false,     -- of the cluster: 16 bytes once it has formed
    is_new = false,       -- was the directory empty?
    report = false,       -- what recover of storage/segments found
    has_begun = false,    -- is there work in the background?
    closing = false,      -- "soon" or "now"
    closed = {},          -- to be called when it is
    is_closed = false,
  }, Storage)
  self.events = events_of(self)
  self.snapshots = Snapshots.new(self.files, self.dir, self.logger)
  return self
end

--- Opens a directory, and makes it if need be.
-- @param options uv, host (raft.core.host), dir, id, cluster; if wanted
--   logger, memory_bytes, segment_bytes, mark_ms, is_direct (does the log go
--   past the page cache, where it can?), and guard(fn) -> fn that never raises
--   (default: what raises fails the storage)
-- @return a storage, or nil and an error value
function M.open(options)
  local self = new(options)
  local ok, err = xpcall(open_all, function(what)
    return errors.is_error(what) and what or debug.traceback(what)
  end, self, options)
  if ok then
    if self.logger and self.report.truncated_bytes > 0 then
      self.logger:warn("cut the torn end of the log", self.report)
    end
    return self
  end
  if self.writer then self.writer:stop() end
  self.files:die(function() self:unlock() end)
  if not errors.is_error(err) then error(err, 0) end
  return nil, err
end

----------------------------------------------------------------------- using --

--- Who hears of it: stored(seq), failed(err), space(is_there, err). Nothing is
-- written in the background before the first call, so that until then abort
-- gives the directory back at once.
function Storage:handlers(handlers)
  for name, fn in pairs(handlers) do
    assert(self.on[name] ~= nil, "no such handler")
    self.on[name] = fn
  end
  if self.has_begun then return end
  self.has_begun = true
  self.writer:start()
end

--- Makes entries and hard state durable, in the order of the calls. A store
-- that comes after a failure or close is dropped.
-- @param ... seq, entries, term, vote, commit; and of the snapshot whose mark
--   stands before the entries its index and term, and is_reset: is the log
--   before it void? See csrc/raft.h, STORE
function Storage:store(...)
  if self.closing or self.writer.is_stopped then return end
  self.writer:store(...)
end

--- A durable snapshot covers entries up to `index`, and nobody wants them any
-- more: removes the segments that hold nothing else, oldest first. done(err),
-- from the loop; files that stay behind after an error go at the next start.
function Storage:remove_before(index, done)
  if self.closing or self.writer.is_stopped then return end
  self.removal:remove_before(index, done)
end

--- The newest index behind which lie at least so many bytes of log; 0: none.
function Storage:index_before(bytes)
  return self.writer.wal:before(bytes)
end

--- Reads durable entries back: done(err, encoded), from the loop. At least one
-- entry; "" when `first` is not in the durable log.
function Storage:read(first, last, bytes_max, done)
  if self.closing then return end
  self.reader:read(first, last, bytes_max, done)
end

--- The same, at once, and not so much of it. For the replay at start.
-- @return encoded entries, or nil and an error value
function Storage:read_now(first, last, bytes_max)
  self.replayer = self.replayer
    or Reader.new(Blocking.new(self.files), self.dir, self.writer.wal, true)
  local err, bytes
  self.replayer:read(first, last, bytes_max, function(...)
    err, bytes = ...
  end)
  return bytes, err
end

--- Remembers the identity of the cluster. Waits for the disk.
-- @return true, or nil and an error value
function Storage:adopt(bytes)
  assert(#bytes == 16, "an identity has 16 bytes")
  self.owner.fields.identity = bytes
  local ok, err = pcall(self.owner.save, self.owner)
  if ok then
    self.identity = bytes
    return true
  end
  if not errors.is_error(err) then error(err, 0) end
  self.writer:fail(err)
  return nil, err
end

--- For how many ms the write under way has lasted; 0: there is none.
function Storage:write_age()
  return self.writer:write_age()
end

--- Figures for people.
function Storage:status()
  local segment, offset, size, last = self.writer.wal:position()
  return {
    disk_ms = self.writer.disk_ms,              -- smoothed, of one write
    first_segment = self.owner.fields.first_segment,
    segment = segment,                          -- number of the newest
    segment_offset = offset,
    segment_bytes = size,
    last = last,                                -- newest durable entry
    waiting_bytes = self.writer.waiting_bytes,  -- not yet on their way
    has_space = self.writer.spare.has_space,
    truncated_bytes = self.report.truncated_bytes,
  }
end

--------------------------------------------------------------------- closing --

-- Something of ours raised in a callback: the node cannot go on.
function Storage:broke(what)
  if self.logger then self.logger:error("storage raised", { what = what }) end
  if self.writer then
    self.writer:fail(errors.new("failed", tostring(what)))
  end
end

function Storage:unlock()
  if self.lock then self.lock:unlock() end
  self.lock = false
end

-- The lock goes last: until nothing is being written, nobody else may read.
function Storage:shut()
  if self.closing == "now" then return end
  self.closing = "now"
  self.writer:stop()
  self.snapshots:stop()
  self.files:die(function()
    self:unlock()
    self.files:soon(function()
      self.is_closed = true
      local closed = self.closed
      self.closed = {}
      for _, done in ipairs(closed) do done() end
    end)
  end)
end

-- Remembers whom to call; true when there is nothing left to begin.
function Storage:ask(done)
  if self.is_closed then
    if done then self.files:soon(done) end
    return true
  end
  if done then self.closed[#self.closed + 1] = done end
  return false
end

--- Writes what was stored, marks the end, and gives the directory back:
-- done(). Stores that wait for space are dropped.
function Storage:close(done)
  if self:ask(done) or self.closing then return end
  self.closing = "soon"
  self.writer:finish(function() self:shut() end)
end

--- Gives the directory back as soon as the write under way has ended.
function Storage:abort(done)
  if self:ask(done) then return end
  self:shut()
end

return M
