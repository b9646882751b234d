local scheduler = require "raft.scheduler"
local stderr_of = require "spec.support.stderr"
local support = require "spec.support.helper"
local uv = require "luv"

describe("scheduler", function()
  local loop, order

  local function add(what)
    return function() order[#order + 1] = what end
  end

  before_each(function()
    loop = scheduler.of(uv)
    order = {}
  end)

  it("is one per loop", function()
    assert.equal(loop, scheduler.of(uv))
    assert.are_not.equal(loop, scheduler.of {})
  end)

  it("finds luv when nothing else is current", function()
    assert.equal(uv, scheduler.uv())
    assert.equal(loop, scheduler.current())
  end)

  describe("defer", function()
    it("runs functions from the loop, in order", function()
      for i = 1, 3 do loop:defer(add(i)) end
      assert.same({}, order)
      support.wait_until(function() return #order == 3 end)
      assert.same({ 1, 2, 3 }, order)
    end)

    it("runs what they defer as well, later", function()
      loop:defer(function()
        loop:defer(add("inner"))
        add("outer")()
      end)
      support.wait_until(function() return #order == 2 end)
      assert.same({ "outer", "inner" }, order)
    end)

    it("goes on turn after turn until nothing is left", function()
      local function count()
        add("turn")()
        if #order < 9 then loop:defer(count) end
      end
      loop:defer(count)
      support.wait_until(function() return #order == 9 end)
    end)

    it("lets timers in between, however much is deferred", function()
      local is_over = false
      local function again()
        if not is_over then loop:defer(again) end
      end
      again()
      loop:after(1, function() is_over = true end)
      support.wait_until(function() return is_over end)
    end)

    it("reports what a function raises, and goes on", function()
      local text = stderr_of(function()
        loop:defer(function() error("boom", 0) end)
        loop:defer(add("next"))
        support.wait_until(function() return #order == 1 end)
      end)
      assert.truthy(text:find("raft: apply_error: a turn: boom", 1, true), text)
      assert.truthy(text:find("scheduler_spec", 1, true), text)
    end)
  end)

  describe("after", function()
    it("runs functions when their time has come", function()
      loop:after(8, add("late"))
      loop:after(1, add("early"))
      support.wait_until(function() return #order == 2 end)
      assert.same({ "early", "late" }, order)
    end)

    it("never runs what was closed before", function()
      local timer = loop:after(1, add("closed"))
      loop:close(timer)
      loop:close(timer)
      loop:after(5, add("kept"))
      support.wait_until(function() return #order == 1 end)
      assert.same({ "kept" }, order)
    end)

    it("runs what it deferred in the same turn", function()
      loop:after(1, function() loop:defer(add("deferred")) end)
      loop:after(1, add("next timer"))
      support.wait_until(function() return #order == 2 end)
      assert.same({ "deferred", "next timer" }, order)
    end)
  end)

  describe("with_loop", function()
    local other = { loop_mode = function() return nil end }

    it("makes another loop the current one", function()
      local inside
      local a, b = scheduler.with_loop(other, function(...)
        inside = scheduler.uv()
        return ...
      end, 1, nil)
      assert.equal(other, inside)
      assert.equal(uv, scheduler.uv())
      assert.equal(1, a)
      assert.is_nil(b)
    end)

    it("puts things back after an error, which it hands on", function()
      local err = {}
      local ok, why = pcall(scheduler.with_loop, other, error, err)
      assert.is_false(ok)
      assert.equal(err, why)
      assert.equal(uv, scheduler.uv())
      assert.is_false(scheduler.of(other):is_running())
    end)

    it("counts as running the loop", function()
      scheduler.with_loop(other, function()
        assert.is_true(scheduler.current():is_running())
      end)
      assert.is_false(scheduler.of(other):is_running())
    end)
  end)

  it("knows whether the loop runs, whoever runs it", function()
    assert.is_true(loop:is_running())
    assert.is_false(support.outside_loop(function()
      return loop:is_running()
    end))
  end)

  it("ends what is held, oldest first, unless released", function()
    loop:hold(add("first"))
    local token = loop:hold(add("second"))
    loop:hold(add("third"))
    loop:release(token)
    support.outside_loop(function() loop:close_all() end)
    assert.same({ "first", "third" }, order)
  end)

  it("does not end what another end has ended", function()
    local token
    loop:hold(function() loop:release(token) end)
    token = loop:hold(add("released"))
    support.outside_loop(function() loop:close_all() end)
    assert.same({}, order)
  end)

  it("runs at the end what was deferred, and takes nothing new", function()
    local token
    loop:hold(function()
      loop:defer(function()
        add("deferred")()
        token = loop:hold(add("never"))
      end)
    end)
    support.outside_loop(function() loop:close_all() end)
    assert.same({ "deferred" }, order)
    assert.is_false(token)
    assert.truthy(loop:hold(add("again")))  -- it can be used again
    support.outside_loop(function() loop:close_all() end)
  end)

  it("does not hang at the end on work that makes work", function()
    local function again() loop:defer(again) end
    again()
    support.outside_loop(function() loop:close_all() end)
  end)
end)
