--- The snapshots of a directory: which one counts, how another is made.
--
--   snap-<index>-<term>.snap       whole, verified when it got its name
--   snap-<index>-<term>.snap.tmp   being written
--   incoming-...                   being received: raft.storage.incoming
--
-- Promises. A file gets its name once it is durable and was read back. The ones
-- before stay until `settled` says that the log knows of a newer one, and while
-- somebody has them pinned. An error, a full disk too, leaves them as they are.
--
-- Limits. `recover`, `write` and readers wait for the disk.
local Incoming = require "raft.storage.incoming"
local Source = require "raft.storage.snapshot_source"
local child = require "raft.storage.child"
local errors = require "raft.errors"
local names = require "raft.storage.snapshot_names"
local snapfile = require "raft.storage.snapfile"
local start = require "raft.storage.snapshot_start"

local M = {}

local Snapshots = { __name = "raft.storage.snapshots" }
Snapshots.__index = Snapshots

--- @param files where calls go
-- @param logger for what is thrown away; or false
function M.new(files, dir, logger)
  return setmetatable({
    files = files,
    dir = dir,
    logger = logger or false,
    known = {},        -- infos of whole files, by index
    newest = false,    -- the last of them
    settled_index = 0, -- the log knows of the snapshot here
    pins = {},         -- path -> how often it is pinned
    child = false,     -- that writes one
    incoming = false,  -- the one that is received, or was
    part = false,      -- what a life before has received of one
  }, Snapshots)
end

-- Knows a whole file from now on; one of the same name is the same one.
function Snapshots:add(info)
  local at = #self.known + 1
  for i, known in ipairs(self.known) do
    if known.path == info.path then
      self.known[i] = info
      at = false
      break
    elseif known.index > info.index then
      at = i
      break
    end
  end
  if at then table.insert(self.known, at, info) end
  self.newest = self.known[#self.known]
end

--- What counts of the files that are there: `newest`. Removes what does not.
-- Raises error values.
-- @param recovered what the log holds
function Snapshots:recover(recovered)
  local info
  info, self.part = start.recover(self.files, self.dir, recovered, self.logger)
  if not info then return end
  self:add(info)
  self.settled_index = info.index
end

------------------------------------------------------------------ making --

--- Where a snapshot is written until it is whole: by `write`, or by a child.
function Snapshots:unfinished_path(meta)
  return names.path(self.dir, meta) .. ".tmp"
end

--- Writes one, and waits: true, or nil and an error value. It counts for
-- nothing before `publish`.
-- @param save function(add): calls add(piece) with the state; may raise error
--   values
function Snapshots:write(meta, save)
  local path, fd, failure = self:unfinished_path(meta), false, false
  local offset = 0
  local function write(bytes)
    if failure then error(failure, 0) end  -- raised before, and caught there
    local ok, err = pcall(self.files.write, self.files, fd, bytes, offset)
    if not ok then
      failure = err
      error(err, 0)
    end
    offset = offset + #bytes
  end
  local ok, err = pcall(function()
    fd = self.files:open(path, "scratch")
    snapfile.encode(meta, save, write)
    local whole = fd
    fd = false
    self.files:close(whole)
  end)
  if ok and not failure then return true end
  err = failure or err
  if fd then pcall(self.files.close, self.files, fd) end
  pcall(self.files.remove, self.files, path)  -- the next start does it else
  if not errors.is_error(err) then error(err, 0) end
  return nil, err
end

--- Can a child write it?
function Snapshots:can_fork()
  return child.is_possible(self.files.host)
end

--- The same in a child, which sees the state as it is now: done(err), from the
-- loop.
function Snapshots:fork(meta, save, done)
  local path = self:unfinished_path(meta)
  self.child = child.start(self.files, path, function(write)
    snapfile.encode(meta, save, write)
  end, function(err)
    self.child = false
    if not err then return done() end
    self.files:remove_later(path, function() done(err) end)
  end)
end

--- Ends what is under way in a child.
function Snapshots:stop()
  if self.child then self.child:kill() end
  self.child = false
end

-- Syncs what was written, and reads it back: done(err, info).
local function prove(files, path, done)
  files:open_later(path, "write", function(open_err, fd)
    if open_err then return done(open_err) end
    local function finish(err, info)
      files:close_later(fd, function(close_err)
        done(err or close_err, info)
      end)
    end
    files:later("fsync", path, nil, function(err)
      if err then return finish(err) end
      if files.host.forget then files.host.forget(fd) end
      snapfile.verify_later(files, fd, path, finish)
    end, fd)
  end)
end

--- Makes what was written durable, verifies it, and gives it its name:
-- done(err, info), from the loop. After an error nothing of it is left.
function Snapshots:publish(meta, done)
  local from, to = self:unfinished_path(meta), names.path(self.dir, meta)
  local path = from  -- where it is
  local function finish(err, info)
    if not err then
      info.path = to
      self:add(info)
      return done(nil, info)
    end
    self.files:remove_later(path, function() done(err) end)
  end
  prove(self.files, from, function(err, info)
    if err then return finish(err) end
    if info.index ~= meta.index or info.term ~= meta.term then
      return finish(snapfile.damage(from, 0, "corrupt", "of another place"))
    end
    self.files:rename_later(from, to, function(rename_err)
      if rename_err then return finish(rename_err) end
      path = to
      self.files:sync_dir_later(self.dir, function(sync_err)
        finish(sync_err, info)
      end)
    end)
  end)
end

------------------------------------------------------------------- using --

--- A reader of its state: reader:read() -> piece or nil, reader:close(). Both
-- wait, and raise error values.
function Snapshots:reader(info)
  return snapfile.reader(self.files, info)
end

--- The whole file of this index and term, or nil.
function Snapshots:find(index, term)
  for _, info in ipairs(self.known) do
    if info.index == index and info.term == term then return info end
  end
end

-- The same snapshot without a state, which is what a witness gets.
local function bare_of(info)
  local pieces = {}
  local bare = setmetatable({ state_bytes = 0, is_bare = true },
    { __index = info })
  bare.size, bare.checksum = snapfile.encode(bare, false, function(bytes)
    pieces[#pieces + 1] = bytes
  end)
  return bare, table.concat(pieces)
end

--- The newest file, which stays until it is unpinned: nil when it does not
-- cover `index`, or a source:
--   info, read_later(offset, size, done(err, bytes)), unpin()
-- @param is_bare one of the same place without a state, for a witness
function Snapshots:pin(index, is_bare)
  local info = self.newest
  if not info or info.index < index then return nil end
  if is_bare then
    local bare, bytes = bare_of(info)
    return Source.of_bytes(function(fn) self.files:soon(fn) end, bare, bytes,
      function() end)
  end
  local path = info.path
  self.pins[path] = (self.pins[path] or 0) + 1
  return Source.of_file(self.files, info, function()
    self.pins[path] = self.pins[path] > 1 and self.pins[path] - 1 or nil
    self:sweep()
  end)
end

M.bare_of = bare_of

--- The log knows, durably, of this one: those before it may go.
function Snapshots:settled(info)
  self.settled_index = math.max(self.settled_index, info.index)
  self:sweep()
end

-- Removes in the background what is of no use. A file that stays behind for an
-- error goes at the next start.
function Snapshots:sweep()
  local kept = {}
  for _, info in ipairs(self.known) do
    if info.index >= self.settled_index or self.pins[info.path] then
      kept[#kept + 1] = info
    else
      self.files:remove_later(info.path, function() end)
    end
  end
  self.known = kept
  if self.part and self.part.index <= self.settled_index then
    self:drop_part()
  end
end

-- What a life before had received is not wanted any more.
function Snapshots:drop_part()
  self.files:remove_later(self.part.path, function() end)
  self.part = false
end

--------------------------------------------------------------- receiving --

--- A file is offered: what writes it, or nil and an error value. See
-- raft.storage.incoming: offset, write_later, finish_later, drop.
-- @param meta index, term, size, checksum
function Snapshots:receive(meta)
  local old = self.incoming
  if old and old.fd then
    if Incoming.is_same(old.meta, meta) then return old end
    if old.is_busy then
      return nil, errors.new("busy", "another snapshot is being written")
    end
    old:drop()
  end
  local incoming, err = Incoming.open(self.files, self.dir, meta,
    function(info) self:add(info) end)
  self.incoming = incoming or false
  if incoming and self.part then
    if self.part.path == incoming.path then
      self.part = false  -- it is the incoming one's now
    else
      self:drop_part()
    end
  end
  return incoming, err
end

return M
