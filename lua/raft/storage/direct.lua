--- Writes past the page cache, which no thread waits for, where the system and
-- the file system have that: sooner done than in the thread pool, and for less
-- than half of the processor's time.
--
-- Owns a raft.core.host.aio and the handle by which the loop hears of it. What
-- cannot be written like this goes through the pool: see raft.storage.files.
-- Calls end in done(err), from the loop, and count as calls in the pool do.
local fault = require "raft.storage.fault"

local M = {}

local Direct = { __name = "raft.storage.direct" }
Direct.__index = Direct

-- A file system says of these that it cannot, and no more than that.
local CANNOT <const> = { EINVAL = true, EOPNOTSUPP = true, EAGAIN = true }

local function is_refusal(text)
  return text and CANNOT[text:match("^%u+")]
end

--- @param files a Files: its uv, host, guard(fn), busy, finish(done, err),
--   soon(fn), open_fds, write_later
-- @return false where the system has none
function M.new(files)
  local aio = files.host.aio and files.host.aio()
  local poll = aio and files.uv.new_poll(aio:event())
  if not poll then
    if aio then aio:close() end
    return false
  end
  local self = setmetatable({
    files = files,
    uv = files.uv,
    aio = aio,
    poll = poll,
    waiting = {},    -- token -> ended(text, bytes)
    count = 0,       -- of these; the loop waits for them, and for nothing else
    open = {},       -- fd -> true: goes past the cache
    finish = false,  -- guarded: one that raises keeps no other from ending
  }, Direct)
  self.finish = files.guard(function(...) files:finish(...) end)
  assert(self.uv.poll_start(poll, "r", files.guard(function()
    self:reap()
  end)))
  self.uv.unref(poll)
  return self
end

--- Shall writes to this open file go past the cache? True if they will.
function Direct:take(fd)
  if self.aio:direct(fd, true) then self.open[fd] = true end
  return self.open[fd] or false
end

--- No more: it is closed, or cannot.
function Direct:leave(fd)
  if self.open[fd] then self.aio:direct(fd, false) end
  self.open[fd] = nil
end

------------------------------------------------------------------- under way --

-- A write has begun, or not: token, or nil and a text.
local function await(self, token, ended)
  if not token then return false end
  self.waiting[token] = ended
  self.count = self.count + 1
  self.files.busy = self.files.busy + 1
  if self.count == 1 then self.uv.ref(self.poll) end
  return true
end

-- Ends what is over.
function Direct:reap()
  self.aio:wake()
  local token, bytes, text = self.aio:reap()
  while token do
    local ended = self.waiting[token]
    self.waiting[token] = nil
    self.count = self.count - 1
    if self.count == 0 then self.uv.unref(self.poll) end
    self.finish(ended, text, bytes)
    if self.uv.is_closing(self.poll) then return end
    token, bytes, text = self.aio:reap()
  end
end

--- Nothing is under way any more, and nothing will be.
function Direct:close()
  assert(self.count == 0, "a write is under way")
  if self.uv.is_closing(self.poll) then return end
  self.uv.close(self.poll, function() self.aio:close() end)
end

--------------------------------------------------------------------- writing --

local function is_aligned(self, size, offset)
  local align = self.aio.ALIGN
  return size > 0 and size % align == 0 and offset % align == 0
end

local function error_of(self, fd, offset, text)
  return fault.new("write", self.files.open_fds[fd], offset, text)
end

--- Writes all bytes. False: it cannot, and has done nothing.
function Direct:write(fd, bytes, offset, done)
  if not self.open[fd] then return false end
  local function ended(text, n)
    if is_refusal(text) then
      self:leave(fd)
      return self.files:write_later(fd, bytes, offset, done)
    elseif text then
      return done(error_of(self, fd, offset, text))
    elseif n == 0 then
      return done(error_of(self, fd, offset, "EIO: no bytes"))
    elseif n < #bytes then
      return self.files:write_later(fd, bytes:sub(n + 1), offset + n, done)
    end
    done()
  end
  local has_begun = is_aligned(self, #bytes, offset)
    and await(self, self.aio:write(fd, bytes, offset), ended)
  if not has_begun then self:leave(fd) end
  return has_begun
end

-- Zeros from offset to the next step, and so on, until all is done or it
-- cannot: done(err, reached). False: not even these could be begun.
local function fill(self, fd, size, step, offset, done)
  local function ended(text, n)
    if is_refusal(text) then
      self:leave(fd)
      return done(nil, offset)
    elseif text or n == 0 then
      return done(error_of(self, fd, offset, text or "EIO: no bytes"))
    end
    local reached = offset + n
    if reached >= size or not fill(self, fd, size, step, reached, done) then
      done(nil, reached)
    end
  end
  local count = math.min(step, size - offset)
  local has_begun = is_aligned(self, count, offset)
    and await(self, self.aio:zeros(fd, count, offset), ended)
  if not has_begun then self:leave(fd) end
  return has_begun
end

--- Makes a new file `size` bytes long, and fills it with zeros, `step` at a
-- time: done(err, reached). What is not reached is for the pool to write.
-- False: it cannot, and has written nothing.
function Direct:fill(fd, size, step, done)
  return is_aligned(self, size, step) and self.aio:allocate(fd, size)
    and self:take(fd) and fill(self, fd, size, step, 0, done)
end

return M
