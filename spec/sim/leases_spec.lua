-- Lease reads in the simulator. [Thesis 6.4.1] The rules are those of
-- docs/MEMBERSHIP.md. That each of these runs goes stale when its rule is taken
-- out is shown by the museum: spec/museum/lua/leases.lua.
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local runs = require "spec.sim.lease_runs"

local SEEDS <const> = 4

local RULES <const> = {
  { "sending", "count from the sending of a round, not from its answers" },
  { "quorum", "need a quorum: the answers of a minority are none" },
  { "transfer", "end when somebody was told to take over" },
  { "restart", "are not forgotten by who restarts" },
  { "clocks", "bear clocks that differ in rate by a tenth" },
  { "stickiness", "rest on those who hear the leader and help no other" },
}

describe("lease reads in the simulator", function()
  local first = helper.seed() % 1000
  for _, rule in ipairs(RULES) do
    it(rule[2], function()
      for seed = first, first + SEEDS - 1 do
        local ok, err = pcall(runs[rule[1]], seed)
        if not ok then
          error(("seed %d: %s"):format(seed, errors.text(err)), 0)
        end
      end
    end)
  end
end)
