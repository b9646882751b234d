-- A stop in order, in a cluster: nothing under way is dropped, and the others
-- need no election time-out to go on.
local Cluster = require "spec.support.cluster"
local errors = require "raft.errors"
local helper = require "spec.support.helper"

local ELECTION <const> = { 2000, 4000 }  -- nobody times out in these specs

local function count_answers(node, count)
  local answers = { ok = 0, failed = 0 }
  for _ = 1, count do
    node:propose("x", function(err)
      local name = err and "failed" or "ok"
      answers[name] = answers[name] + 1
    end)
  end
  return answers
end

describe("stop of a leader", function()
  local cluster

  before_each(function()
    cluster = Cluster.new { nodes = 3, election = ELECTION }
    cluster:start()
  end)

  after_each(function() cluster:close() end)

  it("hands over: another leads before any time-out", function()
    local leader = cluster:leader()
    local followers = cluster:followers()
    local term = leader:status().term
    assert(leader:stop())
    helper.wait_until(function()
      return followers[1]:is_leader() or followers[2]:is_leader()
    end, ELECTION[1] // 2)
    assert.equal(term + 1, followers[1]:status().term)
    assert(followers[1]:propose("after"))
  end)

  it("answers what is under way", function()
    local leader = cluster:leader()
    local answers = count_answers(leader, 500)
    assert(leader:stop())
    assert.same({ ok = 500, failed = 0 }, answers)
  end)

  it("of a follower answers what is under way, too", function()
    local follower = cluster:followers()[1]
    local answers = count_answers(follower, 500)
    assert(follower:stop())
    assert.same({ ok = 500, failed = 0 }, answers)
  end)

  it("without a quorum ends by its time-out", function()
    local leader = cluster:leader()
    for _, follower in ipairs(cluster:followers()) do follower:close() end
    local answers = count_answers(leader, 3)
    assert(leader:stop { timeout = 100 })
    assert.equal("closed", leader:status().state)
    helper.wait_until(function() return answers.failed == 3 end)
  end)
end)

describe("a stop under way", function()
  -- A leader without followers, whose proposal keeps the stop waiting.
  local function leader_that_cannot_finish(cluster)
    cluster:start()
    local leader = cluster:leader()
    for _, follower in ipairs(cluster:followers()) do follower:close() end
    leader:propose("x", { timeout = false }, false)
    local stopped = false
    leader:stop({ timeout = false }, function() stopped = true end)
    return leader, function() return stopped end
  end

  it("is answered when the node is closed meanwhile", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    local leader, has_stopped = leader_that_cannot_finish(cluster)
    leader:close()
    helper.wait_until(has_stopped, 1000)
  end)

  it("is answered when the node fails meanwhile", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    local leader, has_stopped = leader_that_cannot_finish(cluster)
    leader:fail(errors.new("io_error", "a disk broke"))
    helper.wait_until(has_stopped, 1000)
    assert.equal("failed", leader:status().state)
  end)
end)
