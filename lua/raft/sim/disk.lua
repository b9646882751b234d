--- The disk of one simulated node: what is on it outlives its processes.
--
--   local disk = Disk.new(world, "n1", { torn = true })
--   disk:attach(loop)        uv.fs_* of that process work on this disk
--   disk:crash()             the power was cut
--   disk:crash("process")    its processes were killed; the system lives on
--
-- The model. Writes go into a cache and are at risk until the file is synced,
-- or the write itself where the file was opened with O_DSYNC. Changes of names
-- are at risk until the directory is synced. After a power cut each unsynced
-- sector of 512 bytes is old, new or (torn) garbage, each unsynced size old or
-- new, and of the names some or the first few survive. A sync that fails
-- leaves its pages clean, and on the disk old or new.
--
-- A call is an operation; one that makes something durable is two, and the
-- second (<name>_sync) is where it becomes so. `on_operation` is asked before
-- each, and may kill the process there.
--
-- Limits. Room is counted by sizes, so holes take room. There are no links,
-- owners or rights. What lies in the cache is not written by itself, but a
-- power cut finds any of it written.
local Faults = require "raft.sim.disk.faults"
local Process = require "raft.sim.files"
local Tree = require "raft.sim.disk.tree"
local content = require "raft.sim.disk.content"
local crash = require "raft.sim.disk.crash"
local file = require "raft.sim.disk.file"
local rot = require "raft.sim.disk.rot"

local M = {}

local NS_PER_MS <const> = 1000000
local ENDLESS <const> = 1 << 60   -- bytes of room, where nothing limits it

local Disk = { __name = "raft.sim.disk" }
Disk.__index = Disk
content.add_to(Disk)

-- Times are { least, most } in ms, rates in [0, 1] for each call.
local DEFAULTS <const> = {
  read = { 0.02, 0.1 },      -- how long calls take
  write = { 0.02, 0.1 },
  sync = { 0.2, 1 },         -- also what O_DSYNC adds to a write
  name = { 0.01, 0.05 },     -- open, rename and the like
  capacity = false,          -- bytes; false: no end of it
  read_error = 0,            -- EIO
  write_error = 0,
  sync_error = 0,
  name_error = 0,
  short_read = 0,            -- a part is read or written, and said so
  short_write = 0,
  rot = 0,                   -- a read finds a bit flipped, for good
  lost_write = 0,            -- of syncs: the drive lies
  misdirected_write = 0,     -- of syncs: a page goes to another place
  stall_rate = 0,            -- the disk hangs ...
  stall = { 100, 1000 },     -- ... for so long
  torn = false,              -- may a power cut garble sectors?
  garbage = 0.2,             -- how likely that is, for an unsynced sector
}

--- A disk with an empty root directory and /tmp.
function M.new(world, name, options)
  local counts = { calls = 0, operations = 0, reads = 0, writes = 0, syncs = 0,
    bytes = 0, errors = 0, short = 0, rotten = 0, misdirected = 0, torn = 0,
    lost = 0, crashes = 0, stalls = 0 }
  local self = setmetatable({
    world = world,
    name = name,
    options = {},
    counts = counts,         -- what has happened so far
    tree = Tree.new(),
    used = 0,                -- pages taken
    time_base_ns = 1700000000 * 1000000000,  -- of the times in stat
    processes = {},          -- array of those attached
    time = world:random("disk time " .. name),
    chance = world:random("disk faults " .. name),
    fate = world:random("disk crash " .. name),
    faults = false,
    stalled_until = 0,       -- ns of the world
    on_operation = false,    -- function(number, name, path)
    note = false,            -- function(name, path, detail), for a trace
  }, Disk)
  self.faults = Faults.new(self.chance, counts)
  self:set(DEFAULTS)
  self:set(options or {})
  self:add_tmp()
  return self
end

--- Changes options; those not named stay as they are.
function Disk:set(options)
  for name, value in pairs(options) do
    if DEFAULTS[name] == nil then
      error(("raft.sim.disk: there is no option %s"):format(name), 2)
    end
    self.options[name] = value
  end
end

--- Puts the calls of files into the loop's uv. What its loop left behind when
-- it died is given back first.
function Disk:attach(loop)
  self:reap()
  local process = Process.new(self, loop)
  self.processes[#self.processes + 1] = process
  process:install(loop.uv)
  return process
end

--- The files of the process with this loop.
function Disk:process_of(loop)
  for _, process in ipairs(self.processes) do
    if process.loop == loop then return process end
  end
  error("the disk is not attached to this loop", 2)
end

--------------------------------------------------------------- for the calls --

--- One operation of a process is to take effect; false when it must not,
-- because the process is gone.
function Disk:enter(process, name, path, detail)
  if process:is_gone() then return false end
  local counts = self.counts
  counts.operations = counts.operations + 1
  if self.on_operation then
    self.on_operation(counts.operations, name, path)
    if process:is_gone() then return false end
  end
  if self.note then self.note(name, path or "", detail or "") end
  return true
end

--- How long something of this kind takes, in ns.
function Disk:draw_time(kind)
  local range = self.options[kind]
  local ms = range[1] + (range[2] - range[1]) * self.time:real()
  return math.floor(ms * NS_PER_MS)
end

--- Whether it hangs now, by rate.
function Disk:draw_stall()
  if not self.chance:chance(self.options.stall_rate) then return end
  self:stall(self:draw_time("stall") / NS_PER_MS)
end

--- It hangs for so long: what is under way ends later.
function Disk:stall(ms)
  self.counts.stalls = self.counts.stalls + 1
  local till = self.world.now + math.floor(ms * NS_PER_MS)
  self.stalled_until = math.max(self.stalled_until, till)
end

--- The n-th call from now on fails; n = 1 is the next.
-- @param errno "EIO", "ENOSPC" (only where room is taken), "short" (writes)
-- @param is_for_good do all later ones, too?
function Disk:fail(n, errno, is_for_good)
  self.faults:fail(self.counts.calls + n, errno, is_for_good)
end

--- The next call of this name fails with EIO: "write", "fsync", "open" ...
function Disk:fail_next(name)
  self.faults:fail_next(name)
end

--- No call is planned to fail any more.
function Disk:mend()
  self.faults:mend()
end

-- How a disk is that is well.
local WELL <const> = { "read", "write", "sync", "name", "capacity",
  "read_error", "write_error", "sync_error", "name_error", "short_read",
  "short_write", "rot", "lost_write", "misdirected_write", "stall_rate" }

--- It is well from now on: quick, with room, and without faults. What it did
-- before it did.
function Disk:calm()
  for _, name in ipairs(WELL) do self.options[name] = DEFAULTS[name] end
  self:mend()
  self.stalled_until = 0
end

--- A sync has come to its end, unless the drive lies.
function Disk:settle(node, ticket)
  local counts, options, chance = self.counts, self.options, self.chance
  counts.syncs = counts.syncs + 1
  if node.kind == "directory" then return self.tree:settle(node, ticket) end
  if chance:chance(options.lost_write) then
    counts.lost = counts.lost + 1
    node:lose(ticket)
  elseif chance:chance(options.misdirected_write) then
    counts.misdirected = counts.misdirected + 1
    rot.misdirect(node, ticket, chance)
  else
    node:settle(ticket)
  end
end

--- A sync has failed. That of a directory has done nothing.
function Disk:fail_sync(node, ticket)
  if node.kind == "file" then node:fail(ticket, self.chance) end
end

--- A read may find that a bit has flipped.
function Disk:maybe_rot(node, offset, size)
  size = math.min(size, node.size - offset)
  if size <= 0 or not self.chance:chance(self.options.rot) then return end
  self.counts.rotten = self.counts.rotten + 1
  rot.flip(node, offset + self.chance:below(size), self.chance:below(8))
end

--- Bytes that may still be taken.
function Disk:room()
  local capacity = self.options.capacity
  if not capacity then return ENDLESS end
  return math.max(0, capacity - self.used * file.PAGE)
end

--------------------------------------------------------------------- crashes --

-- Takes the processes away that are chosen.
local function kill(self, is_chosen)
  local rest = {}
  for _, process in ipairs(self.processes) do
    if is_chosen(process) then
      process:die()
    else
      rest[#rest + 1] = process
    end
  end
  self.processes = rest
end

local function anyone() return true end

--- Gives back what processes had that are gone.
function Disk:reap()
  kill(self, function(process) return process:is_gone() end)
end

--- The process with this loop has ended.
function Disk:detach(loop)
  kill(self, function(process) return process.loop == loop end)
end

local function cut_power(self)
  local items = crash.items(self.tree)
  local garbage = self.options.torn and self.options.garbage or 0
  local kept, torn = crash.random(items, self.fate, garbage)
  local lost = 0
  for i = 1, #items do lost = lost + (kept[i] and 0 or 1) end
  self.counts.torn = self.counts.torn + torn
  self.counts.lost = self.counts.lost + lost
  self:become(crash.survivor(self.tree, items, kept))
  return ("%d at risk, %d lost, %d torn"):format(#items, lost, torn)
end

--- Its processes are gone, in the middle of whatever they do, and their locks
-- with them.
-- @param how "power" (default): what is not synced is at risk; "process": they
--   were killed, and the system keeps what they wrote
-- @param loop with "process": only this one's
function Disk:crash(how, loop)
  self.counts.crashes = self.counts.crashes + 1
  local detail = ""
  if how == "process" then
    kill(self, loop and function(p) return p.loop == loop end or anyone)
  else
    kill(self, anyone)
    detail = cut_power(self)
  end
  if self.note then self.note("crash", how or "power", detail) end
end

return M
