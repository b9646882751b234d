--- The turns of a simulated loop:
--
--   timers, pending, idle, prepare, (poll), pending, check, closing
--
-- `order` says whose turns. "1.44" runs each timer as it is found due, also one
-- that a timer has just started. "later" (libuv 1.45 and up) takes those that
-- are due first; a turn that does not sleep has its timers last; and a timer
-- that stops the loop stops it before the next poll.
local phases = require "raft.sim.phases"
local timers = require "raft.sim.timers"

local M = {}

local PENDING_PASSES <const> = 8  -- after poll, so that nothing starves

local function run_list(loop, list)
  for _, item in ipairs(list) do
    loop:call(item[1], item[2], item[3], item[4])
  end
end

local function run_io(loop)
  local list = loop.io
  if #list == 0 then return end
  loop.io = {}
  run_list(loop, list)
end

local function run_pending(loop)
  if #loop.fed == 0 then return end
  local list = loop.fed
  loop.fed = {}
  run_list(loop, list)
end

local function run_timers(loop)
  loop:update_time()
  timers.run(loop.handles)
end

local function before_poll(loop)
  run_pending(loop)
  phases.run(loop.handles, "idle")
  phases.run(loop.handles, "prepare")
end

local function after_poll(loop)
  if not loop.is_interrupted then run_io(loop) end
  loop.is_interrupted = false
  for _ = 1, PENDING_PASSES do
    if #loop.fed == 0 then break end
    run_pending(loop)
  end
  phases.run(loop.handles, "check")
  loop.handles:run_closing()
end

-- uv.run ends between two turns.
local function is_over(loop)
  if not loop.is_running then return false end
  return loop.is_stopped or loop.is_polling and not loop:is_alive()
end

--- From one poll to the next; where the loop begins, up to the first.
function M.take(loop)
  local is_later = loop.order == "later"
  loop:update_time()
  if loop.is_polling then after_poll(loop) end
  if is_later or loop.is_once then run_timers(loop) end
  loop.is_finished = loop.is_once or is_over(loop)
  loop.is_polling = true
  if loop.is_finished or loop.is_dead then return end
  if not is_later then run_timers(loop) end
  before_poll(loop)
end

--- The first half of a turn that is taken alone. May it sleep in poll?
function M.begin(loop)
  if loop.order ~= "later" then run_timers(loop) end
  local may_sleep = #loop.fed == 0
  if loop.order == "later" then
    may_sleep = may_sleep and #loop.handles.lists.idle == 0
  end
  before_poll(loop)
  return may_sleep
end

--- The second half, without sleep.
function M.finish(loop)
  loop:update_time()
  after_poll(loop)
  if loop.order == "later" then run_timers(loop) end
end

return M
