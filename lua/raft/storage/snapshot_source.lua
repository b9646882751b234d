--- A file that somebody ships: it stays while it is pinned.
local M = {}

local Source = { __name = "raft.storage.snapshot_source" }
Source.__index = Source

--- @param info of the file; @param unpinned called once, at the end
function M.of_file(files, info, unpinned)
  return setmetatable({
    info = info,
    files = files,
    unpinned = unpinned,
    fd = false,          -- opened by the first read
    is_reading = false,
    is_over = false,
  }, Source)
end

-- A read has ended.
function Source:finish(done, err, bytes)
  self.is_reading = false
  if self.is_over then return self:close() end
  done(err, bytes)
end

--- Bytes of the file: done(err, bytes), fewer only at its end. One read at a
-- time; no answer comes once it is unpinned.
function Source:read_later(offset, size, done)
  assert(not self.is_over, "it was unpinned")
  assert(not self.is_reading, "one read at a time")
  self.is_reading = true
  local function read()
    self.files:read_later(self.fd, size, offset, function(err, bytes)
      self:finish(done, err, bytes)
    end)
  end
  if self.fd then return read() end
  self.files:open_later(self.info.path, "read", function(err, fd)
    self.fd = fd or false
    if err or self.is_over then return self:finish(done, err) end
    read()
  end)
end

function Source:close()
  local fd = self.fd
  self.fd = false
  if fd then self.files:close_later(fd, function() end) end
end

--- Gives it back.
function Source:unpin()
  assert(not self.is_over, "unpinned twice")
  self.is_over = true
  if not self.is_reading then self:close() end
  self.unpinned()
end

local Bytes = { __name = "raft.storage.snapshot_bytes" }
Bytes.__index = Bytes

--- The same of bytes in memory.
-- @param soon calls a function from the loop
function M.of_bytes(soon, info, bytes, unpinned)
  return setmetatable({ info = info, bytes = bytes, soon = soon,
    unpinned = unpinned, is_over = false }, Bytes)
end

function Bytes:read_later(offset, size, done)
  self.soon(function()
    if self.is_over then return end
    done(nil, self.bytes:sub(offset + 1, offset + size))
  end)
end

function Bytes:unpin()
  assert(not self.is_over, "unpinned twice")
  self.is_over = true
  self.unpinned()
end

return M
