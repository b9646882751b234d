-- The queue of events of a simulated world, against a sorted list.
local Random = require "raft.sim.random"
local World = require "raft.sim.world"
local helper = require "spec.support.helper"

describe("a world", function()
  it("lets events happen in order of time, then of birth", function()
    local world, seen = World.new(1), {}
    for i, time in ipairs { 5, 3, 5, 1, 3 } do
      world:at(time, function() seen[#seen + 1] = i end)
    end
    while world:step() do end
    assert.same({ 4, 2, 5, 1, 3 }, seen)
    assert.equal(5, world.now)
  end)

  it("takes what is past as now, after what is due", function()
    local world, seen = World.new(1), {}
    world:at(10, function()
      world:at(3, function() seen[#seen + 1] = world.now end)
    end)
    while world:step() do end
    assert.same({ 10 }, seen)
  end)

  it("forgets what was cancelled, whatever else is there", function()
    local random = Random.new(helper.seed())
    for _ = 1, 50 do
      local world, left, seen = World.new(1), {}, {}
      local events = {}
      for i = 1, 60 do
        local time = random:below(20)
        events[i] = world:at(time, function() seen[#seen + 1] = i end)
        left[i] = { time, i }
      end
      for _ = 1, 40 do
        local i = 1 + random:below(60)
        world:cancel(events[i])  -- some twice
        left[i] = false
      end
      local expected = {}
      for i = 1, 60 do
        if left[i] then expected[#expected + 1] = left[i] end
      end
      table.sort(expected, function(a, b)
        if a[1] ~= b[1] then return a[1] < b[1] end
        return a[2] < b[2]
      end)
      for i, item in ipairs(expected) do expected[i] = item[2] end
      while world:step() do end
      assert.same(expected, seen)
    end
  end)

  it("has a stream for each name, and the seed decides", function()
    local one, two = World.new(7), World.new(7)
    local first = one:random("a"):bits()
    two:random("b"):bits()  -- what another stream draws is no matter
    assert.equal(first, two:random("a"):bits())
    assert.is_true(first ~= World.new(8):random("a"):bits())
  end)
end)
