-- Seeds of the swarm that found something once. A change of what the swarm
-- draws makes other runs of them; the defects have specs of their own.
local codec = require "raft.codec"
local errors = require "raft.errors"
local sim = require "raft.sim"
local swarm = require "spec.sim.swarm"

local MS <const> = 20000

local SEEDS <const> = {
  { 17, "a voter that dies before the cluster has formed" },
  { 31, "a process that dies while it recovers" },
  { 58, "a port that a dead process had" },
  { 71, "a segment whose name was never on the disk" },
  { 82, "a segment whose name was never on the disk" },
  { 112, "an entry on the disk of a node that has failed counts" },
  { 122, "a segment whose name was never on the disk" },
}

describe("the swarm, seed", function()
  for _, item in ipairs(SEEDS) do
    it(("%d: %s"):format(item[1], item[2]), function()
      local report, err = sim.explore { seeds = { item[1], item[1] },
        nodes = 5, node = swarm.node, workload = swarm.workload(MS),
        check = swarm.check, duration_ms = MS, shrink = false,
        probe = codec.encode { op = "none" }, say = function() end }
      assert.is_truthy(report, errors.text(err))
    end)
  end
end)
