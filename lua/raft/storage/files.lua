--- Files through luv, with every result checked and every error named.
--
-- Two faces. While a directory is opened nothing else runs: calls wait, and
-- raise an error value, which Storage.open catches. Later, calls named
-- *_later go through the thread pool and end in done(err, result), called
-- from the loop and never before the call has returned.
--
-- A durable write is one write to a file opened with O_DSYNC where that
-- reaches the disk, and a write and a sync elsewhere. To a file that was given
-- to `direct` it goes past the page cache.
local Direct = require "raft.storage.direct"
local fault = require "raft.storage.fault"

local M = {}

local Files = { __name = "raft.storage.files" }
Files.__index = Files

local MODE <const> = tonumber("600", 8)
local DIR_MODE <const> = tonumber("700", 8)

-- O_DSYNC of macOS stops at the cache of the drive; its sync does not.
local function dsync_flag(uv)
  local system = uv.os_uname and uv.os_uname().sysname or ""
  return system ~= "Darwin" and uv.constants.O_DSYNC or 0
end

--- @param guard wraps a callback, so that nothing it raises reaches luv
-- @param is_direct shall there be a `direct`, where the system has that?
function M.new(uv, host, guard, is_direct)
  local self = setmetatable({
    uv = uv,
    host = host,
    guard = guard,
    direct = false,          -- raft.storage.direct; or none
    dsync = dsync_flag(uv),  -- 0: a sync follows each durable write
    open_fds = {},           -- fd -> path
    busy = 0,                -- calls in the thread pool
    is_dead = false,         -- are results dropped?
    when_idle = false,       -- called once nothing is in the pool
  }, Files)
  if is_direct and self.dsync ~= 0 then self.direct = Direct.new(self) end
  return self
end

--------------------------------------------------------------------- errors --

local function check(op, path, offset, result, text)
  if result == nil then error(fault.new(op, path, offset, text), 0) end
  return result
end

--------------------------------------------------------------------- waiting --

--- Opens a file: how = "read", "write", "durable", "create" (empty, durable)
-- or "scratch" (empty, never synced).
function Files:flags(how)
  local c = self.uv.constants
  if how == "read" then return c.O_RDONLY end
  if how == "write" then return c.O_RDWR end
  if how == "durable" then return c.O_RDWR | self.dsync end
  local fresh = c.O_RDWR | c.O_CREAT | c.O_TRUNC
  if how == "scratch" then return fresh end
  assert(how == "create", "no such way to open")
  return fresh | self.dsync
end

function Files:open(path, how)
  local fd = check("open", path, nil,
    self.uv.fs_open(path, self:flags(how), MODE))
  self.open_fds[fd] = path
  return fd
end

-- Nobody writes to the file any more: its path.
local function forget(self, fd)
  local path = self.open_fds[fd]
  if self.direct then self.direct:leave(fd) end
  self.open_fds[fd] = nil
  return path
end

function Files:close(fd)
  local path = forget(self, fd)
  check("close", path, nil, self.uv.fs_close(fd))
end

--- Bytes of the open file.
function Files:size(fd)
  return check("stat", self.open_fds[fd], nil, self.uv.fs_fstat(fd)).size
end

--- Up to `size` bytes; fewer only at the end of the file.
function Files:read(fd, size, offset)
  local pieces, got = {}, 0
  while got < size do
    local piece = check("read", self.open_fds[fd], offset + got,
      self.uv.fs_read(fd, size - got, offset + got))
    if #piece == 0 then break end
    pieces[#pieces + 1], got = piece, got + #piece
  end
  return pieces[2] and table.concat(pieces) or pieces[1] or ""
end

function Files:write(fd, bytes, offset)
  local path, done = self.open_fds[fd], 0
  while done < #bytes do
    local rest = done == 0 and bytes or bytes:sub(done + 1)
    local n = check("write", path, offset + done,
      self.uv.fs_write(fd, rest, offset + done))
    if n == 0 then check("write", path, offset + done, nil, "EIO: no bytes") end
    done = done + n
  end
end

function Files:sync(fd)
  check("sync", self.open_fds[fd], nil, self.uv.fs_fsync(fd))
end

--- Makes the next reads tell what the disk holds: what is dirty is written,
-- and what only the cache believes, after a sync that failed, is dropped.
function Files:settle(fd)
  self:sync(fd)
  if self.host.forget then self.host.forget(fd) end
end

function Files:sync_dir(path)
  local fd = self:open(path, "read")
  self:sync(fd)
  self:close(fd)
end

function Files:rename(from, to)
  check("rename", from, nil, self.uv.fs_rename(from, to))
end

--- Removes a file that need not be there.
function Files:remove(path)
  local ok, text, name = self.uv.fs_unlink(path)
  if not ok and name ~= "ENOENT" then check("remove", path, nil, ok, text) end
end

--- Bytes of the file, or nil when it is not there.
function Files:size_of(path)
  local stat, text, name = self.uv.fs_stat(path)
  if not stat and name == "ENOENT" then return nil end
  return check("stat", path, nil, stat, text).size
end

--- Names in a directory, sorted.
function Files:list(dir)
  local names = {}
  local scan = check("list", dir, nil, self.uv.fs_scandir(dir))
  for name in self.uv.fs_scandir_next, scan do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Makes the name of a directory durable that is there already: who made it may
-- have been killed before that. Where we may not look, it was not one of us.
function Files:settle_name(parent)
  local fd, text, name = self.uv.fs_open(parent, self:flags("read"), MODE)
  if not fd and (name == "EACCES" or name == "EPERM") then return end
  check("open", parent, nil, fd, text)
  self.open_fds[fd] = parent
  self:sync(fd)
  self:close(fd)
end

--- Makes a directory and its parents, durably.
function Files:make_dirs(path)
  local parent = path:match("^(.*[^/])/+[^/]+/*$")
    or (path:sub(1, 1) == "/" and "/" or ".")
  if self:size_of(path) then return self:settle_name(parent) end
  if parent ~= path then self:make_dirs(parent) end
  local ok, text, name = self.uv.fs_mkdir(path, DIR_MODE)
  if not ok and name ~= "EEXIST" then check("make", path, nil, ok, text) end
  self:sync_dir(parent)
end

----------------------------------------------------------------- thread pool --

--- Calls fn from the loop, soon.
function Files:soon(fn)
  local timer = assert(self.uv.new_timer())
  assert(timer:start(0, 0, self.guard(function()
    timer:close()
    fn()
  end)))
end

function Files:finish(done, err, result)
  self.busy = self.busy - 1
  if not self.is_dead then done(err, result) end
  if self.busy == 0 and self.when_idle then
    local idle = self.when_idle
    self.when_idle = false
    idle()
  end
end

-- One call of luv: fs_<name>(..., callback).
function Files:later(name, path, offset, done, ...)
  self.busy = self.busy + 1
  local function finished(text, result)
    local err = text and fault.new(name, path, offset, text) or nil
    self:finish(done, err, result)
  end
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = self.guard(finished)
  local request, text = self.uv["fs_" .. name](
    table.unpack(arguments, 1, arguments.n + 1))
  if not request then self:soon(function() finished(text) end) end
end

function Files:open_later(path, how, done)
  self:later("open", path, nil, function(err, fd)
    if fd then self.open_fds[fd] = path end
    done(err, fd)
  end, path, self:flags(how), MODE)
end

function Files:close_later(fd, done)
  local path = forget(self, fd)
  self:later("close", path, nil, done, fd)
end

function Files:rename_later(from, to, done)
  self:later("rename", from, nil, done, from, to)
end

--- Removes a file that need not be there.
function Files:remove_later(path, done)
  self:later("unlink", path, nil, function(err)
    if err and err.errno == "ENOENT" then err = nil end
    done(err)
  end, path)
end

--- Writes all bytes durably to a file opened as "durable" or "create". A short
-- write is continued; an error is final.
function Files:write_later(fd, bytes, offset, done)
  if self.direct and self.direct:write(fd, bytes, offset, done) then return end
  local path = self.open_fds[fd]
  self:later("write", path, offset, function(err, n)
    if err then return done(err) end
    if n == 0 then
      return done(fault.new("write", path, offset, "EIO: no bytes"))
    end
    if n < #bytes then
      return self:write_later(fd, bytes:sub(n + 1), offset + n, done)
    end
    if self.dsync ~= 0 then return done() end
    self:later("fdatasync", path, offset, done, fd)
  end, fd, bytes, offset)
end

function Files:read_later(fd, size, offset, done)
  self:later("read", self.open_fds[fd], offset, done, fd, size, offset)
end

--- Syncs a directory.
function Files:sync_dir_later(path, done)
  self:open_later(path, "read", function(err, fd)
    if err then return done(err) end
    self:later("fsync", path, nil, function(sync_err)
      if sync_err then return done(sync_err) end
      self:close_later(fd, done)
    end, fd)
  end)
end

--- From now on writes to this file go past the page cache, where they can.
function Files:take_direct(fd)
  if self.direct then self.direct:take(fd) end
end

--- Drops all results from here on; once the pool is empty, closes what is open
-- and calls done. A file that is being written must not be closed before.
function Files:die(done)
  self.is_dead = true
  local function last()
    for fd in pairs(self.open_fds) do self.uv.fs_close(fd) end
    self.open_fds = {}
    if self.direct then self.direct:close() end
    done()
  end
  if self.busy > 0 then
    self.when_idle = last
  else
    last()
  end
end

return M
