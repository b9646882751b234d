local Loop = require "raft.sim.loop"
local World = require "raft.sim.world"
local compare = require "spec.sim.scripts.compare"
local scripts = dofile "spec/sim/scripts/loop.lua"

describe("the virtual loop", function()
  it("fires timers that were started before its first turn", function()
    local world = World.new(1)
    local loop, fired = Loop.new(world, { name = "p" }), false
    loop.uv.new_timer():start(10, 0, function() fired = loop:time() end)
    while not fired and world:step() do end
    assert.equal(10000000, fired)
  end)

  describe("does as luv does:", function() compare.each("loop") end)

  -- What libuv 1.45 and up do, by their source.
  describe("in the order of later libuvs", function()
    local expected = {
      timers_started_by_timers = "timer a|check|timer b|timer c|",
      timers_stopped_by_timers = "timer a|stops b 0|timer c|",
      timers_restarted_in_their_own_callback = "fires 1|fires 2|fires 3|",
      run_nowait_with_what_is_due = "check c|timer t|run true|run false|",
      run_once = "prepare p|check c|timer a|run true|prepare p|check c|"
        .. "run true|timer b|run false|",
      stop_ends_the_turn = "timer a|timer b|run true|prepare p|check c|"
        .. "prepare p|check c|timer late|run false|",
      phases_in_order = "timer|idle i|prepare p|check c|closed|idle i|"
        .. "prepare p|check c|",
      close_in_a_timer_comes_after_check = "check c|closing true false|"
        .. "closed true|",
    }
    for name, lines in pairs(expected) do
      it((name:gsub("_", " ")), function()
        local said = compare.virtual(scripts[name], "later")
        assert.equal(lines, (said:gsub("\n", "|")))
      end)
    end
  end)
end)
