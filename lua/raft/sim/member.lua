--- A member of a simulated cluster: a disk that stays, and processes on it.
--   new -> running -> crashed -> running ...
--          running -> failed (its node has failed, or would not start)
--
-- A crash takes the process out of its world between two instants. Who waits
-- for an answer of its node gets one: closed, nobody knows what happened.
local Disk = require "raft.sim.disk"
local Host = require "raft.sim.host"
local Loop = require "raft.sim.loop"
local errors = require "raft.errors"
local inside = require "raft.node.inside"
local node_options = require "raft.sim.node_options"
local raft = require "raft"
local raft_core = require "raft.core"

local M = {}

local PORT <const> = 7100

local Member = { __name = "raft.sim.member" }
Member.__index = Member

--- @param sim the simulation: world, network, options, clocks, trace, watchers
function M.new(sim, id, position)
  return setmetatable({
    sim = sim,
    world = sim.world,
    id = id,
    ip = "10.0.0." .. position,
    address = ("10.0.0.%d:%d"):format(position, PORT),  -- of the beginning
    listens = false,     -- where its process was told to
    random = sim.world:random("member " .. id),
    disk = Disk.new(sim.world, id, sim.options.disk),
    state = "new",
    boot = 0,            -- starts so far
    loop = false,        -- of the process that runs
    code = false,        -- what its code sees
    services = {},       -- what its node has: name -> description
    host = false,
    node = false,        -- its node object
    driver = false,      -- and what drives that
    failure = false,     -- why the node failed
    is_starting = false, -- is node:start at work?
    has_formed = false,  -- has the first entry been on its disk?
    rate_ppm = sim:draw_rate(id),
    waiting = {},        -- answers that callers wait for; number -> function
    calls = 0,           -- calls so far
    last_index = 0,      -- the newest entry on its disk, when last known
    rotten_last = 0,     -- the same before damage, until repaired; 0 none
    incarnation = 0,     -- of its directory, when last known; 0 it is empty
    lost = {},           -- incarnation of a directory that is gone, or was put
                         -- back to an older copy -> its newest entry before
    copy = false,        -- of its disk, to be put back
    config = false,      -- in force there, when last known
    config_index = 0,    -- of its entry
    decided_index = 0,   -- of the newest that it knew to be committed
    was_witness = false, -- has its log got holes?
  }, Member)
end

function Member:note(what, a, b)
  self.sim.trace:note(self.id, what, a, b)
end

---------------------------------------------------------------- the process --

local function new_process(self)
  self.boot = self.boot + 1
  self.listens = self.sim:address_of(self.id)
  self.loop = Loop.new(self.world, {
    name = self.id .. "/" .. self.boot,
    pid = 1000 + self.boot,
    rate_ppm = self.rate_ppm,
    start_ns = self.random:between(1, 1 << 50),
    order = self.random:pick { "1.44", "later" },
  })
  self.sim.network:join(self.loop, self.ip)
  self.disk:attach(self.loop)
  self.host = Host.new(self.world, self.loop, self.disk,
    self.sim:wall_options(self.id))
end

-- The node failed, or would not start: the process goes on without it.
function Member:failed(err)
  if self.state ~= "running" then return end
  self.state, self.failure = "failed", err
  self:note("failed", errors.text(err))
  self.sim:member_failed(self, err)
end

local function open(self)
  local loop = self.loop
  self.is_starting = true
  local ok, err = self.node:start()
  if loop.is_dead then return end
  self.is_starting = false
  if not ok then return self:failed(err) end
  self.incarnation = self.driver.storage.incarnation
  local report = self.driver.storage.report
  if report and report.truncated_bytes > 0 then
    self.sim.marks:see("torn_tail")
  end
  self:note("started")
end

--- Starts the process and its node; the node's start comes in its first turn.
function Member:start()
  assert(self.state ~= "running", "it runs already")
  new_process(self)
  self:note("starts", self.boot)
  self.state, self.failure = "running", false
  local loop = self.loop
  loop:enter(function()
    self.node = raft.node(node_options.of(self))
    self.driver = inside.of(self.node)
    node_options.observe(self, self.driver)
    self.sim.clients:observe(self.driver.kept)
    self.node:on("failed", function(err) self:failed(err) end)
    self.node:on("diverged", function(info)
      self.sim.invariants:diverged(self, info)
    end)
    self.node:on("snapshot", function(info)
      self.sim.marks:see(info.mode and "snapshot" or "installed")
    end)
  end)
  loop.after_turn = function() self.sim:after_turn(self) end
  loop:ready(open, self)
end

-- Who waits for an answer gets one.
local function answer_waiting(self, err)
  local numbers = {}
  for number in pairs(self.waiting) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  for _, number in ipairs(numbers) do
    local answer = self.waiting[number]
    self.waiting[number] = nil
    answer(err)
  end
end

--- The newest entry on its disk, or nil while no core of it knows.
function Member:stored()
  local driver = self.driver
  if not driver or driver.is_closed or not driver.has_turns then return nil end
  return driver.core:status().stored
end

--- The process is gone.
-- @param how "power": what its disk had not synced is at risk; "process"
function Member:crash(how)
  if self.state ~= "running" and self.state ~= "failed" then return end
  self:note("crashes", how)
  self.last_index = self:stored() or self.last_index
  self.loop:die()
  self.sim.network:leave(self.loop, how == "power" and "silent" or "reset")
  self.disk:crash(how)
  self.state, self.node, self.driver = "crashed", false, false
  self.is_starting = false
  answer_waiting(self, errors.new("closed", ("the process of %s is gone")
    :format(self.id), { outcome = "unknown" }))
end

--- Its node has been stopped: the process ends in order.
function Member:stopped()
  if self.state ~= "running" then return end
  self:note("has stopped")
  self:crash("process")
end

--- The simulation is over.
function Member:close()
  if self.loop then self.loop:die() end
  self.state = "closed"
end

-- What is on its disk does not count any more.
local function lose(self)
  local last = math.max(self.last_index, self.rotten_last)
  if self.incarnation ~= 0 then self.lost[self.incarnation] = last end
  self.rotten_last = 0
end

--- Its disk is empty from now on.
function Member:wipe()
  self:crash("power")
  self:note("is wiped")
  lose(self)
  self.disk:wipe()
  self.last_index, self.incarnation = 0, 0
  self.copy, self.was_witness = false, false
  self.state = "new"
end

--- Its directory will not open any more: damage took too much.
function Member:give_up()
  lose(self)
  self.last_index = 0
end

--- How often its directory was opened, as its disk says: also of starts that
-- came to nothing. Nil: it does not say.
function Member:starts()
  local ok, bytes = pcall(self.disk.read, self.disk, "/data/identity")
  local fields = ok and raft_core.identity_decode(bytes)
  if not fields then return nil end
  return fields.starts, fields.incarnation
end

--- Keeps a copy of its disk, as it is now, where there is a directory on it.
function Member:keep_copy()
  local starts, incarnation = self:starts()
  self.copy = starts and { image = self.disk:seen(),
    incarnation = incarnation, starts = starts,
    last = self:stored() or self.last_index } or false
end

--- Puts the copy back that was kept.
function Member:roll_back()
  self:crash("power")
  self:note("is put back", self.copy.last)
  lose(self)
  self.disk:restore(self.copy.image)
  self.last_index, self.incarnation = self.copy.last, self.copy.incarnation
end

--- Does the cluster know it at another address than where it listens?
function Member:is_elsewhere()
  return self.listens ~= self.sim:address_of(self.id)
end

--- Has it had another directory before this one, or a newer state of it? Then
-- somebody may refuse it, and it may have to stop.
function Member:is_without_rights()
  return next(self.lost) ~= nil
end

--- Is its directory one that counts no more?
function Member:is_lost()
  return self.lost[self.incarnation] ~= nil
end

function Member:pause()
  self:note("is paused")
  self.loop:pause()
end

function Member:resume()
  self:note("goes on")
  self.loop:resume()
end

--- Does its process run, and its node in it?
function Member:is_up()
  return self.state == "running"
end

--- The end of its log, as text. Nil while it has something to apply.
function Member:standing()
  local driver = self.driver
  if not driver or driver.is_closed or not driver.has_turns then return nil end
  local status = driver.core:status()
  if status.applied < status.last then return nil end
  return status.last .. " " .. (driver.core:term_at(status.last) or "")
end

-------------------------------------------------------------------- calling --

--- Calls fn(node, answer) in the process, as if a request had come; done(err,
-- result) on the script's loop, exactly once, also if the process dies.
function Member:call(fn, done)
  local script = self.sim.script.loop
  if not self:is_up() then
    return script:ready(done, errors.new("closed", ("%s is %s"):format(self.id,
      self.state), { outcome = "none" }))
  end
  self.calls = self.calls + 1
  local number = self.calls
  local loop, waiting = self.loop, self.waiting
  waiting[number] = function(err, result) script:ready(done, err, result) end
  loop:ready(function()
    fn(self.node, function(err, result)
      local answer = waiting[number]
      waiting[number] = nil
      if answer and not loop.is_dead then answer(err, result) end
    end)
  end)
end

--- Calls a method of the node that answers at once: its results.
function Member:ask(method, ...)
  if not self.node then
    error(("raft.sim: node:%s: %s is %s"):format(method, self.id,
      self.state), 3)
  end
  return self.loop:enter(self.node[method], self.node, ...)
end

return M
