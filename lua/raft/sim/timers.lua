--- Timers of a simulated loop: see raft.sim.handles.
local Handles = require "raft.sim.handles"
local answers = require "raft.sim.answers"

local M = {}

local function is_sooner(a, b)
  if a.due_ms ~= b.due_ms then return a.due_ms < b.due_ms end
  return a.start_count < b.start_count
end

local function place(list, timer)
  local i = #list
  while i > 0 and is_sooner(timer, list[i]) do
    list[i + 1] = list[i]
    i = i - 1
  end
  list[i + 1] = timer
end

local timer = {}

function timer.stop(handle)
  if handle.is_on then Handles.take_out(handle.owner.timers, handle) end
  Handles.activate(handle, false)
  return 0
end
timer.stop_all = timer.stop

-- A delay below 0 wraps around in libuv: it never fires.
local NEVER_MS <const> = math.maxinteger

function timer.start(handle, timeout_ms, repeat_ms, callback)
  answers.check("timer_start", 2, "number", timeout_ms)
  answers.check("timer_start", 3, "number", repeat_ms)
  answers.check_callback("timer_start", 4, callback)
  if handle.state ~= "open" then return answers.answer("EINVAL") end
  timer.stop(handle)
  local owner = handle.owner
  owner.starts = owner.starts + 1
  handle.callback, handle.repeat_ms = callback, repeat_ms // 1 | 0
  handle.start_count = owner.starts
  handle.due_ms = timeout_ms < 0 and NEVER_MS
    or handle.loop.cached_ms + (timeout_ms // 1 | 0)
  place(owner.timers, handle)
  Handles.activate(handle, true)
  if not handle.loop.is_in_turn then handle.loop:sleep() end
  return 0
end

function timer.again(handle)
  if not handle.callback then return answers.answer("EINVAL") end
  if handle.repeat_ms > 0 then
    timer.start(handle, handle.repeat_ms, handle.repeat_ms, handle.callback)
  end
  return 0
end

function timer.set_repeat(handle, ms) handle.repeat_ms = ms end
function timer.get_repeat(handle) return handle.repeat_ms or 0 end

function timer.get_due_in(handle)
  if not handle.is_on then return 0 end
  return math.max(0, handle.due_ms - handle.loop.cached_ms)
end

Handles.kind("timer", "timer", timer)

local function fire(self, handle)
  timer.stop(handle)
  timer.again(handle)
  self.loop:call(handle.callback)
end

-- libuv 1.44: one after the other, also what was started meanwhile.
local function run_each(self)
  local list = self.timers
  while list[1] and list[1].due_ms <= self.loop.cached_ms do
    fire(self, list[1])
    if self.loop.is_dead then return end
  end
end

-- Later: those that are due now; what one of them stops does not fire.
local function run_those_due(self)
  local due = {}
  for _, handle in ipairs(self.timers) do
    if handle.due_ms > self.loop.cached_ms then break end
    due[#due + 1] = { handle, handle.start_count }
  end
  for _, item in ipairs(due) do
    local handle, start = item[1], item[2]
    if handle.is_on and handle.start_count == start then fire(self, handle) end
  end
end

--- Runs what is due.
function M.run(handles)
  if handles.loop.order == "later" then
    run_those_due(handles)
  else
    run_each(handles)
  end
end

--- ms until the loop has to wake; nil: no need to.
function M.next_timeout(handles)
  local first = handles.timers[1]
  if not first or first.due_ms == NEVER_MS then return nil end
  return math.max(0, first.due_ms - handles.loop.cached_ms)
end

--- Puts new_timer into a uv.
function M.install(handles, uv)
  function uv.new_timer() return handles:make("timer") end
end

return M
