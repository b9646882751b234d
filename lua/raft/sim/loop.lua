--- One event loop in virtual time: that of one simulated process.
--
--   local loop = Loop.new(world, { name = "n1" })
--   loop.uv                 what stands in for luv in this process
--
-- A turn goes as libuv has it, see raft.sim.turns; the loop sleeps in poll,
-- until a timer is due or something is ready.
--
-- For those who make handles (tcp, files):
--   loop:ready(fn, a, b, c)  calls fn in the next poll
--   loop:feed(fn, a, b, c)   calls fn among the pending ones of the next turn
--   loop:time()              world ns, as far as this process has come
--   loop:spend(ns)           a call that blocks this process takes so long
--   loop.requests            requests under way; they hold the loop
--
-- A turn that leads to another takes TURN_NS: no loop stops the world.
local Handles = require "raft.sim.handles"
local phases = require "raft.sim.phases"
local runs = require "raft.sim.runs"
local scheduler = require "raft.scheduler"
local timers = require "raft.sim.timers"
local turns = require "raft.sim.turns"

local M = {}

local NS_PER_MS <const> = 1000000
local PPM <const> = 1000000
local TURN_NS <const> = 10000  -- of a turn that leads to another one

local Loop = { __name = "raft.sim.loop" }
Loop.__index = Loop

--- @param options name; rate_ppm: how much faster this process' clock goes
--   (0); start_ns: what its clock shows at first; order: "1.44" or "later"
function M.new(world, options)
  local loop = setmetatable({
    world = world,
    name = options.name,
    pid = options.pid or 1,
    rate_ppm = options.rate_ppm or 0,
    order = options.order or "1.44",
    random = world:random("loop " .. options.name),
    clock_from = world.now,     -- world time at which ...
    clock_base = options.start_ns or 3600000 * NS_PER_MS,  -- ... this was so
    cached_ms = 0,              -- uv.now()
    lead = 0,                   -- ns that this turn has taken so far
    requests = 0,               -- under way
    io = {},                    -- what poll will call, in order
    fed = {},                   -- what comes among the pending ones
    handles = false,            -- raft.sim.handles
    wake_event = false,         -- the turn to come
    busy_until = 0,             -- world time at which the last turn ended
    is_polling = false,         -- has it come as far as to sleep?
    is_in_turn = false,
    is_paused = false,          -- stopped, like by SIGSTOP
    is_interrupted = false,     -- does poll return without reading?
    is_dead = false,            -- the process is gone
    is_stopped = false,         -- was uv.stop called?
    is_running = false,         -- is uv.run at work?
    is_finished = false,        -- is that over?
    is_once = false,            -- ... after one turn?
    is_by_hand = false,         -- does it turn in uv.run alone?
    after_turn = false,         -- function(), or false
    uv = {},
  }, Loop)
  loop.handles = Handles.new(loop)
  loop:update_time()
  loop:install()
  return loop
end

function Loop:install()
  local uv, handles = self.uv, self.handles
  timers.install(handles, uv)
  phases.install(handles, uv)
  handles:install(uv)
  runs.install(self, uv)
end

--- Does anything hold it?
function Loop:is_alive()
  return self.requests > 0 or self.handles:are_alive()
end

--- ms until a timer is due; nil: none is.
function Loop:next_timeout()
  return timers.next_timeout(self.handles)
end

---------------------------------------------------------------------- clocks --

local function scaled(ns, ppm)
  return ns + ns // PPM * ppm + ns % PPM * ppm // PPM
end

--- How far this process has come, in ns of the world.
function Loop:time()
  return self.world.now + self.lead
end

--- Its own monotonic clock, in ns.
function Loop:hrtime()
  return self.clock_base + scaled(self:time() - self.clock_from, self.rate_ppm)
end

-- World time when so many ns of our clock will be over; never too early.
function Loop:after_local(ns)
  local rate = PPM + self.rate_ppm
  local whole, rest = ns // rate * PPM, ns % rate * PPM
  return self:time() + whole + (rest + rate - 1) // rate
end

--- The clock goes at another rate from now on.
function Loop:set_rate(ppm)
  self.clock_base, self.clock_from = self:hrtime(), self:time()
  self.rate_ppm = ppm
  if self.is_polling then self:sleep() end
end

--- A call that blocked has taken so long.
function Loop:spend(ns)
  self.lead = self.lead + ns
end

function Loop:update_time()
  self.cached_ms = self:hrtime() // NS_PER_MS
end

------------------------------------------------------------------- its turns --

-- The turn comes at this time, or earlier if that was planned.
function Loop:wake_at(time)
  local event = self.wake_event
  if event then
    if event.time <= time then return end
    self.world:cancel(event)
  end
  self.wake_event = self.world:at(time, self.turn, self)
end

--- Something is ready: a sleeping loop wakes.
function Loop:wake()
  if self.is_in_turn or self.is_dead or self.is_paused then return end
  self:wake_at(self.world.now)
end

--- Calls fn(a, b, c) in the next poll.
function Loop:ready(fn, a, b, c)
  self.io[#self.io + 1] = { fn, a, b, c }
  self:wake()
end

--- Calls fn(a, b, c) with what is pending, early in the next turn.
function Loop:feed(fn, a, b, c)
  self.fed[#self.fed + 1] = { fn, a, b, c }
  self:wake()
end

--- A callback: what it raises would end a real process.
function Loop:call(fn, ...)
  if self.is_dead then return end
  local ok, err = xpcall(fn, debug.traceback, ...)
  if ok then return end
  self:die()
  self.world:fail(("uncaught error in a callback of %s: %s"):format(self.name,
    tostring(err)))
end

-- May it not sleep?
local function has_work(self)
  return #self.io > 0 or #self.fed > 0 or self.is_stopped
    or self.handles:have_work() or self.is_running and not self:is_alive()
end

--- Plans the next turn.
function Loop:sleep()
  if self.is_dead or self.is_paused or self.is_finished then return end
  if has_work(self) then return self:wake_at(self:time() + TURN_NS) end
  local wait_ms = self:next_timeout()
  if wait_ms then self:wake_at(self:after_local(wait_ms * NS_PER_MS)) end
end

--- One turn, from poll to poll.
function Loop:turn()
  self.wake_event = false
  if self.is_dead or self.is_paused then return end
  if self.is_by_hand and not self.is_running then return end
  if self.busy_until > self.world.now then
    return self:wake_at(self.busy_until)
  end
  self.is_in_turn = true
  scheduler.with_loop(self.uv, turns.take, self)
  self.is_in_turn = false
  self:sleep()
  self.busy_until = self:time()
  self.lead = 0
  if self.after_turn then self.after_turn() end
end

Loop.enter = runs.enter

------------------------------------------------------------ stopped and gone --

--- Stops the process where it is; its clock goes on.
function Loop:pause()
  self.is_paused = true
  if self.wake_event then self.world:cancel(self.wake_event) end
  self.wake_event = false
end

--- It goes on. A poll that was interrupted returns without reading, so that
-- the timers come before the backlog; or it reads.
function Loop:resume()
  if not self.is_paused then return end
  self.is_paused = false
  self.is_interrupted = self.random:chance(0.5)
  if not self.is_dead then self:wake_at(self.world.now) end
end

--- The process is gone, in the middle of whatever it does.
function Loop:die()
  self.is_dead = true
  if self.wake_event then self.world:cancel(self.wake_event) end
  self.wake_event = false
end

return M
