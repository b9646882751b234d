local errors = require "raft.errors"
local stderr_of = require "spec.support.stderr"
local support = require "spec.support.helper"
local task = require "raft.task"
local uv = require "luv"

local function elapsed_ms(fn)
  local from_ns = uv.hrtime()
  fn()
  return (uv.hrtime() - from_ns) / 1e6
end

local function misuse(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  local text, count = why:gsub("^[^:]*task_spec.lua:%d+: ", "")
  assert.equal(1, count, why)
  return text
end

describe("sleep", function()
  it("suspends the coroutine for that long", function()
    local result
    local ms = elapsed_ms(function() result = task.sleep(20) end)
    assert.is_true(result)
    assert.truthy(ms >= 18, ms)
  end)

  it("lets others run meanwhile", function()
    local order = {}
    local other = task.spawn(function() order[#order + 1] = "other" end)
    task.sleep(5)
    order[#order + 1] = "me"
    other:wait()
    assert.same({ "other", "me" }, order)
  end)

  it("lets the loop do other work, even for 0 ms", function()
    local is_over = false
    local timer = uv.new_timer()
    timer:start(1, 0, function() is_over = true timer:close() end)
    local turns = 0
    while not is_over do
      task.sleep(0)
      turns = turns + 1
      assert.truthy(turns < 1e6, "the timer never came")
    end
  end)

  it("takes a callback, not called before it returned", function()
    local answer
    task.sleep(0, function(...) answer = table.pack(...) end)
    assert.is_nil(answer)
    support.wait_until(function() return answer end)
    assert.same({ n = 2, nil, true }, answer)
  end)

  it("refuses what is no time, and blames the caller", function()
    for _, ms in ipairs { -1, "5", 0 / 0, math.huge } do
      assert.equal("raft.sleep: expected ms from 0 on, got " .. tostring(ms),
        misuse(function() task.sleep(ms) end))
    end
    misuse(function() task.sleep() end)
  end)

  it("raises where nothing can wait", function()
    local why
    support.outside_loop(function()
      why = misuse(function() task.sleep(1) end)
    end)
    assert.truthy(why:find("raft.sleep: nothing can wait here", 1, true))
  end)
end)

describe("spawn", function()
  it("starts soon, but not inside the call", function()
    local has_started = false
    local t = task.spawn(function() has_started = true end)
    assert.is_false(has_started)
    assert.is_false(t:is_done())
    t:wait()
    assert.is_true(has_started)
    assert.is_true(t:is_done())
  end)

  it("refuses what is no function", function()
    assert.equal("raft.spawn: expected a function, got nil",
      misuse(function() task.spawn() end))
  end)

  it("gives the result to all that wait", function()
    local t = task.spawn(function()
      task.sleep(2)
      return "r", "ignored"
    end)
    local got = {}
    for i = 1, 2 do
      t:wait(function(err, result) got[i] = { err, result } end)
    end
    assert.equal("r", t:wait())
    support.wait_until(function() return got[2] end)
    assert.same({ { nil, "r" }, { nil, "r" } }, got)
    assert.equal("r", t:wait())  -- also when it is long over
  end)

  it("gives false and nil as results", function()
    local value, err = task.spawn(function() return false end):wait()
    assert.is_false(value)
    assert.is_nil(err)
    value, err = task.spawn(function() end):wait()
    assert.is_nil(value)
    assert.is_nil(err)
  end)

  it("gives what was raised as an error value", function()
    local value, err = task.spawn(function()
      task.sleep(1)
      error("boom", 0)
    end):wait()
    assert.is_nil(value)
    assert.equal("apply_error: task: boom", tostring(err))
    assert.equal("boom", err.value)
    assert.truthy(err.traceback:find("task_spec", 1, true))
  end)

  it("gives a raised error value as it is", function()
    local mine = errors.new("busy", "x")
    local _, err = task.spawn(function() error(mine) end):wait()
    assert.equal(mine, err)
  end)

  -- A task that returned node:propose(...) gave nil, and its error was gone.
  it("gives all that the function returned, and nil, err as an error",
    function()
      local t = task.spawn(function() return 1, nil, "three" end)
      assert.same({ 1, nil, "three", n = 3 }, table.pack(t:wait()))
      assert.same({ 1, nil, "three", n = 3 }, table.pack(t:wait()))
      assert.equal(0, select("#", task.spawn(function() end):wait()))
      local mine = errors.new("lost", "gone")
      t = task.spawn(function() return nil, mine end)
      local result, err = t:wait()
      assert.is_nil(result)
      assert.equal(mine, err)
      local heard
      t:wait(function(...) heard = table.pack(...) end)
      support.wait_until(function() return heard end)
      assert.equal(mine, heard[1])
      result, err = task.spawn(function() return nil, "words" end):wait()
      assert.is_nil(result)
      assert.equal("words", err)
    end)

  it("reports what is raised where nobody waits", function()
    local text = stderr_of(function()
      local t = task.spawn(function() error("boom", 0) end)
      support.wait_until(function() return t:is_done() end)
    end)
    assert.truthy(text:find("raft: apply_error: task: boom", 1, true), text)
  end)

  it("stops waiting when the time is over, and the task goes on", function()
    local t = task.spawn(function()
      task.sleep(30)
      return "late"
    end)
    local value, err = t:wait { timeout = 2 }
    assert.is_nil(value)
    assert.equal("timeout", err.code)
    assert.equal("late", t:wait { timeout = 5000 })
  end)

  it("says what it is", function()
    local t = task.spawn(function() end)
    assert.equal("raft.task (running)", tostring(t))
    t:wait()
    assert.equal("raft.task (done)", tostring(t))
  end)
end)
