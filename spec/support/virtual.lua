--- A simulated computer for specs: a world, a disk, and processes on it.
local Disk = require "raft.sim.disk"
local Host = require "raft.sim.host"
local Loop = require "raft.sim.loop"
local World = require "raft.sim.world"

local M = {}

local EVENTS_MAX <const> = 200000  -- until something that is waited for

local Computer = { __name = "spec.virtual" }
Computer.__index = Computer

--- @param seed of its world; options of its disk, if wanted
function M.new(seed, options)
  local world = World.new(seed)
  return setmetatable({
    world = world,
    disk = Disk.new(world, "d", options),
    loop = false,      -- of the newest process
    uv = false,        -- its luv
    host = false,
    boots = 0,         -- processes so far
    bend = false,      -- function(uv), to change what calls do
  }, Computer)
end

--- A new process: its uv.
function Computer:boot(options)
  self.boots = self.boots + 1
  self.loop = Loop.new(self.world, { name = "p" .. self.boots,
    pid = 100 + self.boots })
  self.disk:attach(self.loop)
  self.uv = self.loop.uv
  if self.bend then self.bend(self.uv) end
  self.host = Host.new(self.world, self.loop, self.disk, options)
  return self.uv
end

--- The newest process dies, and what it had under way.
-- @param how as of Disk:crash
function Computer:crash(how)
  self.loop:die()
  self.disk:crash(how)
end

--- The worst of all power cuts: nothing is kept that was not synced.
function Computer:crash_keeping_nothing()
  self.loop:die()
  self.disk:restore(self.disk:image())
end

--- Lets the world go on until this is true, or the process is gone.
-- @param what in words
function Computer:run_until(predicate, what)
  local world = self.world
  for _ = 1, EVENTS_MAX do
    if world.failure then error(world.failure, 0) end
    if predicate() or self.loop.is_dead then return end
    if not world:step() then break end
  end
  error("nothing led to " .. (what or "what was waited for"), 2)
end

--- Lets so many ms pass, from where the newest process has come to.
function Computer:run_for(ms)
  local world = self.world
  local till = self.loop:time() + math.floor(ms * 1000000)
  while world:next_time() and world:next_time() <= till do
    world:step()
    if world.failure then error(world.failure, 0) end
  end
  world.now = till
end

--- Writes a whole file, and syncs it if wanted.
function Computer:write(path, bytes, is_synced)
  local fd = assert(self.uv.fs_open(path, "w", tonumber("600", 8)))
  if #bytes > 0 then assert(self.uv.fs_write(fd, bytes, 0)) end
  if is_synced then assert(self.uv.fs_fsync(fd)) end
  assert(self.uv.fs_close(fd))
end

--- Syncs a directory.
function Computer:sync_dir(path)
  local fd = assert(self.uv.fs_open(path, "r", 0))
  assert(self.uv.fs_fsync(fd))
  assert(self.uv.fs_close(fd))
end

--- The bytes of a file, or nil.
function Computer:read(path)
  local node = self.disk.tree:find(path)
  return node and self.disk:read(path)
end

return M
