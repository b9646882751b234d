--- A raft.core.host.aio that can be bent: its writes go through a luv, which
-- may be bent itself, and end as that says. What it was asked is counted.
local core = require "raft.core"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local M = {}

local Aio = { __name = "spec.storage.bent_aio" }
Aio.__index = Aio

--- Why there is none here, for files where specs have theirs; or nil.
function M.obstacle()
  local aio <close> = core.host.aio()
  if not aio then return "this system has no asynchronous direct I/O" end
  local tmp = tmpdir.new()
  local fd = assert(uv.fs_open(tmp:join "probe", "w", 384))
  local can = aio:direct(fd, true)
  assert(uv.fs_close(fd))
  tmp:remove()
  return not can and "no direct I/O in temporary directories here" or nil
end

local function new(through, bend)
  local real = assert(core.host.aio())
  return setmetatable({
    ALIGN = real.ALIGN,
    uv = through,        -- by which it writes
    bend = bend or {},
    real = real,         -- gives the descriptor that wakes the loop
    fds = {},            -- fd -> true: past the cache
    ended = {},          -- { token, bytes, text } to be reaped
    next_token = 0,
    submitted = 0,       -- writes, asked for
    zeroed = 0,          -- writes of zeros, asked for
    is_closed = false,
  }, Aio)
end

--- A host with aio() -> such a one, all of them in host.made.
-- @param through the luv by which they write
-- @param bend functions that are asked first: submit(bytes, offset) and
--   allocate(size) -> text: refused; direct(fd) -> false: cannot
function M.host(through, bend)
  local host = setmetatable({ made = {} }, { __index = core.host })
  function host.aio()
    local aio = new(through, bend)
    host.made[#host.made + 1] = aio
    return aio
  end
  return host
end

function Aio:event() return self.real:event() end

function Aio:wake() self.real:wake() end

function Aio:reap()
  local one = table.remove(self.ended, 1)
  if one then return table.unpack(one, 1, 3) end
end

function Aio:finish(token, text, bytes)
  self.ended[#self.ended + 1] = { token, not text and bytes or nil, text }
  assert(uv.fs_write(self:event(), string.pack("=I8", 1)))
end

local function submit(self, fd, bytes, offset)
  assert(self.fds[fd], "a direct write to a file that is not")
  assert(#bytes > 0 and #bytes % self.ALIGN == 0 and offset % self.ALIGN == 0)
  local text = self.bend.submit and self.bend.submit(bytes, offset)
  if text then return nil, text end
  local token = self.next_token
  self.next_token = token + 1
  local request
  request, text = self.uv.fs_write(fd, bytes, offset, function(err, n)
    self:finish(token, err, n)
  end)
  if not request then return nil, text end
  return token
end

function Aio:write(fd, bytes, offset)
  self.submitted = self.submitted + 1
  return submit(self, fd, bytes, offset)
end

function Aio:zeros(fd, size, offset)
  self.zeroed = self.zeroed + 1
  return submit(self, fd, ("\0"):rep(size), offset)
end

function Aio:direct(fd, is_direct)
  if is_direct and self.bend.direct and not self.bend.direct(fd) then
    return false
  end
  self.fds[fd] = is_direct or nil
  return true
end

function Aio:allocate(fd, size)
  local text = self.bend.allocate and self.bend.allocate(size)
  if text then return nil, text end
  return self.real:allocate(fd, size)
end

function Aio:close()
  self.is_closed = true
  self.real:close()
end

return M
