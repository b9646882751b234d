--- Names and sizes of segments, and what a start finds in them.
--
-- Reads every segment, oldest first, and lets the core judge: a torn end is
-- cut and zeroed; damage in the middle is stepped over, and reported with what
-- it took; other damage is refused. Words name the file and the byte.
local core = require "raft.core"
local errors = require "raft.errors"
local identity = require "raft.storage.identity"

local M = {}

local SECTOR <const> = core.WAL_SECTOR
local FIRST_BYTES <const> = 1 << 20     -- the first segment; later ones double
local RESERVE_BYTES <const> = 64 * SECTOR
local STEP_BYTES <const> = 1 << 19      -- of zeros, written at a time

M.STEP_BYTES = STEP_BYTES

local BYTES_MIN <const> = 8 * SECTOR

M.SPARE = "spare"  -- filled with zeros, waits for its turn

--- The path of segment `number`.
function M.path(dir, number)
  return ("%s/wal-%016x.log"):format(dir, number)
end

--- The option segment_bytes, as whole sectors and not too few.
function M.fitting(size)
  return math.max(BYTES_MIN, size // SECTOR * SECTOR)
end

--- Room kept in a segment of `size` bytes for votes: they must find a place
-- when there is none for entries.
function M.reserve(size)
  return math.min(RESERVE_BYTES, size // 4 // SECTOR * SECTOR)
end

--- The size of the segment after one of `size` bytes, with room for a batch of
-- `entry_bytes`: twice as large, up to the option.
function M.next_size(size, segment_bytes, entry_bytes)
  local usual = math.min(math.max(2 * size, FIRST_BYTES), segment_bytes)
  local batch = core.wal_batch_bytes(entry_bytes)
  if SECTOR + batch + M.reserve(usual) <= usual then return usual end
  return SECTOR + batch + RESERVE_BYTES
end

local ZEROS <const> = string.rep("\0", STEP_BYTES)

--- A string of `size` zeros.
function M.zeros(size)
  return size == STEP_BYTES and ZEROS or ZEROS:sub(1, size)
end

-- Fills [from, to) of a file with zeros, and waits.
local function clear(files, fd, from, to)
  for offset = from, to - 1, STEP_BYTES do
    files:write(fd, M.zeros(math.min(STEP_BYTES, to - offset)), offset)
  end
end

--- Numbers of the segments in a directory, ascending.
function M.list(files, dir)
  local numbers = {}
  for _, name in ipairs(files:list(dir)) do
    local hex = name:match("^wal%-(%x+)%.log$")
    if hex and #hex == 16 then numbers[#numbers + 1] = tonumber(hex, 16) end
  end
  table.sort(numbers)
  return numbers
end

--------------------------------------------------------------------- damage --

local function refuse(dir, code, fault)
  assert(fault, code)  -- no memory: not the disk's fault
  local path = M.path(dir, fault.segment)
  if code == "format_version" then
    error(errors.new(code, ("%s is of format %d, this version reads %d"):format(
      path, fault.version, core.WAL_VERSION), { file = path,
      found = fault.version, supported = core.WAL_VERSION }), 0)
  end
  error(errors.new(code, ("%s is damaged at byte %d: %s"):format(path,
    fault.offset, fault.why), { file = path, offset = fault.offset,
    segment = fault.segment }), 0)
end

-- Who removed them was killed before it was done.
local function remove_older(files, dir, numbers, fields)
  while numbers[1] and numbers[1] < fields.first_segment do
    files:remove(M.path(dir, table.remove(numbers, 1)))
  end
end

local function check_range(dir, numbers, fields)
  local newest = numbers[#numbers] or fields.first_segment - 1
  if newest < fields.last_segment then
    refuse(dir, "corrupt", { segment = newest + 1, offset = 0,
      why = "the segment is missing" })
  elseif newest > fields.last_segment + 1 then
    refuse(dir, "corrupt", { segment = newest, offset = 0,
      why = "the identity file is older than the log" })
  end
end

-------------------------------------------------------------------- reading --

local function read_segment(files, wal, dir, number, is_last)
  local fd = files:open(M.path(dir, number), is_last and "durable" or "read")
  if is_last then files:settle(fd) end
  local head = files:read(fd, SECTOR, 0)
  local ok, code, fault = wal:open(number, files:size(fd), is_last, head)
  while ok do
    local offset, size = wal:want()
    if not offset then break end
    ok, code, fault = wal:feed(files:read(fd, size, offset))
  end
  if not ok then refuse(dir, code, fault) end
  if is_last then return fd end
  files:close(fd)
end

-- Nothing of the torn write may be mistaken for a trace of a later one.
local function cut_torn_end(files, wal, fd, report)
  local from, to = wal:torn()
  if not from then return end
  clear(files, fd, from, to)
  files:sync(fd)
  report.truncated_bytes, report.offset = to - from, from
  report.file = files.open_fds[fd]
end

-- What was stepped over: the first place, and the entries that are missing, if
-- any is (repairing).
local function note_damage(wal, dir, report, last, lost)
  local fault = wal:damage()
  if fault then
    report.damaged = { file = M.path(dir, fault.segment),
      offset = fault.offset }
  end
  if lost == 0 then return end
  local at = report.damaged or {}  -- it may be in no file any more
  report.repairing = { file = at.file or false, offset = at.offset or 0,
    first = last + 1, last = math.max(lost, last + 1) }
end

--- Makes the next segment, of `size` bytes, and waits. It counts once the
-- identity file knows its number.
-- @return its file, open for durable writes
function M.make(files, wal, dir, size)
  local head = wal:segment(identity.random(files.uv), size)
  local fd = files:open(dir .. "/" .. M.SPARE .. ".tmp", "create")
  clear(files, fd, 0, size)
  files:write(fd, head, 0)
  files:sync(fd)
  files:close(fd)
  local path = M.path(dir, (wal:position()))
  files:rename(dir .. "/" .. M.SPARE .. ".tmp", path)
  files:sync_dir(dir)
  return files:open(path, "durable")
end

--- What the directory holds. Raises error values. The names come first: who
-- changed one last may have been killed before it was durable.
-- @return a table: wal, fd of the newest segment, recovered, term, vote,
--   commit, report = { truncated_bytes, file, offset, damaged, repairing }:
--   damaged is false or { file, offset }, of what was stepped over; repairing
--   is false or these and { first, last }, of the entries that are missing
function M.recover(files, dir, fields, options)
  local numbers = M.list(files, dir)
  local wal = core.wal_new(fields.first_segment, fields.starts,
    options.memory_bytes)  -- starts before this one
  local report = { truncated_bytes = 0, file = false, offset = 0,
    damaged = false, repairing = false }
  remove_older(files, dir, numbers, fields)
  files:sync_dir(dir)
  check_range(dir, numbers, fields)
  local fd
  for i, number in ipairs(numbers) do
    fd = read_segment(files, wal, dir, number, i == #numbers)
  end
  if fd then cut_torn_end(files, wal, fd, report) end
  local recovered, term, vote, commit, last, lost = wal:recovery()
  note_damage(wal, dir, report, last, lost)
  fd = fd or M.make(files, wal, dir, math.min(FIRST_BYTES,
    options.segment_bytes))
  fields.last_segment = wal:position()
  return { wal = wal, fd = fd, recovered = recovered, term = term, vote = vote,
    commit = commit, report = report }
end

return M
