--- One event loop as the library sees it: work for its next turn, timers, and
-- what has to end when raft.run ends. There is one scheduler per loop, found
-- by its uv. It opens a handle only while there is something to wait for.
--
-- From the loop (luv, or what stands in for it) it uses run, stop, loop_alive,
-- loop_mode, hrtime, new_timer, timer_start, new_idle, idle_start, new_signal,
-- signal_start, unref, close and is_closing; loop_mode and new_signal may be
-- missing.
local errors = require "raft.errors"
local guard = require "raft.guard"
local registry = require "raft.registry"

local M = {}

local NS_PER_MS <const> = 1000000
local CLOSING_PASSES_MAX <const> = 10  -- callbacks of callbacks, at the end

local Scheduler = { __name = "raft.scheduler" }
Scheduler.__index = Scheduler

-- uv -> Scheduler; weak, so that a simulated loop can be collected.
local schedulers = setmetatable({}, { __mode = "k" })

-- Loops made current by with_loop, innermost last.
local stack = {}

----------------------------------------------------------- which loop it is --

--- The scheduler of this loop.
function M.of(uv)
  local scheduler = schedulers[uv]
  if not scheduler then
    scheduler = setmetatable({
      uv = uv,
      nodes = registry.of(uv),  -- the open nodes on this loop
      queue = {},               -- array of functions for the next turn
      waker = false,            -- the handle that brings that turn, or false
      held = {},                -- token -> function that ends what it is for
      births = 0,               -- tokens given so far: they ascend
      entered = 0,              -- how many with_loop calls we are in
      is_dispatching = false,   -- is the queue looked at soon anyway?
      is_closing = false,       -- is close_all at work?
    }, Scheduler)
    schedulers[uv] = scheduler
  end
  return scheduler
end

--- The current uv: that of the innermost with_loop, else luv.
function M.uv()
  return stack[#stack] or require "luv"
end

--- The scheduler of the current loop.
function M.current()
  return M.of(M.uv())
end

local function leave(scheduler, ok, ...)
  scheduler.entered = scheduler.entered - 1
  stack[#stack] = nil
  if not ok then error((...), 0) end
  return ...
end

--- Calls fn(...) with this loop as the current one, which counts as running
-- meanwhile. fn must not yield out of it. Hands on results and errors.
function M.with_loop(uv, fn, ...)
  local scheduler = M.of(uv)
  stack[#stack + 1] = uv
  scheduler.entered = scheduler.entered + 1
  return leave(scheduler, pcall(fn, ...))
end

--- Is the loop being run, by us or by anybody?
function Scheduler:is_running()
  if self.entered > 0 then return true end
  local loop_mode = self.uv.loop_mode
  return loop_mode ~= nil and loop_mode() ~= nil
end

--- Runs the loop until it is stopped or empty; is anything left on it?
function Scheduler:run()
  self.uv.run()
  return self.uv.loop_alive()
end

--- Lets the innermost run return.
function Scheduler:stop()
  self.uv.stop()
end

----------------------------------------------------------------- its turns --

--- Says an error that has nobody to go to.
function Scheduler:report(err)
  local text = "raft: " .. errors.text(err)
  local traceback = errors.is_error(err) and err.traceback
  io.stderr:write(text, traceback and "\n" .. traceback or "", "\n")
end

-- Runs functions from queue.next on, up to the first that raises.
local function run_all(queue)
  for i = queue.next, #queue do
    queue.next = i + 1
    queue[i]()
  end
end

-- Runs what is queued now; what is queued meanwhile waits for another turn.
local function run_queue(self)
  local queue = self.queue
  if #queue == 0 then return end
  self.queue, queue.next = {}, 1
  local function report(err) self:report(err) end
  repeat
    guard.run("a turn", report, run_all, queue)
  until queue.next > #queue
end

-- The end of a callback from the loop, whose turn it is.
local function end_turn(self)
  run_queue(self)  -- what waited for a turn
  run_queue(self)  -- what that answered
  self.is_dispatching = false
  if #self.queue > 0 then self:wake() end
end

-- Every callback from the loop comes in here: nothing raised may leave it.
local function dispatch(self, fn)
  self.is_dispatching = true
  table.insert(self.queue, 1, fn)
  end_turn(self)
end

--- Calls fn(...), which is a callback from the loop: what waits for a turn, or
-- is put off by it, comes in this very one.
-- @return true, or false and what it raised, with a traceback
function Scheduler:enter(fn, ...)
  if self.is_dispatching or self.is_closing then
    return xpcall(fn, debug.traceback, ...)
  end
  self.is_dispatching = true
  local ok, what = xpcall(fn, debug.traceback, ...)
  end_turn(self)
  return ok, what
end

--- Closes a handle; twice is no harm.
function Scheduler:close(handle)
  if not self.uv.is_closing(handle) then self.uv.close(handle) end
end

-- A timer of 0 ms that is started by a timer runs before the loop polls, so a
-- chain of them starves everything else. An idle handle runs once per turn.
local function start_once(self, ms, fn)
  local uv = self.uv
  if ms > 0 then
    local timer = assert(uv.new_timer())
    assert(uv.timer_start(timer, ms, 0, fn))
    return timer
  end
  local idle = assert(uv.new_idle())
  assert(uv.idle_start(idle, fn))
  return idle
end

--- Runs fn from the loop once, when ms are over; 0: in the next turn.
-- @return the handle, for close
function Scheduler:after(ms, fn)
  local handle
  handle = start_once(self, ms, function()
    self:close(handle)
    dispatch(self, fn)
  end)
  return handle
end

--- Is it a loop of a process of its own?
function Scheduler:has_signals()
  return self.uv.new_signal ~= nil
end

--- Calls fn from the loop whenever the signal comes. Does not hold the loop.
-- @return the handle, for close; false where the loop knows no signals
function Scheduler:on_signal(name, fn)
  if not self:has_signals() then return false end
  local handle = assert(self.uv.new_signal())
  assert(self.uv.signal_start(handle, name, function() dispatch(self, fn) end))
  self.uv.unref(handle)
  return handle
end

--- The time of a clock that only goes on, in ms.
function Scheduler:now()
  return self.uv.hrtime() // NS_PER_MS | 0
end

--- Makes sure that there is a next turn.
function Scheduler:wake()
  if self.waker then return end
  self.waker = self:after(0, function() self.waker = false end)
end

--- Runs fn soon, from the loop.
function Scheduler:defer(fn)
  self.queue[#self.queue + 1] = fn
  if not self.is_dispatching and not self.is_closing then self:wake() end
end

------------------------------------------------------ what ends with the run --

--- Notes something that ends with the loop at the latest.
-- @param fn ends it
-- @return a token for release; false when everything is ending just now
function Scheduler:hold(fn)
  if self.is_closing then return false end
  self.births = self.births + 1
  self.held[self.births] = fn
  return self.births
end

--- It has ended by itself.
function Scheduler:release(token)
  self.held[token] = nil
end

local function end_held(self)
  local tokens = {}
  for token in pairs(self.held) do tokens[#tokens + 1] = token end
  table.sort(tokens)
  for _, token in ipairs(tokens) do
    local fn = self.held[token]  -- ending one may have ended another
    self.held[token] = nil
    if fn then fn() end
  end
end

--- Ends what is still held, oldest first; closes our handles. Not to be called
-- from the loop.
function Scheduler:close_all()
  self.is_closing = true
  end_held(self)
  for _ = 1, CLOSING_PASSES_MAX do run_queue(self) end
  if self.waker then self:close(self.waker) end
  self.waker, self.queue, self.is_closing = false, {}, false
  self.uv.run("nowait")  -- a stop that came early takes this one back,
  self.uv.run("nowait")  -- and here the loop forgets what was closed
end

return M
