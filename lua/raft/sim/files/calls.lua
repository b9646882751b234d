--- What each call of a simulated process does to its disk. A table of calls:
--
--   parameters    kinds of its arguments (raft.sim.files.arguments)
--   kind          read, write, sync or name: how long it takes, how it fails
--   begin         begin(process, op, ...) -> result, or nil and an error's
--                 name. Where the end makes something durable it sets
--                 op.target (a file or directory) and op.ticket
--   path          path(...) -> what an error's text names, if anything
--   gone          what a process hears that is gone; true if not given
--   takes_room    takes_room(...) -> can it find the disk full?
--   acts_anyway   does it act even if it fails?
--   never_fails   ... while everything fails for good
local Arguments = require "raft.sim.files.arguments"
local File = require "raft.sim.disk.file"

local M = {}

local O <const> = Arguments.flags
local ACCESS <const> = 3             -- the bits of O_RDONLY, O_WRONLY, O_RDWR
local FILE_MODE <const> = tonumber("100000", 8)

local function always() return true end
local function first(path) return path end

----------------------------------------------------------------- descriptors --

local function is_writable(open) return open.flags & ACCESS ~= O.RDONLY end
local function is_readable(open) return open.flags & ACCESS ~= O.WRONLY end

-- What a write to it promises when it returns.
local function is_durable(open) return open.flags & O.DSYNC ~= 0 end

local function create(process, path, flags, mode)
  local disk = process.disk
  local dir, name = disk.tree:place(path)
  if not dir then return nil, name end
  if path:sub(-1) == "/" then return nil, "EISDIR" end
  local node = disk.tree:make("file", FILE_MODE | mode)
  disk.tree:change("create " .. path, { { dir = dir, name = name,
    node = node } })
  node.links = 1
  dir.changed_at = disk.world.now
  return node, flags
end

-- Room is counted in pages.
local function resize(disk, node, size)
  disk.used = disk.used + File.pages_of(size) - File.pages_of(node.size)
  node:resize(size)
  node.changed_at = disk.world.now
end

M.open = { kind = "name", parameters = { "string", "flags", "number" },
  path = first }

function M.open.takes_room(_, flags) return flags & O.CREAT ~= 0 end

function M.open.gone(process) return process:next_fd() end

function M.open.begin(process, _, path, flags, mode)
  local node, err = process.disk.tree:find(path)
  if node and flags & O.CREAT ~= 0 and flags & O.EXCL ~= 0 then
    return nil, "EEXIST"
  end
  if not node and err == "ENOENT" and flags & O.CREAT ~= 0 then
    node, err = create(process, path, flags, mode)
  end
  if not node then return nil, err end
  if node.kind == "directory" and flags & (ACCESS | O.CREAT) ~= 0 then
    return nil, "EISDIR"
  end
  if flags & O.TRUNC ~= 0 and flags & ACCESS ~= 0 and node.size > 0 then
    resize(process.disk, node, 0)
  end
  return process:add_fd { node = node, flags = flags, path = path,
    position = 0 }
end

M.close = { kind = "name", parameters = { "number" }, acts_anyway = true,
  never_fails = true }

function M.close.begin(process, _, fd)
  if not process:drop_fd(fd) then return nil, "EBADF" end
  return true
end

-------------------------------------------------------------------- contents --

M.read = { kind = "read", parameters = { "number", "number", "offset" } }

function M.read.gone() return "" end

function M.read.begin(process, op, fd, size, offset)
  local open = process.fds[fd]
  if not open or not is_readable(open) then return nil, "EBADF" end
  if open.node.kind == "directory" then return nil, "EISDIR" end
  if op.is_short and size > 1 then size = (size + 1) // 2 end
  local at = offset < 0 and open.position or offset
  process.disk:maybe_rot(open.node, at, size)
  local bytes = open.node:read(at, size)
  if offset < 0 then open.position = at + #bytes end
  return bytes
end

M.write = { kind = "write", parameters = { "number", "data", "offset" },
  takes_room = always }

function M.write.gone(_, _, bytes) return #bytes end

-- How many of `size` bytes at `at` find room.
local function fitting(disk, node, at, size)
  local pages = File.pages_of(node.size) + disk:room() // File.PAGE
  return math.min(size, pages * File.PAGE - at)
end

function M.write.begin(process, op, fd, bytes, offset)
  local open, disk = process.fds[fd], process.disk
  if not open or not is_writable(open) then return nil, "EBADF" end
  local node = open.node
  local at = offset < 0 and open.position or offset
  if open.flags & O.APPEND ~= 0 then at = node.size end
  local count = fitting(disk, node, at, #bytes)
  if op.is_short and count > 1 then count = count // 2 end
  if count <= 0 and #bytes > 0 then return nil, "ENOSPC" end
  if count < #bytes then bytes = bytes:sub(1, count) end
  op.undo = op.callback and node:before(at, bytes) or false
  if at + count > node.size then resize(disk, node, at + count) end
  node:write(at, bytes)
  if offset < 0 then open.position = at + count end
  if is_durable(open) then
    op.target = node
    local last = (at + math.max(count, 1) - 1) // File.PAGE
    op.ticket = node:ticket(at // File.PAGE, last)
  end
  disk.counts.bytes = disk.counts.bytes + count
  return count
end

M.ftruncate = { kind = "name", parameters = { "number", "number" },
  takes_room = always }

function M.ftruncate.begin(process, _, fd, size)
  local open, disk = process.fds[fd], process.disk
  if not open then return nil, "EBADF" end
  if size < 0 or not is_writable(open) then return nil, "EINVAL" end
  if fitting(disk, open.node, 0, size) < size then return nil, "ENOSPC" end
  resize(disk, open.node, size)
  return true
end

M.fsync = { kind = "sync", parameters = { "number" } }

function M.fsync.begin(process, op, fd)
  local open = process.fds[fd]
  if not open then return nil, "EBADF" end
  op.target = open.node
  local is_file = open.node.kind == "file"
  op.ticket = is_file and open.node:ticket() or process.disk.tree:ticket()
  return true
end

M.fdatasync = M.fsync

------------------------------------------------------------------------ stat --

local function time_of(ns)
  return { sec = ns // 1000000000, nsec = ns % 1000000000 }
end

local function stat(disk, node)
  local size = node.size or File.PAGE
  local out = { type = node.kind, size = size, mode = node.mode,
    ino = node.number, nlink = math.max(1, node.links), dev = 1, rdev = 0,
    uid = 0, gid = 0, flags = 0, gen = 0, blksize = File.PAGE,
    blocks = File.pages_of(size) * File.SECTORS }
  local base = disk.time_base_ns
  for _, name in ipairs { "atime", "mtime", "ctime", "birthtime" } do
    out[name] = time_of(base + node.changed_at)
  end
  return out
end

local function empty_stat(process)
  return stat(process.disk, File.new(0, FILE_MODE))
end

M.stat = { kind = "name", parameters = { "string" }, path = first,
  gone = empty_stat }

function M.stat.begin(process, _, path)
  local node, err = process.disk.tree:find(path)
  if not node then return nil, err end
  return stat(process.disk, node)
end

M.lstat = M.stat

M.fstat = { kind = "name", parameters = { "number" }, gone = empty_stat }

function M.fstat.begin(process, _, fd)
  local open = process.fds[fd]
  if not open then return nil, "EBADF" end
  return stat(process.disk, open.node)
end

M.access = { kind = "name", parameters = { "string", "access" } }

function M.access.begin(process, _, path)
  return process.disk.tree:find(path) ~= nil
end

return M
