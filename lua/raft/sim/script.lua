--- The script of a simulation: functions that run in coroutines, in virtual
-- time, on a loop of their own beside the nodes. It never crashes.
local Loop = require "raft.sim.loop"
local errors = require "raft.errors"
local scheduler = require "raft.scheduler"
local task = require "raft.task"

local M = {}

local NS_PER_MS <const> = 1000000
local POLL_MS_MAX <const> = 16  -- between two looks of wait

local Script = { __name = "raft.sim.script" }
Script.__index = Script

--- @param look function() called after each event of the world; may raise
function M.new(world, look)
  local loop = Loop.new(world, { name = "script" })
  return setmetatable({
    world = world,
    loop = loop,
    scheduler = scheduler.of(loop.uv),
    look = look,
    running = false,   -- the coroutine of run, or false
    limit_ms = 3600000, -- of virtual time, for one run
  }, Script)
end

--- Are we called from a coroutine of the script?
function Script:is_inside()
  return self.loop.is_in_turn and coroutine.isyieldable()
end

local function caught(value)
  return { value = value, traceback = debug.traceback(nil, 2) }
end

-- Text gets its traceback, an error value stays itself.
local function rethrow(what)
  if type(what) ~= "table" then error(what, 0) end
  if type(what.value) ~= "string" then error(what.value, 0) end
  error(what.value .. "\n" .. what.traceback, 0)
end

local function step(self)
  if not self.world:step() then
    error("raft.sim: nothing is left that could happen, and the script waits",
      0)
  end
  if self.world.failure then error(self.world.failure, 0) end
  self.look()
end

--- Lets the world go on until is_over().
function Script:drive(is_over)
  local limit = self.world.now + self.limit_ms * NS_PER_MS
  while not is_over() do
    step(self)
    if self.world.now > limit then
      error(("raft.sim: not over after %d virtual ms"):format(self.limit_ms), 0)
    end
  end
end

--- Lets the world go on for ms.
function Script:pass(ms)
  local target = self.world.now + math.ceil(ms * NS_PER_MS)
  local is_there = false
  self.world:at(target, function() is_there = true end)
  self:drive(function() return is_there end)
end

--- Runs fn in a coroutine until it returns: its results.
function Script:run(fn)
  if self.running then
    error("raft.sim: s:run is at work already; s:spawn(fn) starts a task", 3)
  end
  local outcome
  local co = coroutine.create(function()
    outcome = table.pack(xpcall(fn, caught))
  end)
  self.running = co
  self.loop:ready(function() coroutine.resume(co) end)
  local ok, err = pcall(self.drive, self, function() return outcome ~= nil end)
  self.running = false
  if not ok then
    coroutine.close(co)
    error(err, 0)
  end
  if not outcome[1] then rethrow(outcome[2]) end
  return table.unpack(outcome, 2, outcome.n)
end

--- Suspends the coroutine of the script for ms.
function Script:sleep(ms)
  return task.sleep(ms)
end

--- Starts fn in a coroutine of its own: a task.
function Script:spawn(fn)
  if self.loop.is_in_turn then return task.spawn(fn) end
  return scheduler.with_loop(self.loop.uv, task.spawn, fn)
end

--- Waits until predicate() is true; its value.
-- @return it, or nil and the error `timeout`
function Script:wait(predicate, ms)
  local limit = self.world.now + math.ceil(ms * NS_PER_MS)
  local is_inside, poll_ms = self:is_inside(), 1
  repeat
    local value = predicate()
    if value then return value end
    if is_inside then task.sleep(poll_ms) else self:pass(poll_ms) end
    poll_ms = math.min(2 * poll_ms, POLL_MS_MAX)
  until self.world.now >= limit
  return nil, errors.new("timeout", ("not so after %g virtual ms"):format(ms))
end

--- Ends all tasks.
function Script:close()
  self.scheduler:close_all()
end

return M
