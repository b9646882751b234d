--- What stands in for raft.core.host in a simulated process: locks, the wall
-- clock, forgotten pages, and forks.
--
--   local host = Host.new(world, loop, disk)      -- the disk is attached
--   host.lock(path), host.wall(), host.forget(fd)   as raft.core.host has them
--   host.jump(ms)                                 the wall clock is set
--
-- A lock belongs to the disk and to the process that took it, which may die.
--
--   host.fork(path, writer, done)
--
-- writer(write) runs now and sees what is; each write(bytes) takes bytes. The
-- child writes them to the file at `path` as time goes by, syncs it, and ends:
-- done(nil, bytes) or done(text), from our loop. It dies with its parent, and
-- leaves what it had written. The name is not made durable. What the real host
-- has instead needs a loop: see raft.storage.child, which knows both.
local File = require "raft.sim.disk.file"
local fork = require "raft.sim.host.fork"

local M = {}

local NS_PER_MS <const> = 1000000
local PPM <const> = 1000000
local START_MS <const> = 1700000000000  -- on wall clocks, when a world begins
local MODE <const> = tonumber("100600", 8)

-- As strerror has it.
local REASONS <const> = {
  EIO = "Input/output error",
  EISDIR = "Is a directory",
  ENOENT = "No such file or directory",
  ENOSPC = "No space left on device",
  ENOTDIR = "Not a directory",
}

local Lock = { __name = "raft.lock" }
Lock.__index = Lock

--- Gives it back; again: nothing.
function Lock:unlock()
  if self.node.lock == self then self.node.lock = nil end
end

Lock.__close = Lock.unlock

-- The file at `path`, made if need be; or nil and the error's name.
local function lock_file(process, path)
  local disk = process.disk
  local node, err = disk.tree:find(path)
  if not node and err == "ENOENT" then
    local dir, name = disk.tree:place(path)
    if not dir then return nil, name end
    node = disk.tree:make("file", MODE)
    node.links = 1
    disk.tree:change("create " .. path, { { dir = dir, name = name,
      node = node } })
  end
  if node and node.kind == "directory" then return nil, "EISDIR" end
  return node, err
end

-- For people only, so a full disk is no reason to fail.
local function write_pid(process, node)
  local disk, text = process.disk, ("%d\n"):format(process.loop.pid)
  if disk:room() == 0 and node.size == 0 then return end
  disk.used = disk.used - File.pages_of(node.size) + 1
  node:resize(0)
  node:write(0, text)
end

local LOCKING <const> = { kind = "name" }

local function lock(process, path)
  local disk = process.disk
  if not disk:enter(process, "lock", path) then
    return setmetatable({ node = {} }, Lock)
  end
  disk.counts.calls = disk.counts.calls + 1
  local fault = disk.faults:draw("lock", LOCKING, true, disk.options)
  if fault then
    disk.counts.errors = disk.counts.errors + 1
    return nil, "io_error", REASONS[fault]
  end
  local node, err = lock_file(process, path)
  if not node then return nil, "io_error", REASONS[err] or err end
  local holder = node.lock
  if holder and not holder.process:is_gone() then
    return nil, "dir_locked", tonumber(node:read(0, 32):match("%d+")) or 0
  end
  write_pid(process, node)
  node.lock = setmetatable({ process = process, node = node }, Lock)
  return node.lock
end

-- A clock of its own, that goes at its own rate and may be set.
local function add_clock(host, loop, options)
  local wall_ms, rate = options.wall_ms or START_MS, options.rate_ppm or 0
  function host.wall()
    local ms = loop:time() // NS_PER_MS
    return wall_ms + ms + ms * rate // PPM
  end
  function host.jump(ms) wall_ms = wall_ms + ms end
end

--- @param options wall_ms: what the wall clock showed when the world began;
--   rate_ppm: how much faster it goes; of forks:
--   fork_rate, bytes a second; fork_error and fork_death: how often a child
--   fails, or dies half way
function M.new(world, loop, disk, options)
  options = options or {}
  local host, process = {}, disk:process_of(loop)
  add_clock(host, loop, options)
  function host.lock(path) return lock(process, path) end
  function host.forget(fd)
    local open = process.fds[fd]
    if not open then return false end
    if open.node.kind == "file" then open.node:forget() end
    return true
  end
  function host.aio() return nil end  -- all writes go through the pool
  function host.fork(path, writer, done)
    fork.start(world, process, path, writer, done, options)
  end
  return host
end

return M
