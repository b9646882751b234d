-- The loop: what is asked for from anywhere is done at once, and an idle node
-- leaves the machine alone.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local uv = require "luv"

-- Patient, so that no timer of the node comes to help.
local PATIENT <const> = { 5000, 10000 }

describe("a node alone that sleeps", function()
  local cluster, node
  local older, hook  -- a prepare handle older than the node: it runs after its

  setup(function()
    cluster = Cluster.new { nodes = 1 }
    older, hook = uv.new_prepare(), false
    older:start(function()
      local fn = hook
      hook = false
      if fn then fn() end
    end)
    -- No timer of the node would wake the loop within 100 ms.
    node = cluster:start("n1", { election_timeout = { 400, 410 },
      heartbeat = 399 })
    node:ready()
  end)
  teardown(function()
    older:close()
    cluster:close()
  end)

  -- The time from the call to its answer, in ms. No wait_until here: its timer
  -- would turn the loop.
  local function answered_in(enter)
    local co, took, from = coroutine.running(), nil, nil
    enter(function()
      from = uv.hrtime()
      node:propose("x", function()
        took = (uv.hrtime() - from) / 1e6
        assert(coroutine.resume(co))
      end)
    end)
    coroutine.yield()
    return took
  end

  local function once_from(new, start, stop)
    return function(fn)
      local handle, is_done = assert(uv[new]()), false
      assert(uv[start](handle, function()
        if is_done then return end
        is_done = true
        fn()
        uv[stop](handle)
        uv.close(handle)
      end))
    end
  end

  local places = {
    ["a timer"] = function(fn)
      local timer = uv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        fn()
      end)
    end,
    ["a prepare handle"] = once_from("new_prepare", "prepare_start",
      "prepare_stop"),
    ["a prepare handle that runs last"] = function(fn) hook = fn end,
    ["a check handle"] = once_from("new_check", "check_start", "check_stop"),
    ["an idle handle"] = once_from("new_idle", "idle_start", "idle_stop"),
    ["a closing handle"] = function(fn) uv.new_timer():close(fn) end,
    ["the thread pool"] = function(fn)
      uv.fs_stat("/", function() fn() end)
    end,
  }

  for place, enter in pairs(places) do
    it("goes on at once with what comes from " .. place, function()
      local late = 0  -- a disk write is in it, and other work of the machine
      for _ = 1, 7 do
        if answered_in(enter) > 25 then late = late + 1 end
      end
      assert.truthy(late <= 2, late)
    end)
  end
end)

describe("a loop", function()
  it("is left alone by an idle follower", function()
    local cluster <close> = Cluster.new { election = PATIENT }
    cluster:start("n1")  -- it waits for the others
    local turns = 0
    local check = uv.new_check()
    check:start(function() turns = turns + 1 end)
    local from = uv.hrtime()
    local timer_fired = false
    local timer = uv.new_timer()
    timer:start(150, 0, function()
      timer_fired = true
      timer:close()
    end)
    helper.wait_until(function() return timer_fired end)
    local ms = (uv.hrtime() - from) / 1e6
    check:close()
    -- wait_until turns the loop, too; a spinning one makes many thousands.
    assert.truthy(turns < 4 * ms, turns)
  end)

  it("that was blocked is told of as loop_lag_ms", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:start("n1")
    node:ready()
    local from = uv.hrtime()
    while (uv.hrtime() - from) / 1e6 < 60 do node:status() end
    helper.wait_until(function()
      return node:status().loop_lag_ms >= 30
    end)
    helper.wait_until(function() return node:status().loop_lag_ms < 10 end)
  end)
end)
