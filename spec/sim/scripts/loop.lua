--- What a loop does, told in lines: the same script runs on luv and on the
-- virtual loop, and says the same. See compare.lua.
--
-- A script gets `uv` and `say(...)`, which notes a line. It ends with no
-- handle left, as uv.run is called once more after it.

local scripts = {}

local LONG_MS <const> = 50  -- longer than a turn, also on a busy machine

-- Timers that say their name: start(name, ms, repeat_ms, extra).
local function timers(uv, say)
  local made = {}
  local function start(name, ms, repeat_ms, extra)
    local timer = uv.new_timer()
    made[name] = timer
    timer:start(ms, repeat_ms or 0, function()
      say("timer", name)
      if extra then extra(timer) end
      if not repeat_ms and not timer:is_closing() then timer:close() end
    end)
    return timer
  end
  return start, made
end

function scripts.timers_by_due_time_then_start(uv, say)
  local start = timers(uv, say)
  start("late", 6)
  start("a", 2)
  start("b", 2)
  start("now", 0)
  start("early", 1)
  uv.run()
end

function scripts.timers_started_by_timers(uv, say)
  local start = timers(uv, say)
  local check = uv.new_check()
  check:start(function()
    say("check")
    check:close()
  end)
  start("a", 0, nil, function()
    start("b", 0, nil, function() start("c", 0) end)
  end)
  uv.run()
end

function scripts.timers_stopped_by_timers(uv, say)
  local start, made = timers(uv, say)
  start("a", 1, nil, function()
    say("stops b", made.b:stop())
    made.b:close()
  end)
  start("b", 1)
  start("c", 1)
  uv.run()
end

function scripts.timers_repeat(uv, say)
  local start = timers(uv, say)
  local count = 0
  start("r", 1, 2, function(timer)
    count = count + 1
    say("repeat", timer:get_repeat(), "active", timer:is_active())
    if count == 3 then timer:close() end
  end)
  uv.run()
end

function scripts.timers_again(uv, say)
  local start = timers(uv, say)
  local fresh = uv.new_timer()
  say("again without a callback", fresh:again())
  fresh:close()
  local timer = start("t", 50, 1, function(timer) timer:close() end)
  say("again", timer:again())
  say("repeat", timer:set_repeat(7), timer:get_repeat())
  uv.run()
end

function scripts.timers_answers(uv, say)
  local timer = uv.new_timer()
  say("due in", timer:get_due_in())
  say("start", timer:start(1000, 0, function() end))
  say("due in", timer:get_due_in(), "active", timer:is_active())
  say("stop", timer:stop(), "active", timer:is_active())
  say("stop twice", timer:stop())
  say("start with no function", pcall(timer.start, timer, 1, 0) == true)
  say("close", timer:close())
  say("start when closing", timer:start(1, 0, function() end))
  say("active", timer:is_active(), "closing", timer:is_closing())
  say("close twice", (pcall(timer.close, timer)))
  uv.run()
end

function scripts.timers_restarted_in_their_own_callback(uv, say)
  local timer, count = uv.new_timer(), 0
  local function again()
    count = count + 1
    say("fires", count)
    if count == 3 then return timer:close() end
    timer:start(1, 0, again)
  end
  timer:start(0, 0, again)
  uv.run()
end

------------------------------------------------------------------ the phases --

-- Starts one handle that says its name, `times` times.
local function phase(uv, say, kind, name, times)
  local handle, left = uv["new_" .. kind](), times
  handle:start(function()
    say(kind, name)
    left = left - 1
    if left == 0 then handle:close() end
  end)
  return handle
end

function scripts.phases_in_order(uv, say)
  phase(uv, say, "check", "c", 2)
  phase(uv, say, "prepare", "p", 2)
  phase(uv, say, "idle", "i", 2)
  local timer = uv.new_timer()
  timer:start(0, 0, function()
    say("timer")
    timer:close(function() say("closed") end)
  end)
  uv.run()
end

function scripts.phases_newest_first(uv, say)
  for _, kind in ipairs { "check", "prepare", "idle" } do
    phase(uv, say, kind, "first", 2)
    phase(uv, say, kind, "second", 1)
  end
  uv.run()
end

function scripts.phases_started_meanwhile(uv, say)
  local outer, turns = uv.new_idle(), 0
  outer:start(function()
    turns = turns + 1
    say("outer", turns)
    if turns == 1 then phase(uv, say, "idle", "inner", 2) end
    if turns == 4 then outer:close() end
  end)
  uv.run()
end

function scripts.phases_stopped_meanwhile(uv, say)
  local older = phase(uv, say, "prepare", "older", 1)
  local newer = uv.new_prepare()
  newer:start(function()
    say("newer stops older", older:stop())
    newer:close()
    older:close()
  end)
  phase(uv, say, "idle", "i", 2)
  uv.run()
end

function scripts.phases_stopped_and_started_meanwhile(uv, say)
  local older, newer, turns = uv.new_idle(), uv.new_idle(), 0
  phase(uv, say, "check", "c", 2)
  local function old()
    say("older")
    older:close()
  end
  older:start(old)
  newer:start(function()
    turns = turns + 1
    say("newer", turns)
    if turns == 1 then
      older:stop()
      older:start(old)
    end
    if turns == 2 then newer:close() end
  end)
  uv.run()
end

function scripts.phases_started_twice_keep_the_first_callback(uv, say)
  local idle = uv.new_idle()
  say("start", idle:start(function()
    say("first")
    idle:close()
  end))
  say("start", idle:start(function()
    say("second")
    idle:close()
  end))
  uv.run()
end

----------------------------------------------------------------------- close --

function scripts.close_order(uv, say)
  local names = { "timer", "check", "prepare", "idle", "timer", "tcp" }
  for i, kind in ipairs(names) do
    uv["new_" .. kind]():close(function() say("closed", kind, i) end)
  end
  uv.run()
end

function scripts.close_from_close(uv, say)
  local a, b, c = uv.new_timer(), uv.new_timer(), uv.new_timer()
  phase(uv, say, "check", "c", 3)
  phase(uv, say, "idle", "i", 3)
  a:close(function()
    say("a closed")
    c:close(function() say("c closed") end)
  end)
  b:close(function() say("b closed") end)
  uv.run()
end

function scripts.close_in_a_timer_comes_after_check(uv, say)
  phase(uv, say, "check", "c", 1)
  local timer = uv.new_timer()
  timer:start(LONG_MS, 0, function()
    timer:close(function() say("closed", timer:is_closing()) end)
    say("closing", timer:is_closing(), timer:is_active())
  end)
  uv.run()
end

----------------------------------------------------------------------- async --

function scripts.async_sends_are_merged(uv, say)
  local async
  async = uv.new_async(function(...)
    say("async", select("#", ...), ...)
    async:close()
  end)
  say("send", async:send("x", "y"))
  say("send", async:send("z"))
  phase(uv, say, "check", "c", 1)
  phase(uv, say, "prepare", "p", 1)
  uv.run()
end

function scripts.async_in_order_of_birth(uv, say)
  local handles = {}
  for i = 1, 3 do
    handles[i] = uv.new_async(function()
      say("async", i)
      handles[i]:close()
    end)
  end
  handles[3]:send()
  handles[1]:send()
  handles[2]:send()
  uv.run()
end

function scripts.async_from_async(uv, say)
  local a, b, turns = nil, nil, 0
  local check = uv.new_check()
  check:start(function()
    turns = turns + 1
    say("turn", turns)
    if turns == 3 then check:close() end
  end)
  phase(uv, say, "idle", "i", 3)
  b = uv.new_async(function()
    say("b")
    b:close()
  end)
  a = uv.new_async(function()
    say("a sends", b:send())
    a:close()
  end)
  a:send()
  uv.run()
end

----------------------------------------------------------------- ref and run --

function scripts.unref_does_not_hold(uv, say)
  local timer = uv.new_timer()
  timer:start(10000, 0, function() say("never") end)
  say("ref", timer:has_ref(), uv.loop_alive())
  timer:unref()
  say("ref", timer:has_ref(), uv.loop_alive())
  say("run", uv.run())
  timer:ref()
  say("alive", uv.loop_alive())
  timer:close()
  uv.run()
end

function scripts.unref_ends_in_the_same_turn(uv, say)
  local long, short = uv.new_timer(), uv.new_timer()
  long:start(10000, 0, function() say("never") end)
  long:unref()
  local from = uv.now()
  short:start(1, 0, function()
    say("short")
    short:close()
  end)
  say("run", uv.run())
  say("long", uv.now() - from > 5000)
  long:close()
  uv.run()
end

function scripts.run_nowait(uv, say)
  local timer = uv.new_timer()
  timer:start(10000, 0, function() say("never") end)
  phase(uv, say, "check", "c", 2)
  phase(uv, say, "prepare", "p", 2)
  say("run", uv.run("nowait"))
  say("run", uv.run("nowait"))
  timer:close(function() say("closed") end)
  say("run", uv.run("nowait"))
  say("run", uv.run("nowait"))
end

function scripts.run_nowait_with_what_is_due(uv, say)
  local start = timers(uv, say)
  start("t", 0)
  phase(uv, say, "check", "c", 1)
  say("run", uv.run("nowait"))
  say("run", uv.run())
end

function scripts.run_once(uv, say)
  local start = timers(uv, say)
  start("a", LONG_MS)
  phase(uv, say, "check", "c", 2)
  phase(uv, say, "prepare", "p", 2)
  say("run", uv.run("once"))
  start("b", LONG_MS)
  say("run", uv.run("once"))
  say("run", uv.run())
end

function scripts.run_once_with_pending_work(uv, say)
  phase(uv, say, "idle", "i", 1)
  local start = timers(uv, say)
  start("a", LONG_MS)
  say("run", uv.run("once"))
  say("run", uv.run("once"))
  say("run", uv.run("once"))
end

function scripts.stop_before_run(uv, say)
  local start = timers(uv, say)
  start("t", 0)
  uv.stop()
  say("run", uv.run())
  say("run", uv.run())
end

function scripts.stop_ends_the_turn(uv, say)
  local start = timers(uv, say)
  phase(uv, say, "check", "c", 2)
  phase(uv, say, "prepare", "p", 2)
  start("a", 0, nil, function() uv.stop() end)
  start("b", 0)
  start("late", LONG_MS)
  say("run", uv.run())
  say("run", uv.run())
end

function scripts.stop_in_check(uv, say)
  local start = timers(uv, say)
  local check = uv.new_check()
  check:start(function()
    say("check")
    uv.stop()
    check:close(function() say("closed") end)
  end)
  start("t", LONG_MS)
  phase(uv, say, "idle", "i", 1)
  say("run", uv.run())
  say("run", uv.run())
end

function scripts.run_again_when_all_is_done(uv, say)
  say("run", uv.run(), uv.run("once"), uv.run("nowait"))
  say("alive", uv.loop_alive(), uv.loop_mode())
  local start = timers(uv, say)
  start("t", 0, nil, function() say("mode", uv.loop_mode()) end)
  say("run", uv.run())
  start("u", 0, nil, function() say("mode", uv.loop_mode()) end)
  say("run", uv.run("nowait"), uv.run())
end

function scripts.wrong_arguments(uv, say)
  local timer, check = uv.new_timer(), uv.new_check()
  say("a check as a timer", (pcall(uv.timer_start, check, 1, 0, print)))
  say("no handle", (pcall(uv.close, 5)))
  say("no function", (pcall(uv.timer_start, timer, 1, 0, 5)))
  say("no function", (pcall(uv.check_start, check, 5)))
  say("no number", (pcall(uv.timer_start, timer, "x", 0, print)))
  timer:close()
  check:close()
  uv.run()
end

return scripts
