-- Bits that flip in the logs of simulated nodes.
local sim = require "raft.sim"

local function counter()
  local total = 0
  return {
    apply = function(command)
      total = total + tonumber(command)
      return total
    end,
    query = function() return total end,
  }
end

describe("s:rot", function()
  it("takes entries from one, which the others give back", function()
    local lost = 0
    for seed = 1, 8 do
      local s <close> = sim.new { seed = seed, nodes = 3, node = counter }
      s:run(function()
        local c = s:client()
        for _ = 1, 20 do assert(c:propose("1")) end
        s:rot("n2")
        assert.equal(1, s.marks.counts.rot)
        s:rot("n3")  -- one at a time
        assert.equal(1, s.marks.counts.rot)
        assert.is_true(s.members.n3:is_up())
        assert(c:propose("1"))
        s:restart("n2")
        assert(s:wait(function() return s:is_settled() end, 20000))
        assert.equal(0, s.members.n2.rotten_last)
        assert.equal(21, assert(c:query()))
        lost = lost + (s.marks.counts.repair or 0)
      end)
      assert(s:check())
    end
    assert.is_true(lost > 0)  -- not all damage costs entries
  end)

  it("leaves who is alone, or has two, in peace", function()
    local s <close> = sim.new { seed = 1, nodes = 2, node = counter }
    s:run(function()
      for _ = 1, 10 do assert(s:client():propose("1")) end
      s:rot("n1")
      assert.is_nil(s.marks.counts.rot)
    end)
  end)
end)
