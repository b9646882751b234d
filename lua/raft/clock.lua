--- Time and turns: monotonic now, wall clock, the one timer, and the two hooks
-- of a loop turn. Owns a timer, a check, a prepare and an idle handle.
--
--   timers -> prepare -> poll (all reads) -> check -> timers ...
--
-- The timer only wakes the loop; its owner asks is_due() in `check`, after the
-- reads of that turn: a node that was stopped for a while must not campaign
-- with heartbeats waiting in its sockets.
local M = {}

local NS_PER_MS <const> = 1000000

local Clock = { __name = "raft.clock" }
Clock.__index = Clock

--- A clock; it holds the loop only between start and close.
-- @param guard fn -> fn that never raises
function M.new(uv, host, guard)
  return setmetatable({
    uv = uv,
    host = host,
    guard = guard,
    handles = {},      -- by what they are for
    armed = false,     -- when the timer fires, in ms of now(); false: never
    due = false,       -- has it fired since the last is_due()?
    late_ms = 0,       -- how much too late it fired the last time
    is_awake = false,  -- is the idle handle on, so that polling cannot sleep?
  }, Clock)
end

--- Monotonic ms, read afresh.
function Clock:now()
  return self.uv.hrtime() // NS_PER_MS | 0
end

--- The wall clock in ms since 1970: data for stamps, compared with nothing.
function Clock:wall()
  return self.host.wall() // 1 | 0
end

--- Begins: check() after the reads of each turn, prepare() before it sleeps.
function Clock:start(check, prepare)
  local uv, handles = self.uv, self.handles
  handles.timer = assert(uv.new_timer())
  handles.check = assert(uv.new_check())
  handles.prepare = assert(uv.new_prepare())
  handles.idle = assert(uv.new_idle())
  assert(uv.check_start(handles.check, self.guard(check)))
  assert(uv.prepare_start(handles.prepare, self.guard(prepare)))
end

--- Wakes the loop at this time at the latest; false: no need to.
-- A timer that is set too early stays: it wakes us, and is set anew.
function Clock:arm(deadline)
  if not deadline or (self.armed and self.armed <= deadline) then return end
  local wait = math.max(0, deadline - self:now())
  self.uv.update_time()  -- a busy turn leaves the cached time behind
  self.armed = deadline
  assert(self.uv.timer_start(self.handles.timer, wait, 0,
    self.guard(function() self:fired() end)))
end

function Clock:fired()
  self.late_ms = math.max(0, self:now() - self.armed)
  self.armed, self.due = false, true
  self:stay_awake(true)  -- the turn must reach check without sleeping
end

--- Has the timer fired since the last question?
function Clock:is_due()
  local due = self.due
  self.due = false
  return due
end

local function nothing() end

--- While true the loop polls without sleeping.
function Clock:stay_awake(is_awake)
  if self.is_awake == is_awake or not self.handles.idle then return end
  self.is_awake = is_awake
  if is_awake then
    assert(self.uv.idle_start(self.handles.idle, nothing))
  else
    assert(self.uv.idle_stop(self.handles.idle))
  end
end

--- Closes the handles; no hook is called any more.
function Clock:close()
  for _, name in ipairs { "timer", "check", "prepare", "idle" } do
    local handle = self.handles[name]
    if handle and not self.uv.is_closing(handle) then self.uv.close(handle) end
  end
  self.handles = {}
end

return M
