--- uv.run, uv.stop and what else a simulated loop says of itself: see
-- raft.sim.loop. The processes of a simulation are driven by its world; run is
-- for a program that brings its own, and drives the whole world then.
local scheduler = require "raft.scheduler"
local turns = require "raft.sim.turns"

local M = {}

-- Lets the world go on until this loop is finished.
local function go_on(loop)
  while not loop.is_finished and not loop.is_dead do
    if not loop.world:step() then break end
    if loop.world.failure then error(loop.world.failure, 0) end
  end
end

local run = {}  -- mode -> function(loop)

-- Until the loop has ended or was stopped.
function run.default(loop)
  loop.is_polling = false
  loop:wake_at(loop.world.now)
  go_on(loop)
end

-- One turn.
function run.once(loop)
  loop.is_in_turn = true
  local may_sleep = turns.begin(loop)
  loop.is_in_turn = false
  loop.is_polling, loop.is_once = true, true
  loop:sleep()
  if not may_sleep then loop:wake_at(loop.world.now) end
  go_on(loop)
  loop.is_once = false
end

-- One turn that does not sleep.
function run.nowait(loop)
  loop.is_in_turn = true
  turns.begin(loop)
  turns.finish(loop)
  loop.is_in_turn = false
end

local function start(loop, mode)
  loop.is_finished = false
  if not loop.is_stopped and loop:is_alive() then run[mode](loop) end
end

local function leave(loop, ok, ...)
  loop.is_in_turn = false
  loop:sleep()
  if not ok then error((...), 0) end
  return ...
end

--- Calls fn(...) in this process, from outside: its results. What it raises is
-- the caller's.
function M.enter(loop, fn, ...)
  if loop.is_in_turn then return fn(...) end
  loop.is_in_turn = true
  loop:update_time()
  return leave(loop, pcall(scheduler.with_loop, loop.uv, fn, ...))
end

local function install_clock(loop, uv)
  function uv.now() return loop.cached_ms end
  function uv.hrtime() return loop:hrtime() end
  function uv.update_time() loop:update_time() end
  function uv.backend_timeout() return loop:next_timeout() or -1 end
end

local function install_system(loop, uv)
  function uv.random(size, _, callback)
    local bytes = loop.random:bytes(size)
    if type(callback) ~= "function" then return bytes end
    loop:ready(callback, nil, bytes)
    return 0
  end
  function uv.os_uname()
    return { sysname = "Linux", release = "simulated", version = "1",
      machine = "virtual" }
  end
  function uv.os_getpid() return loop.pid end
end

--- Puts the calls into a uv.
function M.install(loop, uv)
  install_clock(loop, uv)
  install_system(loop, uv)
  function uv.loop_alive() return loop:is_alive() end
  function uv.loop_mode()
    return loop.is_running or loop.is_in_turn and "default" or nil
  end
  function uv.stop()
    loop.is_stopped = true
    loop:wake()
  end
  function uv.run(mode)
    mode = mode or "default"
    assert(run[mode], "uv.run: expected default, once or nowait")
    assert(not loop.is_in_turn and not loop.is_running,
      "uv.run inside its own loop")
    loop.is_running = mode
    loop.is_by_hand = loop.is_by_hand or mode ~= "nowait"
    local ok, err = pcall(scheduler.with_loop, uv, start, loop, mode)
    loop.is_running, loop.is_stopped = false, false
    if not ok then error(err, 0) end
    return loop:is_alive()
  end
end

return M
