--- The harm that is done while the lines are counted. Each part is followed
-- by a wait until the cluster is whole again, so that never two of three
-- nodes are missing: without a majority nothing could go on.
local raft = require "raft"

local M = {}

-- Shares of the load's time.
local BEFORE <const> = 1 / 4   -- until the first harm
local DOWN <const> = 1 / 8     -- a killed node stays so, once another leads
local BETWEEN <const> = 1 / 8
local PAUSED_MS <const> = 1500 -- five times the longest election time-out

local function pause(seconds)
  raft.sleep(seconds * 1000 // 1)
end

local function kill_leader(cluster, view, seconds)
  local leader = cluster:wait_leader()
  view:say("kill -9 %s, the leader of term %d", leader.id, leader.status.term)
  cluster:kill(leader.id)
  local next_leader = cluster:wait_leader()
  view:say("%s leads, in term %d", next_leader.id, next_leader.status.term)
  pause(seconds * DOWN)
  view:say("%s is started again, from its directory", leader.id)
  cluster:start(leader.id)
  cluster:wait_caught_up(leader.id)
  view:say("%s has caught up", leader.id)
  return leader.id
end

-- The leader if possible: it will wake up and take itself for the leader.
local function choose(cluster, other_than)
  local leader = cluster:wait_leader()
  if leader.id ~= other_than then return leader.id end
  for _, member in ipairs(cluster.members) do
    if member.id ~= other_than then return member.id end
  end
end

local function stop_another(cluster, view, other_than)
  local id = choose(cluster, other_than)
  local role = cluster.members[id].status.role
  view:say("SIGSTOP to %s, %s %s, for %d ms", id,
    role == "leader" and "the" or "a", role, PAUSED_MS)
  cluster:pause(id)
  raft.sleep(PAUSED_MS)
  view:say("SIGCONT to %s", id)
  cluster:resume(id)
  cluster:wait_caught_up(id)
  view:say("%s has caught up", id)
end

--- Does its harm and returns; to be called in a coroutine of its own.
-- @param seconds how long the load takes
function M.run(cluster, view, seconds)
  pause(seconds * BEFORE)
  local killed = kill_leader(cluster, view, seconds)
  pause(seconds * BETWEEN)
  stop_another(cluster, view, killed)
end

return M
