--- raft.testing.run: runs the body of a test in a coroutine on the loop.
-- Like raft.run, and two things more that a test wants: it ends after a time,
-- with the place where the body waits; and nodes that were opened before it,
-- in a before_each say, do not hold it and go on.
local errors = require "raft.errors"
local option_rules = require "raft.testing.options"
local scheduler = require "raft.scheduler"

local M = {}

local function caught(value)
  if type(value) ~= "string" then return value end
  return debug.traceback(value, 2)
end

-- Runs the loop until the body has ended or its time is over.
local function drive(loop, run, ms)
  local timer = ms and loop:after(ms, function()
    run.is_late = true
    loop:stop()
  end)
  while not run.outcome and not run.is_late do
    local is_alive = loop:run()
    if not is_alive and not run.outcome then break end
  end
  if timer then loop:close(timer) end
end

local function late_error(run, ms)
  local where = debug.traceback(run.co)
  local why = run.is_late and ("not done after %d ms"):format(ms)
    or "nothing is left on the loop that could end its wait"
  return errors.new("timeout", ("raft.testing.run: %s; it waits here:\n%s")
    :format(why, where))
end

local function raise_failure(failure)
  local id = errors.text(failure.node.id)
  error(errors.new("failed", ("node %s failed: %s"):format(id,
    errors.text(failure.err)), { id = id, cause = failure.err }), 0)
end

local function go(loop, fn, ms)
  local run = { co = false, outcome = false, is_late = false }
  loop.nodes:take_failures()
  run.co = coroutine.create(function()
    run.outcome = table.pack(xpcall(fn, caught))
    loop:stop()
  end)
  loop:defer(function() coroutine.resume(run.co) end)
  drive(loop, run, ms)
  local late = not run.outcome and late_error(run, ms)
  local ok, err = coroutine.close(run.co)
  if not ok then loop:report(err) end
  loop:close_all()
  local failure = loop.nodes:take_failures()[1]
  if late then error(late, 0) end
  if not run.outcome[1] then error(run.outcome[2], 0) end
  if failure then raise_failure(failure) end
  return table.unpack(run.outcome, 2, run.outcome.n)
end

--- Runs fn in a coroutine, and the loop until fn has ended. Tasks that it has
-- spawned end with it.
-- @param opts `timeout` in ms (60000; false: none), `uv`
-- @return the results of fn
-- @raise what fn raised, a string with its traceback; `timeout` when its time
--   was over; `failed` when a node failed meanwhile
function M.run(fn, opts)
  if type(fn) ~= "function" then
    error("raft.testing.run: expected a function, got " .. type(fn), 2)
  end
  opts = option_rules.run(opts)
  local loop = scheduler.of(opts.uv or scheduler.uv())
  if loop:is_running() then
    error("raft.testing.run: the loop is running already; call what waits "
      .. "right here", 2)
  end
  return scheduler.with_loop(loop.uv, go, loop, fn, opts.timeout)
end

return M
