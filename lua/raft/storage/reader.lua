--- Reads entries back from the segments, for a slow peer or for applying.
--
-- One request after the other, with one file open. The core's map says where
-- entries lie; what is read is verified by its checksums before it is handed
-- out. Durable bytes are never overwritten, so writes do not disturb a read.
local core = require "raft.core"
local errors = require "raft.errors"
local segments = require "raft.storage.segments"

local M = {}

local Reader = { __name = "raft.storage.reader" }
Reader.__index = Reader

--- @param is_brief is what one read yields enough of an answer? Then little is
-- on its way at once, and is still in the caches when it is used
function M.new(files, dir, wal, is_brief)
  return setmetatable({
    is_brief = is_brief or false,
    files = files,
    dir = dir,
    wal = wal,
    fd = false,       -- of the segment read last
    segment = 0,      -- its number
    queue = {},       -- requests; the first is under way
  }, Reader)
end

--- Entries from `first` on, at most to `last` and `bytes_max` bytes, but one at
-- least: done(err, encoded). Empty when `first` is not in the durable log.
function Reader:read(first, last, bytes_max, done)
  local request = { next = first, last = last, room = bytes_max, pieces = {},
    done = done }
  self.queue[#self.queue + 1] = request
  if not self.queue[2] then
    self.files:soon(function() self:step(request) end)
  end
end

function Reader:finish(request, err)
  table.remove(self.queue, 1)
  local following = self.queue[1]
  if following then self:step(following) end
  local pieces = request.pieces
  local bytes = pieces[2] and table.concat(pieces) or pieces[1] or ""
  request.done(err, not err and bytes or nil)
end

-- One spot of the map: what one read yields.
function Reader:step(request)
  local segment, offset, size, last, there, rest
  if request.next <= request.last then
    segment, offset, size, last, there, rest = self.wal:find(request.next)
  end
  if not segment then return self:finish(request) end
  self:with_segment(segment, function(open_err)
    if open_err and self:is_gone(request, segment) then
      return self:finish(request)
    end
    if open_err then return self:finish(request, open_err) end
    self:fetch(size, offset, "", function(err, bytes)
      if err then return self:finish(request, err) end
      local entries, cut_last = core.wal_cut(bytes, there, offset, rest,
        request.next, math.min(last, request.last), request.room)
      if not entries then
        return self:finish(request, self:damaged(segment, offset))
      end
      self:take(request, entries, cut_last)
    end)
  end)
end

-- Was the segment removed while the request waited for it?
function Reader:is_gone(request, segment)
  local now = self.wal:find(request.next)
  return now ~= segment
end

--- Segments before this one leave. One that is being read stays open so long.
function Reader:forget(oldest)
  if not self.fd or self.segment >= oldest or self.queue[1] then return end
  local fd = self.fd
  self.fd = false
  self.files:close_later(fd, function() end)
end

function Reader:take(request, entries, last)
  local is_first = #request.pieces == 0
  if #entries > request.room and not is_first then
    return self:finish(request)  -- it would be one entry too many
  end
  request.pieces[#request.pieces + 1] = entries
  request.next = last + 1
  request.room = request.room - #entries
  if self.is_brief or request.room <= 0 then return self:finish(request) end
  self:step(request)
end

function Reader:damaged(segment, offset)
  local path = segments.path(self.dir, segment)
  return errors.new("corrupt", ("%s is damaged behind byte %d"):format(path,
    offset), { file = path, offset = offset, segment = segment })
end

-- Opens the segment, unless it is the one that is open.
function Reader:with_segment(segment, done)
  if self.fd and self.segment == segment then return done() end
  if self.fd then
    local old = self.fd
    self.fd = false
    return self.files:close_later(old, function()
      self:with_segment(segment, done)
    end)
  end
  local path = segments.path(self.dir, segment)
  self.files:open_later(path, "read", function(err, fd)
    self.fd, self.segment = fd or false, segment
    done(err)
  end)
end

-- `size` bytes; fewer at the end of the file.
function Reader:fetch(size, offset, so_far, done)
  self.files:read_later(self.fd, size - #so_far, offset + #so_far,
    function(err, piece)
      if err then return done(err) end
      local bytes = so_far .. piece
      if #piece == 0 or #bytes == size then return done(nil, bytes) end
      self:fetch(size, offset, bytes, done)
    end)
end

return M
