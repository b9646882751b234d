--- A snapshot that is being received: a file that grows from front to back.
--
-- Promises. What `write_later` has reported is in the file, and a later offer
-- of the same file, of this start or another, goes on behind it. The file
-- counts for nothing before all of it was verified and is durable. What is not
-- yet on the disk is bounded, so that the log's syncs do not wait long for it.
--
-- Limits. One call at a time.
local errors = require "raft.errors"
local names = require "raft.storage.snapshot_names"
local snapfile = require "raft.storage.snapfile"

local M = {}

local Incoming = { __name = "raft.storage.incoming" }
Incoming.__index = Incoming

local DIRTY_BYTES_MAX <const> = 16 << 20  -- written and not yet synced

-- Opens the file, which may hold a part already. Raises error values.
local function open(files, dir, meta)
  local path = names.incoming(dir, meta)
  local there = files:size_of(path) or 0
  local is_part = there > 0 and there <= meta.size
  local fd = files:open(path, is_part and "write" or "scratch")
  return path, fd, is_part and there or 0
end

--- The file of this offer. Waits for the disk.
-- @param meta index, term, size, checksum
-- @param whole function(info): one is there
-- @return it, or nil and an error value
function M.open(files, dir, meta, whole)
  local ok, path, fd, there = pcall(open, files, dir, meta)
  if not ok and not errors.is_error(path) then error(path, 0) end
  if not ok then return nil, path end
  return setmetatable({
    files = files,
    dir = dir,
    whole = whole,
    meta = meta,
    path = path,
    fd = fd,        -- false: it is over
    offset = there, -- all before it is written
    dirty = there,  -- bytes of it that may not be on the disk
    is_busy = false,
  }, Incoming)
end

--- Is it the same file? These four name its content.
function M.is_same(a, b)
  return a.index == b.index and a.term == b.term and a.size == b.size
    and a.checksum == b.checksum
end

-- Runs act(finish) while nothing else may: done(...) once finish(...) was.
function Incoming:alone(act, done)
  assert(self.fd, "it is over")
  assert(not self.is_busy, "one call at a time")
  self.is_busy = true
  act(function(...)
    self.is_busy = false
    done(...)
  end)
end

function Incoming:sync(done)
  self.files:later("fsync", self.path, nil, function(err)
    if not err then self.dirty = 0 end
    done(err)
  end, self.fd)
end

--- Writes the bytes at `offset`, which must be where it stands: done(err).
function Incoming:write_later(offset, bytes, done)
  assert(offset == self.offset, "a hole in the file")
  self:alone(function(finish)
    self.files:write_later(self.fd, bytes, offset, function(err)
      if err then return finish(err) end
      self.offset, self.dirty = offset + #bytes, self.dirty + #bytes
      if self.dirty < DIRTY_BYTES_MAX then return finish() end
      self:sync(finish)
    end)
  end, done)
end

-- Syncs, reads all of it, and compares it with what was offered.
function Incoming:prove(done)
  local files, path = self.files, self.path
  self:sync(function(sync_err)
    if sync_err then return done(sync_err) end
    if files.host.forget then files.host.forget(self.fd) end
    snapfile.verify_later(files, self.fd, path, function(err, info)
      if not err and not M.is_same(self.meta, info) then
        err = snapfile.damage(path, info.size, "corrupt",
          "not what was offered")
      end
      done(err, info)
    end)
  end)
end

-- Gives the proven file its name.
function Incoming:name(info, done)
  local from, to = self.path, names.path(self.dir, info)
  local fd = self.fd
  self.fd = false
  self.files:close_later(fd, function(close_err)
    if close_err then return done(close_err) end
    self.files:rename_later(from, to, function(err)
      if err then return done(err) end
      info.path = to
      self.files:sync_dir_later(self.dir, done)
    end)
  end)
end

--- All of it is written: verifies it and gives it its name: done(err, info).
function Incoming:finish_later(done)
  self:alone(function(finish)
    self:prove(function(err, info)
      if err then return finish(err) end
      self:name(info, function(name_err)
        if name_err then return finish(name_err) end
        self.whole(info)
        finish(nil, info)
      end)
    end)
  end, done)
end

--- It is of no use: nothing of it stays. Again, or after its end: nothing.
function Incoming:drop()
  if not self.fd then return end
  assert(not self.is_busy, "not while it is written")
  local fd, path = self.fd, self.path
  self.fd = false
  self.files:close_later(fd, function()
    self.files:remove_later(path, function() end)
  end)
end

return M
