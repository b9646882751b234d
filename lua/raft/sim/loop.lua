--- One event loop in virtual time: that of one simulated process.
--
--   Loop.new(world, { name = "n1" }).uv    what stands in for luv
--
-- A turn goes as libuv has it:
--
--   timers -> pending -> idle -> prepare -> (poll) -> check -> closing
--
-- and the loop sleeps in poll, until a timer is due or something is ready.
-- `order` says whose timers: "1.44" runs each timer as it is found due, also
-- one that a timer has just started; "later" (libuv 1.45 and up) first takes
-- all that are due.
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

local M = {}

local NS_PER_MS <const> = 1000000
local PPM <const> = 1000000
local TURN_NS <const> = 10000        -- of a turn that leads to another one
local PENDING_PASSES <const> = 8     -- of libuv 1.45 and up, after poll

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
    is_polling = false,         -- has it come as far as poll?
    is_in_turn = false,
    is_paused = false,          -- stopped, like by SIGSTOP
    is_interrupted = false,     -- does poll return without reading?
    is_dead = false,            -- the process is gone
    is_stopped = false,         -- was uv.stop called?
    is_running = false,         -- is uv.run at work?
    is_finished = false,        -- ... over?
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

--------------------------------------------------------------------- clocks --

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

-- The turn comes at this time, or earlier.
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

local function run_list(self, list)
  for _, item in ipairs(list) do self:call(table.unpack(item, 1, 4)) end
end

local function run_io(self)
  local list = self.io
  if #list == 0 then return end
  self.io = {}
  run_list(self, list)
end

local function run_fed(self)
  local list = self.fed
  if #list == 0 then return end
  self.fed = {}
  run_list(self, list)
end

-- From the end of poll to the end of the turn.
local function after_poll(self)
  if not self.is_interrupted then run_io(self) end
  self.is_interrupted = false
  if self.order == "later" then
    for _ = 1, PENDING_PASSES do run_fed(self) end
  end
  phases.run(self.handles, "check")
  self.handles:run_closing()
end

-- From the timers to poll.
local function before_poll(self)
  self:update_time()
  timers.run(self.handles)
  run_fed(self)
  phases.run(self.handles, "idle")
  phases.run(self.handles, "prepare")
end

-- May it not sleep?
function Loop:has_work()
  return #self.io > 0 or #self.fed > 0 or self.is_stopped
    or self.handles:have_work()
end

--- Plans the next turn.
function Loop:sleep()
  if self.is_dead or self.is_paused or self.is_finished then return end
  if self:has_work() then return self:wake_at(self:time() + TURN_NS) end
  local wait_ms = self:next_timeout()
  if wait_ms then self:wake_at(self:after_local(wait_ms * NS_PER_MS)) end
end

-- uv.run ends between two turns.
local function is_over(self)
  return self.is_running and (self.is_stopped or not self:is_alive())
end

local function work(self)
  self:update_time()
  if self.is_polling then after_poll(self) end
  self.is_finished = self.is_polling and is_over(self)
  self.is_polling = true
  if not self.is_finished and not self.is_dead then before_poll(self) end
end

--- One turn, from poll to poll.
function Loop:turn()
  self.wake_event = false
  if self.is_dead or self.is_paused then return end
  if self.busy_until > self.world.now then
    return self:wake_at(self.busy_until)
  end
  self.is_in_turn = true
  scheduler.with_loop(self.uv, work, self)
  self.is_in_turn = false
  self:sleep()
  self.busy_until = self:time()
  self.lead = 0
  if self.after_turn then self.after_turn() end
end

Loop.enter = runs.enter

--- One turn that does not sleep. Timers come first with libuv 1.44, and last
-- with later ones.
function Loop:turn_at_once()
  self.is_in_turn = true
  if self.order == "later" then
    run_fed(self)
    phases.run(self.handles, "idle")
    phases.run(self.handles, "prepare")
  else
    before_poll(self)
  end
  after_poll(self)
  if self.order == "later" then
    self:update_time()
    timers.run(self.handles)
  end
  self.is_in_turn = false
end

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
