--- The files of one simulated process: uv.fs_*, with the names, arguments and
-- answers of luv 1.44.
--
-- Without a callback a call acts at once, and the process is blocked for as
-- long as it takes. With one it goes to the thread pool: four at a time, in
-- the order of the calls; which of the four acts first is drawn. It acts when
-- a thread has come to it, and what it promises to be durable is so when it
-- ends; the callback comes from the next poll.
--
-- After the process has died nothing it calls has an effect: it is told that
-- all went well, and no callback comes.
local Arguments = require "raft.sim.files.arguments"
local names = require "raft.sim.files.names"
local pool = require "raft.sim.files.pool"
local File = require "raft.sim.disk.file"

local M = {}

local FD_MIN <const> = 3

local TEXTS <const> = {
  EBADF = "bad file descriptor",
  EBUSY = "resource busy or locked",
  EEXIST = "file already exists",
  EINVAL = "invalid argument",
  EIO = "i/o error",
  EISDIR = "illegal operation on a directory",
  ENAMETOOLONG = "name too long",
  ENOENT = "no such file or directory",
  ENOSPC = "no space left on device",
  ENOTDIR = "not a directory",
  ENOTEMPTY = "directory not empty",
}

local Process = { __name = "raft.sim.files" }
Process.__index = Process

function M.new(disk, loop)
  return setmetatable({
    disk = disk,
    loop = loop,
    pool = pool.new(),
    fds = {},          -- fd -> { node=, flags=, path=, position= }
    is_dead = false,
  }, Process)
end

--- Is there nobody any more whose calls count?
function Process:is_gone()
  return self.is_dead or self.loop.is_dead
end

----------------------------------------------------------------- descriptors --

--- The lowest number that is free.
function Process:next_fd()
  local fd = FD_MIN
  while self.fds[fd] do fd = fd + 1 end
  return fd
end

function Process:add_fd(open)
  local fd = self:next_fd()
  self.fds[fd] = open
  open.node.opens = open.node.opens + 1
  return fd
end

--- Gives a descriptor back; false when there is none.
function Process:drop_fd(fd)
  local open = self.fds[fd]
  if not open then return false end
  self.fds[fd] = nil
  local node = open.node
  node.opens = node.opens - 1
  if node.opens == 0 and node.links == 0 and node.kind == "file" then
    self.disk.used = self.disk.used - File.pages_of(node.size)
  end
  return true
end

------------------------------------------------------------------ operations --

-- What an operation is about, for the trace.
local function path_of(self, op)
  if op.call.path then return op.call.path(table.unpack(op.arguments)) end
  local open = self.fds[op.arguments[1]]
  return open and open.path or ""
end

local function act(self, op)
  op.result, op.errno = op.call.begin(self, op, table.unpack(op.arguments))
end

-- A write that fails may have failed before or after it had come to the cache;
-- a sync always has begun.
local function act_faulty(self, op, fault)
  local disk, kind = self.disk, op.call.kind
  if fault == "short" then
    disk.counts.short, op.is_short = disk.counts.short + 1, true
    return act(self, op)
  end
  disk.counts.errors = disk.counts.errors + 1
  if disk.note then disk.note("fault", op.path, fault) end
  local is_late = kind == "sync"
    or (kind == "write" and fault == "EIO" and disk.chance:chance(0.5))
  if is_late or op.call.acts_anyway then act(self, op) end
  if op.errno then return end
  if is_late and op.ticket then
    op.late = fault
  else
    op.result, op.errno = nil, fault
  end
end

local COUNTED <const> = { read = "reads", write = "writes" }

--- It takes effect; false when the process is gone.
function Process:begin(op)
  local disk, call = self.disk, op.call
  op.path = path_of(self, op)
  if not disk:enter(self, "fs_" .. op.name, op.path) then return false end
  local counts, counted = disk.counts, COUNTED[call.kind]
  counts.calls = counts.calls + 1
  if counted then counts[counted] = counts[counted] + 1 end
  local takes_room = call.takes_room
    and call.takes_room(table.unpack(op.arguments))
  local fault = disk.faults:draw(op.name, call, takes_room,
    disk.options)
  if fault then
    act_faulty(self, op, fault)
  else
    act(self, op)
  end
  return true
end

--- What it makes durable is so now; false when the process is gone.
function Process:finish(op)
  if not op.ticket or op.errno then return not self:is_gone() end
  local disk = self.disk
  if not disk:enter(self, "fs_" .. op.name .. "_sync", op.path) then
    return false
  end
  if op.late then
    op.result, op.errno = nil, op.late
    disk:fail_sync(op.target, op.ticket)
  else
    disk:settle(op.target, op.ticket)
  end
  return true
end

--- How luv words an error.
function Process.words(_, op)
  local call = op.call
  local path = op.error_path
    or call.path and call.path(table.unpack(op.arguments))
  local text = TEXTS[op.errno]
  if not path then return ("%s: %s"):format(op.errno, text) end
  return ("%s: %s: %s"):format(op.errno, text, path)
end

-- Both halves of an operation, one right after the other; false when the
-- process is gone.
local function perform(self, op)
  local is_alive = self:begin(op)
  return is_alive and (not op.ticket or self:finish(op))
end

local function answer(self, op, is_alive)
  if not is_alive then
    local gone = op.call.gone
    return gone and gone(self, table.unpack(op.arguments)) or true
  end
  if op.errno then return nil, self:words(op), op.errno end
  return op.result
end

-- How long a call without callback blocks.
local function block(self, op)
  local disk, loop = self.disk, self.loop
  loop:spend(disk:draw_time(op.call.kind))
  if op.ticket and op.call.kind ~= "sync" then
    loop:spend(disk:draw_time("sync"))
  end
  disk:draw_stall()
  loop:spend(math.max(0, disk.stalled_until - loop:time()))
end

-- A call without callback.
local function run_now(self, op)
  local is_alive = perform(self, op)
  block(self, op)
  return answer(self, op, is_alive)
end

local function new_op(name, call, arguments, callback)
  return {
    name = name,
    call = call,
    arguments = arguments,
    callback = callback or false,
    path = false,         -- what it is about
    error_path = false,   -- what an error names, if not that
    is_short = false,     -- shall it do only a part?
    result = nil,
    errno = nil,          -- the name of an error
    late = false,         -- the error with which it will end
    target = false,       -- a file or directory ...
    ticket = false,       -- ... of which this becomes durable at the end
    undo = false,         -- what a write has overwritten
    ends = 0,             -- ns of the world
  }
end

--- Puts fs_* and the constants into a uv.
function Process:install(uv)
  uv.constants = uv.constants or {}
  for name, value in pairs(Arguments.constants) do
    uv.constants[name] = value
  end
  for name, call in pairs(names.all()) do
    uv["fs_" .. name] = function(...)
      local arguments, callback = Arguments.check(name, call.parameters, ...)
      local op = new_op(name, call, arguments, callback)
      if not callback then return run_now(self, op) end
      return pool.submit(self, op)
    end
  end
  uv.fs_scandir_next = names.scandir_next
end

--- Calls of a child: they work on our descriptors, and do not block us.
function Process:install_for_child(uv)
  for name, call in pairs(names.all()) do
    uv["fs_" .. name] = function(...)
      local arguments = Arguments.check(name, call.parameters, ...)
      local op = new_op(name, call, arguments)
      return answer(self, op, perform(self, op))
    end
  end
end

--- The process is gone: what was under way stops where it is.
function Process:die()
  self.is_dead = true
  pool.stop(self)
  local fds = {}
  for fd in pairs(self.fds) do fds[#fds + 1] = fd end
  for _, fd in ipairs(fds) do self:drop_fd(fd) end
end

return M
