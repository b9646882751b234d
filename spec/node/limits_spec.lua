local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"

local COMMAND_MAX <const> = 1000
local PENDING_MAX <const> = 4000

local function limited()
  return { max_command_bytes = COMMAND_MAX, max_pending_bytes = PENDING_MAX }
end

-- Answers by code; "ok" for success.
local function tally(node, count, command)
  local counts, answered = {}, 0
  for _ = 1, count do
    node:propose(command, { timeout = 20000 }, function(err)
      local code = err and err.code or "ok"
      counts[code] = (counts[code] or 0) + 1
      answered = answered + 1
      if err then
        assert.equal("none", err.outcome)
        assert.is_true(err.retry)
      end
    end)
  end
  helper.wait_until(function() return answered == count end, 20000, "answers")
  return counts
end

describe("max_command_bytes", function()
  local cluster
  setup(function()
    cluster = Cluster.new { node = limited, is_calm = true }:up()
  end)
  teardown(function() cluster:close() end)

  it("refuses a larger command on every node, and says by how much", function()
    for _, id in ipairs(cluster.ids) do
      local node = cluster:node(id)
      local before = node:status().pending
      local result, err = node:propose(("x"):rep(COMMAND_MAX + 1))
      assert.is_nil(result)
      assert.equal("too_large", err.code)
      assert.equal(COMMAND_MAX + 1, err.size)
      assert.equal(COMMAND_MAX, err.max)
      assert.equal("none", err.outcome)
      assert.is_false(err.retry)
      assert.equal(before, node:status().pending)
      assert.truthy(node:propose(("x"):rep(COMMAND_MAX)))
    end
  end)

  it("takes an empty command", function()
    assert.truthy(cluster:leader():propose(""))
    assert.truthy(cluster:followers()[1]:propose(""))
  end)
end)

describe("where the leader takes less than the one who asks", function()
  it("only what is too large is refused, and order is kept", function()
    local cluster <close> = Cluster.new { node = limited }
    cluster:up()
    local _, ids = cluster:followers()
    local big = cluster:restart(ids[1], { max_command_bytes = 100000,
      max_pending_bytes = 1000000 })
    big:ready { timeout = 10000 }
    if big:is_leader() then return end  -- it took over meanwhile: rare
    local answers, count = {}, 0
    for i = 1, 9 do
      local command = i == 5 and ("x"):rep(COMMAND_MAX + 1) or "c" .. i
      big:propose(command, function(err)
        answers[i] = err and err.code or "ok"
        count = count + 1
      end)
    end
    helper.wait_until(function() return count == 9 end)
    assert.same({ "ok", "ok", "ok", "ok", "too_large", "ok", "ok", "ok", "ok" },
      answers)
    local list = cluster.applied[ids[1]]
    assert.same({ "c1", "c2", "c3", "c4", "c6", "c7", "c8", "c9" },
      { table.unpack(list, #list - 7) })
  end)
end)

describe("max_pending_bytes", function()
  local cluster
  setup(function()
    cluster = Cluster.new { node = limited, is_calm = true }:up()
  end)
  teardown(function() cluster:close() end)

  for _, who in ipairs { "leader", "follower" } do
    local function chosen()
      if who == "leader" then return (cluster:leader()) end
      return cluster:followers()[1]
    end

    it("answers busy to callbacks beyond it, on a " .. who, function()
      local counts = tally(chosen(), 100, ("x"):rep(500))
      assert.truthy(counts.ok >= 4, counts.ok)
      assert.truthy(counts.busy >= 50, counts.busy)
      assert.equal(100, counts.ok + counts.busy)
    end)

    it("says drain once there is room again, on a " .. who, function()
      local node, drained = chosen(), 0
      node:on("drain", function() drained = drained + 1 end)
      assert.truthy(tally(node, 100, ("x"):rep(500)).busy)
      helper.wait_until(function() return drained > 0 end, nil, "drain")
      assert.truthy(node:propose(("x"):rep(500)))
      local before = drained
      assert.truthy(node:propose("x"))
      assert.equal(before, drained)
    end)

    it("lets coroutines wait for room, on a " .. who, function()
      local node, done = chosen(), 0
      for _ = 1, 60 do
        raft.spawn(function()
          local result, err = node:propose(("x"):rep(500), { timeout = 15000 })
          assert(result, err)
          done = done + 1
        end)
      end
      helper.wait_until(function() return done == 60 end, 15000, "all of them")
    end)
  end

  it("bounds what waits without a leader, and drains when it times out",
    function()
      local alone <close> = Cluster.new { node = limited }
      local node = alone:start("n1")  -- the others never come
      local codes, drained = {}, 0
      node:on("drain", function() drained = drained + 1 end)
      for _ = 1, 50 do
        node:propose(("x"):rep(500), { timeout = 30 }, function(err)
          codes[#codes + 1] = err.code
        end)
      end
      helper.wait_until(function() return #codes == 50 end)
      assert.equal("busy", codes[1])
      assert.equal("timeout", codes[50])
      local counts = {}
      for _, code in ipairs(codes) do counts[code] = (counts[code] or 0) + 1 end
      assert.truthy(counts.timeout >= 4 and counts.timeout <= 8)
      assert.equal(50, counts.timeout + counts.busy)
      helper.wait_until(function() return drained == 1 end, nil, "drain")
    end)
end)

describe("a timeout", function()
  it("says what is missing before the cluster has formed", function()
    local cluster <close> = Cluster.new()
    local node = cluster:start("n1")
    for _, call in ipairs { "propose", "query" } do
      local _, err = node[call](node, "x", { timeout = 20 })
      assert.equal("timeout", err.code)
      assert.equal("unknown", err.outcome)
      assert.truthy(err.message:find("has not formed", 1, true), err.message)
      assert.truthy(err.message:find("n2, n3", 1, true), err.message)
    end
    local _, err = node:ready { timeout = 20 }
    assert.truthy(err.message:find("n2, n3", 1, true), err.message)
    assert.equal(0, node:status().pending)
  end)

  it("comes when there is no quorum", function()
    local cluster <close> = Cluster.new()
    cluster:up()
    local leader, id = cluster:leader()
    for _, other in ipairs(cluster.ids) do
      if other ~= id then cluster:close_node(other) end
    end
    local _, err = leader:propose("x", { timeout = 40 })
    assert.equal("timeout", err.code)
    assert.truthy(err.message:find("may still be applied", 1, true))
    _, err = leader:read { timeout = 40 }
    assert.equal("timeout", err.code)
    assert.is_true(leader:read { consistency = "stale", timeout = 40 })
    helper.wait_until(function() return not leader:is_leader() end, nil,
      "the leader without a quorum to step down")
    _, err = leader:propose("x", { timeout = 20 })
    assert.equal("timeout", err.code)
    _, err = leader:propose("x", { timeout = 20, forward = false })
    assert.equal("timeout", err.code)  -- within it, calls wait for a leader
  end)

  it("is over only once: a late answer goes nowhere", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:start("n1")
    node:ready()
    local answers = {}
    for i = 1, 20 do
      node:propose("x", { timeout = 0 }, function(err)
        answers[#answers + 1] = { i, err and err.code or "ok" }
      end)
    end
    helper.wait_until(function() return #answers == 20 end)
    for _ = 1, 20 do node:propose("y") end
    assert.equal(20, #answers)
    assert.equal(40, #cluster.applied.n1)  -- they were applied all the same
  end)
end)
