local raft = require "raft"
local sim = require "raft.sim"
local support = require "spec.support.helper"

describe("a node in a simulation", function()
  it("records on its virtual disk, and is replayed to the same state",
  function()
    local loops = {}
    local function node(id, ctx)
      loops[id] = ctx.uv
      return { record = "recording",
        apply = function(command) return #command end }
    end
    local s <close> = sim.new { seed = support.seed(), nodes = 3, node = node }
    s:run(function()
      local client = s:client()
      for i = 1, 20 do assert(client:propose("command " .. i)) end
    end)
    for _, id in ipairs { "n1", "n2", "n3" } do
      local result, err = raft.replay("recording", { uv = loops[id] })
      assert.is_nil(err)
      assert.equal(id, result.id)
      assert.is_true(result.status.commit > 10, id)  -- or it lags
      assert.is_false(result.has_ended)  -- it still runs
    end
  end)
end)
