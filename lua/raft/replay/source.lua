--- A recording, read record by record. Calls raise error values; replay.lua
-- catches them.
--
-- A record that is not there to its end ends the recording: the process was
-- killed, or the disk was full. One that is there and is not what was written
-- is damage.
local Files = require "raft.storage.files"
local format = require "raft.replay.format"

local M = {}

local Source = { __name = "raft.replay.source" }
Source.__index = Source

--- Opens a recording.
function M.open(uv, path)
  local files = Files.new(uv, {})
  local fd = files:open(path, "read")
  local self = setmetatable({
    files = files,
    fd = fd,
    path = path,
    size = 0,        -- of the file
    offset = 0,      -- of the next record
    library = false, -- the version of the library that wrote it
  }, Source)
  local ok, err = pcall(self.read_head, self)
  if not ok then
    self:close()
    error(err, 0)
  end
  return self
end

function Source:read_head()
  self.size = self.files:size(self.fd)
  self.library = format.check_head(
    self.files:read(self.fd, format.HEAD_BYTES, 0), self.path)
  self.offset = format.HEAD_BYTES
end

--- The events of the next record as bytes; nil at the end, and then the
-- number of bytes there that are no whole record.
function Source:next()
  local rest = self.size - self.offset
  if rest < format.RECORD_HEAD_BYTES then return nil, rest end
  local head = self.files:read(self.fd, format.RECORD_HEAD_BYTES, self.offset)
  local size, body_crc = format.check_record_head(head, self.path, self.offset)
  if size > rest - format.RECORD_HEAD_BYTES then return nil, rest end
  local body = self.files:read(self.fd, size,
    self.offset + format.RECORD_HEAD_BYTES)
  format.check_body(body, body_crc, self.path, self.offset)
  self.offset = self.offset + format.RECORD_HEAD_BYTES + size
  return body
end

function Source:close()
  self.files:close(self.fd)
end

Source.__close = Source.close

return M
