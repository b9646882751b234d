-- What the page promises of transfer, priorities, leases, consistency levels
-- and stop. In virtual time.
local raft = require "raft"
local sim = require "raft.sim"

local WAIT <const> = { timeout = 20000 }

local function list_node()
  local list = {}
  return {
    apply = function(command)
      list[#list + 1] = command
      return #list
    end,
    query = function() return #list end,
  }
end

-- story(s, leader, follower) in a cluster of three that has one command.
local function cluster(story, options)
  local given = { seed = 21, nodes = 3, node = list_node }
  for name, value in pairs(options or {}) do given[name] = value end
  local s <close> = sim.new(given)
  s:run(function()
    assert(s:client():propose("x"))
    local leader = s:leader()
    local follower = leader == "n1" and "n2" or "n1"
    for i = 1, 3 do assert(s:node("n" .. i):ready(WAIT)) end
    story(s, s:node(leader), s:node(follower))
  end)
end

local function refusal(result, err)
  assert.is_nil(result)
  assert.is_true(raft.is_error(err))
  return err.code .. " " .. err.outcome, err.message
end

describe("node:transfer", function()
  it("returns the id of who leads then, named or not", function()
    cluster(function(s, leader, follower)
      assert.equal(follower.id, (assert(leader:transfer(follower.id, WAIT))))
      assert.equal(follower.id, s:leader())
      local new = assert(follower:transfer(WAIT))
      assert.not_equal(follower.id, new)
      assert(s:wait(function() return s:leader() == new end, 5000))
    end)
  end)

  it("to who leads already is done, from anywhere", function()
    cluster(function(s, leader, follower)
      local term = leader:status().term
      assert.equal(leader.id, (assert(leader:transfer(leader.id))))
      assert.equal(leader.id, (assert(follower:transfer(leader.id))))
      assert.equal(term, leader:status().term)
      assert.equal(leader.id, s:leader())
    end)
  end)

  it("to a learner or somebody unknown is refused, in words", function()
    cluster(function(s, leader, follower)
      local third
      for _, id in ipairs { "n1", "n2", "n3" } do
        if id ~= leader.id and id ~= follower.id then third = id end
      end
      assert(leader:change({ [third] = { role = "learner" } }, WAIT))
      for _, node in ipairs { leader, follower } do
        local code, words = refusal(node:transfer(third, WAIT))
        assert.equal("refused none", code)
        assert.equal(third .. " is a learner", words)
        code, words = refusal(node:transfer("n9", WAIT))
        assert.equal("refused none", code)
        assert.equal("n9 is no member", words)
      end
      assert.equal(leader.id, s:leader())
    end)
  end)

  it("to who is not there is refused; the leader goes on", function()
    cluster(function(s, leader, follower)
      s:crash(follower.id)
      s:sleep(2000)
      local code, words = refusal(leader:transfer(follower.id, WAIT))
      assert.equal("refused none", code)
      assert.equal(follower.id .. " is silent, stops, or its disk hangs", words)
      assert.equal(2, (assert(leader:propose("y"))))
    end)
  end)

  it("of a node alone is refused", function()
    cluster(function(_, leader)
      for _, id in ipairs { "n1", "n2", "n3" } do
        if id ~= leader.id then assert(leader:remove(id, WAIT)) end
      end
      local code, words = refusal(leader:transfer(WAIT))
      assert.equal("refused none", code)
      assert.is_truthy(words:find("no other voter may lead", 1, true))
      assert.equal(leader.id, (assert(leader:transfer(leader.id))))
    end)
  end)

  it("raises for what is no id", function()
    local node = raft.node { id = "n1", volatile = true, log = false,
      members = { n1 = "127.0.0.1:7101" }, apply = function() end }
    for _, wrong in ipairs { 3, true } do
      local ok, why = pcall(node.transfer, node, wrong)
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find("node:transfer: expected the id of a "
        .. "member, got " .. type(wrong), 1, true))
    end
  end)
end)

describe("the priority of a member", function()
  it("decides who leads first, and who takes over", function()
    cluster(function(s, leader)
      assert.equal("n2", s:leader())
      assert.equal("n3", (assert(leader:transfer(WAIT))))
    end, { priority = { n1 = 9, n2 = 0, n3 = 4 } })
  end)
end)

describe("opts.consistency", function()
  it("is one of three; all are served on any node", function()
    cluster(function(s, leader, follower)
      for _, consistency in ipairs { "linearizable", "lease", "stale" } do
        local opts = { consistency = consistency }
        for _, node in ipairs { leader, follower } do
          assert.is_true(node:read(opts))
          assert.equal(1, (assert(node:query(nil, opts))))
        end
      end
      assert.is_truthy(s)
    end)
  end)

  it("raises for any other, naming them", function()
    local node = raft.node { id = "n1", volatile = true, log = false,
      members = { n1 = "127.0.0.1:7101" }, apply = function() end }
    local ok, why = pcall(node.read, node, { consistency = "strong" })
    assert.is_false(ok)
    assert.is_truthy(tostring(why):find('node:read: consistency: expected '
      .. '"linearizable", "lease" or "stale", got "strong"', 1, true))
  end)

  it('"stale" answers without a quorum, the others wait for one', function()
    cluster(function(s, leader)
      s:partition({ leader.id })
      s:sleep(3000)
      assert.equal(1, (assert(leader:query(nil, { consistency = "stale" }))))
      for _, consistency in ipairs { "linearizable", "lease" } do
        local code = refusal(leader:query(nil, { timeout = 500,
          consistency = consistency }))
        assert.equal("timeout unknown", code)
      end
    end)
  end)

  it('"lease" needs no option: without leases it asks a quorum', function()
    cluster(function(_, leader)
      assert.is_false(leader:status().has_lease)
      assert.equal(1, (assert(leader:query(nil, { consistency = "lease" }))))
    end)
  end)

  it('"lease" is served of a leader alone while its lease lasts', function()
    local function with_leases()
      local options = list_node()
      options.leases = true
      return options
    end
    cluster(function(s, leader)
      assert(s:wait(function() return leader:status().has_lease end, 5000))
      s:partition({ leader.id })
      assert.equal(1, (assert(leader:query(nil, { consistency = "lease",
        timeout = 100 }))))
      s:sleep(3000)
      assert.is_false(leader:status().has_lease)
      assert.equal("timeout unknown", (refusal(leader:query(nil,
        { consistency = "lease", timeout = 100 }))))
    end, { node = with_leases })
  end)
end)

describe("opts.at_least", function()
  it("waits for what the token covers, on any node", function()
    cluster(function(s, leader, follower)
      s:cut(leader.id, follower.id)
      assert.equal(2, (assert(leader:propose("y"))))
      local token = leader:token()
      assert.equal("string", type(token))
      assert.equal("timeout unknown", (refusal(follower:query(nil,
        { at_least = token, timeout = 20 }))))
      s:heal()
      assert.equal(2, (assert(follower:query(nil, { at_least = token }))))
      assert.is_true(follower:read { at_least = token })
    end)
  end)

  it("refuses what is no token", function()
    cluster(function(_, leader)
      local code, words = refusal(leader:read { at_least = "zz" })
      assert.equal("bad_value none", code)
      assert.equal("at_least: not a token of node:token()", words)
    end)
  end)
end)

describe("node:stop", function()
  it("of a leader hands over first: nobody waits for an election", function()
    cluster(function(s, leader, follower)
      local from = s:now()
      leader:stop()
      assert(s:wait(function()
        return s:leader() and s:leader() ~= leader.id
      end, 5000))
      assert.is_true(s:now() - from < 500, s:now() - from)
      assert.equal(2, (assert(follower:propose("y", WAIT))))
    end)
  end)

  it("works without a quorum, and answers who waits", function()
    cluster(function(s, leader)
      s:partition({ leader.id })
      local waits = s:spawn(function()
        return leader:propose("y", { timeout = false })
      end)
      s:sleep(10)
      assert.is_true(leader:stop { timeout = 2000 })
      local _, err = waits:wait(WAIT)
      assert.equal("closed unknown", err.code .. " " .. err.outcome)
    end)
  end)
end)
