local Clock = require "raft.clock"
local core = require "raft.core"
local helper = require "spec.support.helper"
local uv = require "luv"

local function identity(fn) return fn end

local function new_clock(loop)
  return Clock.new(loop or uv, core.host, identity)
end

-- A luv whose time is what the spec says, and which counts.
local function fake_uv(state)
  local fake = setmetatable({}, { __index = uv })
  function fake.hrtime() return state.ns end
  function fake.timer_start(_, wait, _, fn)
    state.starts = state.starts + 1
    state.wait, state.fire = wait, fn
    return 0
  end
  return fake
end

describe("clock", function()
  it("tells integers that never go back", function()
    local clock = new_clock()
    local last = clock:now()
    assert.equal("integer", math.type(last))
    for _ = 1, 1000 do
      local now = clock:now()
      assert.truthy(now >= last)
      last = now
    end
    assert.equal("integer", math.type(clock:wall()))
    assert.truthy(math.abs(clock:wall() // 1000 - os.time()) <= 1)
  end)

  it("reads the time afresh: the loop's own stands still in a turn", function()
    local state = { ns = 5000000.0, starts = 0 }  -- a float, as luv 1.44 has it
    local clock = new_clock(fake_uv(state))
    assert.equal(5, clock:now())
    assert.equal("integer", math.type(clock:now()))
    state.ns = 7999999.0
    assert.equal(7, clock:now())
  end)

  it("sets the timer only to an earlier time", function()
    local state = { ns = 0, starts = 0 }
    local clock = new_clock(fake_uv(state))
    clock:start(function() end, function() end)
    clock:arm(false)
    assert.equal(0, state.starts)
    clock:arm(100)
    assert.equal(100, state.wait)
    clock:arm(150)  -- it wakes us early, and is set anew then
    assert.equal(1, state.starts)
    clock:arm(40)
    assert.equal(40, state.wait)
    state.ns = 60 * 1000000
    clock:arm(10)  -- long over: no negative delay, luv would never fire it
    assert.equal(0, state.wait)
    clock:close()
  end)

  it("notes how late it was woken, and that it is due", function()
    local state = { ns = 0, starts = 0 }
    local clock = new_clock(fake_uv(state))
    clock:start(function() end, function() end)
    clock:arm(10)
    assert.is_false(clock:is_due())
    state.ns = 35 * 1000000
    state.fire()
    assert.equal(25, clock.late_ms)
    assert.is_true(clock.is_awake)  -- the turn goes on to check
    assert.is_true(clock:is_due())
    assert.is_false(clock:is_due())
    clock:arm(50)
    assert.equal(2, state.starts)
    clock:close()
  end)

  it("calls check after the reads of a turn, prepare before it sleeps",
    function()
      local clock, order = new_clock(), {}
      local pipe = assert(uv.pipe({ nonblock = true }, { nonblock = true }))
      local reader, writer = uv.new_pipe(), uv.new_pipe()
      reader:open(pipe.read)
      writer:open(pipe.write)
      clock:start(function() order[#order + 1] = "check" end,
        function() order[#order + 1] = "prepare" end)
      reader:read_start(function() order[#order + 1] = "read" end)
      writer:write("x")
      helper.wait_until(function()
        return table.concat(order, " "):find("prepare read check", 1, true)
      end)
      clock:close()
      clock:close()
      reader:close()
      writer:close()
    end)

  it("keeps the loop from sleeping while it is to stay awake", function()
    local clock, turns = new_clock(), 0
    clock:start(function() turns = turns + 1 end, function() end)
    clock:stay_awake(true)
    helper.wait_until(function() return turns >= 100 end)
    clock:stay_awake(false)
    local before = turns
    helper.wait_until(function() return true end)
    helper.wait_until(function() return turns > before end)
    assert.truthy(turns < before + 20)
    clock:close()
    clock:stay_awake(true)  -- after the end: nothing
  end)
end)
