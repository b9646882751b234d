-- kill -9 at every step of a change of the members, at points inside the
-- processes: see spec/support/kill_points.lua. Each is reached, the change is
-- completed, nothing acknowledged is lost, and all that are left agree.
local Processes = require "spec.support.processes"
local helper = require "spec.support.helper"

local PATIENCE_MS <const> = 120000
local OUTSTANDING <const> = 4

-- One node for another, in one step. The steps of the entry: when appended,
-- durable, and known to be committed.
local LEADING <const> = {
  "learner.appended", "learner.stored", "learner.committed",
  "joint.appended", "joint.stored", "joint.committed",
  "final.appended", "final.stored", "final.committed",
}
-- Who follows may hear that a step is committed by the next step only.
local FOLLOWING <const> = {
  "learner.appended", "learner.stored", "joint.appended", "joint.stored",
  "final.appended", "final.stored", "final.committed",
}
local LEAVING <const> = { "learner.stored", "joint.stored" }

-- The step is missed by a leader that leads no more, and by a slow follower
-- that gets two of them at once: then there is another round.
local TRIES <const> = 8

local function new_cluster()
  helper.patience(PATIENCE_MS)
  local cluster = Processes.new { has_kills = true, election = "300,600" }
  cluster:start()
  cluster:leader()
  return cluster
end

-- Until fn() is true, these go on writing.
local function load_until(cluster, writers, fn, what)
  helper.wait_until(function()
    for _, process in ipairs(writers) do
      while not process.status and process:open_count() < OUTSTANDING do
        cluster.made = (cluster.made or 0) + 1
        process:propose("w" .. cluster.made)
      end
    end
    return fn()
  end, PATIENCE_MS, what)
end

-- Does it know of all that is done? It has answered a read that began then, or
-- said that it is no member any more.
local function has_seen_all(cluster, process, name)
  if not process.open[name] and not cluster.outcomes[name] then
    process:propose(name, "query")
  end
  return cluster.outcomes[name] ~= nil and not process.open[name]
end

-- Does it still answer? Until it does it may be dead, and we have not heard.
local function has_answered(process, asked)
  if not asked[process] then
    asked[process], process.last.status = true, nil
    process:send "status"
  end
  return process.last.status ~= nil
end

-- A node takes the place of another one, and in between one is killed.
-- @param choose function(leader, others) -> who leaves, who is killed (false:
--   the new one), who asks
-- @return was it?
local function change_with_kill(cluster, point, choose)
  local leader = cluster:leader()
  local term = leader:term()
  local new = "n" .. (tonumber(cluster.ids[#cluster.ids]:sub(2)) + 1)
  local probe = "read." .. new
  local leaving, victim, asked = choose(leader, cluster:others(leader))
  cluster.kills[new] = not victim and "1 " .. point or nil
  cluster:join(new)
  cluster.kills[new] = nil
  if victim then victim:ask("kill_later " .. point, "armed") end
  victim = victim or cluster:process(new)
  local is_done = cluster:change(asked, { [leaving.id] = false,
    [new] = cluster.members[new] })
  local questions = {}
  load_until(cluster, { asked }, function()
    if victim:is_over() or not is_done() then return victim:is_over() end
    if victim == leaving then  -- who may never hear of the end
      return has_answered(victim, questions)
    end
    return has_seen_all(cluster, victim, probe)
  end, victim.id .. " to end at " .. point)
  local is_over = victim:is_over()
  if is_over then
    victim:wait_killed(point)
    cluster:start(victim.id)
    load_until(cluster, { asked }, is_done, "the change, after " .. point)
  else
    victim:kill()
    cluster:start(victim.id)
    assert.is_true(victim ~= leader or cluster:leader():term() > term)
  end
  cluster:retire(leaving.id)
  helper.wait_until(function() return asked:open_count() == 0 end, 20000,
    "answers")
  return is_over
end

-- All of these, in one cluster that goes on and on.
local function each(points, choose)
  local cluster <close> = new_cluster()
  for _, point in ipairs(points) do
    local tries = 0
    repeat
      tries = tries + 1
      assert(tries <= TRIES, point .. " was not met")
    until change_with_kill(cluster, point, choose)
  end
  cluster:settle()
  assert.is_true(cluster:check() >= 2 * #points)
end

describe("kill -9 in a change", function()
  it("of the leader", function()
    each(LEADING, function(leader, others)
      return others[1], leader, others[2]
    end)
  end)

  it("of a leader that leaves", function()
    each(LEADING, function(leader, others)
      return leader, leader, others[2]
    end)
  end)

  it("of a follower that stays", function()
    each(FOLLOWING, function(leader, others)
      return others[1], others[2], leader
    end)
  end)

  it("of a follower that leaves", function()
    each(LEAVING, function(leader, others)
      return others[1], others[1], leader
    end)
  end)

  it("of the new node", function()
    each(FOLLOWING, function(leader, others)
      return others[1], false, leader
    end)
  end)
end)
