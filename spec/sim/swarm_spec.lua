-- A few seeds of the swarm; `make sim` runs hundreds. What it finds has a spec
-- of its own: a seed means another run as soon as anything else is drawn.
local codec = require "raft.codec"
local errors = require "raft.errors"
local sim = require "raft.sim"
local support = require "spec.support.helper"
local swarm = require "spec.sim.swarm"

local SEEDS <const>, MS <const> = 3, 20000

describe("the swarm", function()
  it("finds nothing", function()
    local first = support.seed()
    local report, err = sim.explore { seeds = { first, first + SEEDS - 1 },
      nodes = 5, node = swarm.node, workload = swarm.workload(MS),
      check = swarm.check, duration_ms = MS, shrink = false,
      probe = codec.encode { op = "none" }, say = function() end }
    assert.is_truthy(report, errors.text(err))
  end)
end)
