--- One file of a snapshot: written from front to back, verified, read.
--
-- Promises. What `write` gets is a whole file in pieces, whatever the user's
-- pieces were. A reader hands out nothing of a file that was not verified. All
-- of it needs the memory of a few pieces, however large the file is.
local core = require "raft.core"
local errors = require "raft.errors"

local M = {}

local STEP_BYTES <const> = 4 * core.SNAPFILE_PIECE_BYTES  -- at a time

-------------------------------------------------------------------- writing --

-- Joins small pieces, cuts large ones: emit(bytes) gets at most STEP_BYTES.
local function joiner(emit)
  local pieces, size = {}, 0
  local joins = {}
  function joins.flush()
    if size == 0 then return end
    local bytes = table.concat(pieces)
    pieces, size = {}, 0
    emit(bytes)
  end
  function joins.add(piece)
    if #piece < core.SNAPFILE_PIECE_BYTES then
      pieces[#pieces + 1], size = piece, size + #piece
      if size >= core.SNAPFILE_PIECE_BYTES then joins.flush() end
      return
    end
    joins.flush()
    for from = 1, #piece, STEP_BYTES do
      emit(piece:sub(from, from + STEP_BYTES - 1))
    end
  end
  return joins
end

--- Writes a whole file: save(add) calls add(piece) with the state, write(bytes)
-- gets the bytes. Raises what they raise.
-- @param meta index, term, time, config_index, config, is_bare: then nothing is
--   saved
-- @return size, checksum, bytes of state
function M.encode(meta, save, write)
  local writer = core.snapfile_writer(meta)
  write(writer:begin())
  local joins = joiner(function(bytes) write(writer:state(bytes)) end)
  if not meta.is_bare then save(joins.add) end
  joins.flush()
  write(writer:finish())
  return writer:sums()
end

------------------------------------------------------------------ verifying --

--- What a scan has found wrong with the file at `path`, as an error value.
function M.damage(path, offset, code, why, version)
  if code == "version" then
    return errors.new("format_version", ("%s is of format %d, this version "
      .. "reads %d"):format(path, version, core.SNAPFILE_VERSION),
      { file = path, found = version, supported = core.SNAPFILE_VERSION })
  end
  return errors.new(code, ("%s is damaged before byte %d: %s"):format(path,
    offset, why), { file = path, offset = offset })
end

-- Feeds one piece of the file; "" is its end.
-- @return true, the state in it if wanted; or nil and an error value
local function feed(scan, path, offset, bytes, wants)
  local ok, state, why, version
  if bytes == "" then
    ok, state, why, version = scan:finish()
  else
    ok, state, why, version = scan:feed(bytes, wants)
  end
  if ok then return true, state end
  return nil, M.damage(path, offset + #bytes, state, why, version)
end

local function info_of(scan, path)
  local info = scan:info()
  info.path = path
  return info
end

--- Reads a whole file, and waits. Raises error values where it cannot be read.
-- @return what it says of itself, or nil and the error of its damage
function M.verify(files, path)
  local fd = files:open(path, "read")
  local scan, offset = core.snapfile_scan(), 0
  local ok, err, bytes
  repeat
    bytes = files:read(fd, STEP_BYTES, offset)
    ok, err = feed(scan, path, offset, bytes)
    offset = offset + #bytes
  until bytes == "" or not ok
  files:close(fd)
  if not ok then return nil, err end
  return info_of(scan, path)
end

--- The same in the background, of an open file: done(err, info).
function M.verify_later(files, fd, path, done)
  local scan = core.snapfile_scan()
  local function step(offset)
    files:read_later(fd, STEP_BYTES, offset, function(err, bytes)
      if err then return done(err) end
      local ok, damage = feed(scan, path, offset, bytes)
      if not ok then return done(damage) end
      if bytes == "" then return done(nil, info_of(scan, path)) end
      step(offset + #bytes)
    end)
  end
  step(0)
end

-------------------------------------------------------------------- reading --

local Reader = { __name = "raft.storage.snapshot_reader" }
Reader.__index = Reader

--- A reader of the state in a file that was verified. Waits for the disk, and
-- raises error values.
function M.reader(files, info)
  return setmetatable({
    files = files,
    path = info.path,
    fd = files:open(info.path, "read"),
    scan = core.snapfile_scan(),
    offset = 0,
    has_ended = false,
  }, Reader)
end

--- The next piece of the state, or nil at its end. Verifies again as it goes:
-- what was sound once may be read differently now.
function Reader:read()
  while not self.has_ended do
    local bytes = self.files:read(self.fd, STEP_BYTES, self.offset)
    local ok, state = feed(self.scan, self.path, self.offset, bytes, true)
    if not ok then error(state, 0) end
    self.offset, self.has_ended = self.offset + #bytes, bytes == ""
    if not self.has_ended and state ~= "" then return state end
  end
  return nil
end

--- Again: nothing.
function Reader:close()
  if not self.fd then return end
  local fd = self.fd
  self.fd, self.has_ended = false, true
  self.files:close(fd)
end

return M
