-- What becomes of the others when one node has formed the cluster and dies.
local helper = require "spec.support.helper"
local sim = require "raft.sim"

local SEEDS <const> = 12

local function first_formed(s)
  for _, id in ipairs(s.ids) do
    local node = s:node(id)
    if node and node:status().formed then return id end
  end
end

describe("forming", function()
  -- Found by a benchmark that killed the first leader as soon as there was one:
  -- the others had adopted the cluster from it, with empty logs, and without
  -- its entry 1 nobody of them could ever lead.
  it("does not hang on who was first", function()
    local base = helper.seed() % 100000
    for seed = base, base + SEEDS - 1 do
      local s <close> = sim.new { seed = seed, nodes = 3,
        node = function()
          return { apply = function(command) return command end }
        end }
      s:run(function()
        assert(s:wait(function() return first_formed(s) end, 30000))
        s:sleep(150)  -- the others hear of it, and not yet from a leader
        s:crash(first_formed(s))
        local found = s:wait(function() return s:leader() end, 60000)
        assert(found, ("seed %d: nobody leads"):format(seed))
      end)
      assert(s:check())
    end
  end)
end)
