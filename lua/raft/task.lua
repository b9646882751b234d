--- Coroutines on the event loop: raft.run, raft.spawn, raft.sleep.
-- The loop is the current one of raft.scheduler: luv's, or a simulated one.
local errors = require "raft.errors"
local run = require "raft.run"
local scheduler = require "raft.scheduler"
local waiting = require "raft.waiting"

local M = {}

M.run = run.run

-------------------------------------------------------------------- sleep --

local SLEEP_MS_MAX <const> = 1 << 53

local function check_ms(ms)
  if type(ms) == "number" and ms >= 0 and ms <= SLEEP_MS_MAX then
    return math.ceil(ms)
  end
  error("raft.sleep: expected ms from 0 on, got " .. tostring(ms), 4)
end

local sleep = waiting.method {
  name = "raft.sleep",
  args = 1,
  timeout = false,
  start = function(loop, _, answer, ms)
    ms = check_ms(ms)
    local timer, token
    token = loop:hold(function()
      loop:close(timer)
      answer(errors.new("closed", "the loop ended before the sleep"))
    end)
    if not token then
      answer(errors.new("closed", "the loop is ending"))
      return
    end
    timer = loop:after(ms, function()
      loop:release(token)
      answer(nil, true)
    end)
  end,
}

--- Suspends the running coroutine for ms, or calls cb(nil, true) then.
-- @return true, or nil and the error `closed` when raft.run ends before
function M.sleep(ms, ...)
  return sleep(scheduler.current(), ms, ...)
end

-------------------------------------------------------------------- tasks --

local Task = { __name = "raft.task" }
Task.__index = Task

function Task:__tostring()
  return ("raft.task (%s)"):format(self.state)
end

-- For raft.waiting.
function Task:defer(fn) self.loop:defer(fn) end
function Task:report(err) self.loop:report(err) end

local function finish(task, state, err, results)
  task.state, task.err, task.results = state, err, results
  task.loop:release(task.token)
  local waiters = task.waiters
  task.waiters = {}
  for _, answer in ipairs(waiters) do answer(err, results) end
  return #waiters > 0
end

local function caught(value)
  if errors.is_error(value) then return value end
  return errors.caught("task", value, debug.traceback(nil, 2))
end

-- What is raised in a task that nobody waits for must not go unheard. `nil,
-- err` of one of our calls, handed on, is an error for who waits.
local function settle(task, ok, ...)
  local result, err = ...
  if ok then
    local is_failure = result == nil and errors.is_error(err)
    finish(task, "done", is_failure and err or nil, table.pack(...))
    return
  elseif not errors.is_error(result) then  -- out of memory
    result = errors.caught("task", result)
  end
  if not finish(task, "failed", result, false) then
    task.loop:report(result)
  end
end

-- The run is over before the task: its to-be-closed variables are closed.
local function abandon(task)
  local ok, err = coroutine.close(task.co)
  if not ok then task.loop:report(caught(err)) end
  finish(task, "closed", errors.new("closed", "raft.run ended before the task"),
    false)
end

--- Runs fn in a coroutine of its own, from the next turn of the loop on. The
-- task ends with raft.run at the latest. What fn raises goes to those who
-- wait for the task, or to stderr where nobody does.
-- @return the task: task:wait()
function M.spawn(fn)
  if type(fn) ~= "function" then
    error("raft.spawn: expected a function, got " .. type(fn), 2)
  end
  local loop = scheduler.current()
  local task = setmetatable({
    loop = loop,        -- the scheduler it runs on
    state = "running",  -- running, done, failed, closed
    err = nil,          -- why it failed or was closed
    results = false,    -- what fn returned, packed
    waiters = {},       -- array of functions answer(err, result)
    co = false,         -- the coroutine
    token = false,      -- what the scheduler knows it by
  }, Task)
  task.co = coroutine.create(function()
    settle(task, xpcall(fn, caught))
  end)
  task.token = loop:hold(function() abandon(task) end)
  if task.token then
    loop:defer(function() coroutine.resume(task.co) end)
  else
    abandon(task)
  end
  return task
end

-- Takes the waiter out of the list, so that it is not answered twice.
local function give_up(task, answer)
  for i, other in ipairs(task.waiters) do
    if other == answer then table.remove(task.waiters, i) end
  end
end

--- Waits for the end of the task; by default as long as it takes.
-- @return the results of its function, or nil and the error
-- @function Task:wait
Task.wait = waiting.method {
  name = "task:wait",
  args = 0,
  timeout = false,
  has_many = true,
  start = function(task, opts, answer)
    if task.state ~= "running" then return answer(task.err, task.results) end
    local timer = false
    local function finished(err, results)
      if timer then task.loop:close(timer) end
      answer(err, results)
    end
    task.waiters[#task.waiters + 1] = finished
    if opts.timeout then
      timer = task.loop:after(opts.timeout, function()
        give_up(task, finished)
        answer(errors.new("timeout", "the task goes on after "
          .. opts.timeout .. " ms"))
      end)
    end
  end,
}

--- Has it ended?
function Task:is_done()
  return self.state ~= "running"
end

return M
