-- Seeds of the swarm that found something once. A change of what the swarm
-- draws makes other runs of them; the defects have specs of their own.
local codec = require "raft.codec"
local errors = require "raft.errors"
local sim = require "raft.sim"
local swarm = require "spec.sim.swarm"

local MS <const> = 20000  -- where nothing else is said

local SEEDS <const> = {
  { 17, "a voter that dies before the cluster has formed" },
  { 20, "the disk of a node that failed, then died, counts" },
  { 31, "a process that dies while it recovers" },
  { 58, "a port that a dead process had" },
  { 71, "a segment whose name was never on the disk" },
  { 82, "a segment whose name was never on the disk" },
  { 112, "an entry on the disk of a node that has failed counts" },
  { 122, "a segment whose name was never on the disk" },
  { 177, "a directory put back to a copy, and starts that failed" },
  { 254, "one comes back, and knows the leader by a directory it had" },
  { 12, "one that was removed stops a member that came back", 60000 },
  { 216, "an answer to a forward is lost, the link stands", 60000 },
  { 315, "an answer to a forward is lost, the link stands", 60000 },
  { 363, "one hears late that it was elected for a term long over", 60000 },
}

describe("the swarm, seed", function()
  for _, item in ipairs(SEEDS) do
    local ms = item[3] or MS
    it(("%d: %s"):format(item[1], item[2]), function()
      local report, err = sim.explore { seeds = { item[1], item[1] },
        nodes = 5, node = swarm.node, workload = swarm.workload(ms),
        check = swarm.check, duration_ms = ms, shrink = false,
        probe = codec.encode { op = "none" }, say = function() end }
      assert.is_truthy(report, errors.text(err))
    end)
  end
end)
