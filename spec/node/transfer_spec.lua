-- Leadership handed over by its user: node:transfer, on real sockets. [Thesis
-- 3.10] What the core does is in spec/c/transfer_test.c.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"

local ELECTION <const> = { 2000, 4000 }  -- nobody times out in these specs

describe("node:transfer", function()
  local cluster

  setup(function()
    cluster = Cluster.new { nodes = 3, election = ELECTION, proxied = true }
    cluster:up()
  end)
  teardown(function() cluster:close() end)

  local function term()
    return (cluster:leader()):status().term
  end

  it("of a leader returns who leads then", function()
    local leader, id = cluster:leader()
    local before = term()
    local new = assert(leader:transfer())
    assert.not_equal(id, new)
    local _, now = cluster:leader()
    assert.equal(now, new)
    assert.equal(before + 1, term())
  end)

  it("names the heir", function()
    for _ = 1, 3 do
      local leader = cluster:leader()
      local _, ids = cluster:followers()
      assert.equal(ids[2], (assert(leader:transfer(ids[2]))))
      assert.is_true(cluster:node(ids[2]):is_leader())
    end
  end)

  it("of a follower, to itself or another", function()
    local followers, ids = cluster:followers()
    assert.equal(ids[1], (assert(followers[1]:transfer(ids[1]))))
    followers, ids = cluster:followers()
    assert.equal(ids[2], (assert(followers[1]:transfer(ids[2]))))
    local _, before = cluster:leader()
    followers = cluster:followers()
    assert.not_equal(before, (assert(followers[1]:transfer())))
  end)

  it("to who leads already is done", function()
    local leader, id = cluster:leader()
    local before = term()
    assert.equal(id, (assert(leader:transfer(id))))
    assert.equal(id, (assert((cluster:followers())[1]:transfer(id))))
    assert.equal(before, term())
  end)

  it("to somebody unknown is refused, anywhere", function()
    for _, id in ipairs(cluster.ids) do
      local to, err = cluster:node(id):transfer("n9")
      assert.is_nil(to)
      assert.equal("refused", err.code)
      assert.equal("n9 is no member", err.value)
      assert.equal("none", err.outcome)
    end
  end)

  it("by callback, and by misuse", function()
    local leader = cluster:leader()
    local got
    leader:transfer(function(err, to) got = { err, to } end)
    helper.wait_until(function() return got end)
    assert.is_nil(got[1])
    assert.equal(select(2, cluster:leader()), got[2])
    assert.has_error(function() leader:transfer(7) end,
      "node:transfer: expected the id of a member, got number")
  end)

  it("loses no proposal: those who wait, wait", function()
    local answers = { ok = 0 }
    local function propose(node, count)
      for _ = 1, count do
        raft.spawn(function()
          local _, err = node:propose("x", { timeout = 15000 })
          local name = err and err.code or "ok"
          answers[name] = (answers[name] or 0) + 1
        end)
      end
    end
    local leader, id = cluster:leader()
    local followers = cluster:followers()
    propose(leader, 50)
    propose(followers[1], 50)
    assert(leader:transfer())
    propose(cluster:node(id), 50)
    helper.wait_until(function()
      local sum = 0
      for _, count in pairs(answers) do sum = sum + count end
      return sum == 150
    end)
    assert.same({ ok = 150 }, answers)
  end)
end)

describe("a transfer to a member that does not come", function()
  local cluster, leader, heir

  before_each(function()
    cluster = Cluster.new { nodes = 3, proxied = true,
      election = { 300, 600 } }
    cluster:up()
    leader = cluster:leader()
    heir = select(2, cluster:followers())[1]
  end)
  after_each(function() cluster:close() end)

  -- The heir hears nothing and is not heard; the leader has not noticed.
  local function transfer_in_vain(from, opts)
    cluster:isolate(heir)
    return from:transfer(heir, opts)
  end

  it("is refused after one election time-out; proposals wait, and go on",
    function()
      local answers = {}
      raft.spawn(function()
        local index, err = leader:propose("early", { timeout = 10000 })
        answers[1] = err or index
      end)
      local to, err = transfer_in_vain(leader)
      assert.is_nil(to)
      assert.equal("refused", err.code)
      assert.equal("unknown", err.outcome)
      assert(leader:propose("late"))
      helper.wait_until(function() return answers[1] end)
      assert.is_number(answers[1])
    end)

  it("is over with its own time-out, if that is shorter", function()
    local to, err = transfer_in_vain(leader, { timeout = 50 })
    assert.is_nil(to)
    assert.equal("timeout", err.code)
  end)

  it("is answered when the node ends meanwhile", function()
    local got
    cluster:isolate(heir)
    leader:transfer(heir, function(err) got = err end)
    leader:close()
    helper.wait_until(function() return got end)
    assert.equal("closed", got.code)
  end)

  it("says busy to who does not wait, and then drain", function()
    local drained = false
    leader:on("drain", function() drained = true end)
    cluster:isolate(heir)
    leader:transfer(heir, false)
    helper.wait_until(function() return leader:status().heir end)
    local got
    leader:propose("x", function(err) got = err end)
    helper.wait_until(function() return got end)
    assert.equal("busy", got.code)
    assert.is_false(drained)
    helper.wait_until(function() return drained end)
    assert.is_nil(leader:status().heir)
  end)
end)
