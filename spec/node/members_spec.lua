-- Membership, quorums and roles, seen from nodes in one process.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"

local WAIT <const> = { timeout = 10000 }
-- Who is silent for the first of these counts as not reachable, which a busy
-- machine must not make of anybody.
local ELECTION <const> = { 150, 300 }

-- A node that waits to be added, with an empty directory; started.
local function newcomer(cluster, id, extra)
  local where = Cluster.free_address()
  local opts = { join = true, listen = where }
  for name, value in pairs(extra or {}) do opts[name] = value end
  local opted = cluster:options_of(id, opts)
  opted.members = nil
  local node = raft.node(opted)
  cluster.objects[#cluster.objects + 1] = node
  cluster.nodes[id] = node
  assert(node:start())
  return node, where
end

-- "n1 voter, n2 learner"
local function shown(node)
  local words = {}
  for id, member in pairs(node:members()) do
    words[#words + 1] = id .. " " .. member.role
      .. (member.goal ~= nil and " > " .. tostring(member.goal) or "")
  end
  table.sort(words)
  return table.concat(words, ", ")
end

local function wait_for_members(node, words)
  helper.wait_until(function() return shown(node) == words end, 10000,
    words .. " at " .. node.id)
end

describe("a cluster", function()
  it("forms with its quorum rule and roles, and keeps them", function()
    local cluster <close> = Cluster.new { nodes = 3, node = function()
      return { quorum = { election = "n1 and n2", commit = "n1" } }
    end }
    cluster.members.n3 = { address = cluster.members.n3, role = "learner" }
    cluster:up()
    assert(cluster:leader():propose("x"))
    local rule = { election = { { "n1", "n2" } }, commit = { { "n1" } } }
    assert.same(rule, cluster.nodes.n3:status().quorum)
    assert.equal("learner", cluster.nodes.n2:members().n3.role)
    cluster.nodes.n3:stop()  -- it counts nowhere
    cluster.nodes.n2:stop()  -- and commits need n1 alone
    assert(cluster.nodes.n1:propose("y"))
    cluster:start("n3")
    assert(cluster.nodes.n3:read())
    assert.same({ "x", "y" }, cluster.applied.n3)
    assert.same(rule, cluster.nodes.n3:status().quorum)
  end)

  it("does not form of nodes with different rules", function()
    local heard = {}
    local cluster <close> = Cluster.new { nodes = 3, node = function(id)
      return {
        quorum = id == "n1" and { election = 3, commit = 1 } or nil,
        on = { warning = function(err) heard[#heard + 1] = err.code end },
      }
    end }
    cluster:start()
    assert.is_nil((cluster.nodes.n1:ready { timeout = 300 }))
    assert.is_false(cluster.nodes.n1:status().formed)
    assert.equal("cluster_mismatch", heard[1])
  end)

  -- It was the first to know of the cluster, so all others took that from it
  -- with empty logs: nobody ever campaigned.
  it("is not formed by who cannot lead it", function()
    for _, role in ipairs { "learner", "witness" } do
      for _ = 1, 4 do
        local cluster <close> = Cluster.new { nodes = 3 }
        cluster.members.n3 = { address = cluster.members.n3, role = role }
        cluster:start()
        for _, id in ipairs { "n1", "n2" } do
          assert(cluster.nodes[id]:ready { timeout = 5000 })
        end
      end
    end
  end)
end)

describe("node:add", function()
  it("makes a new node a voter once it has caught up", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    for i = 1, 50 do assert(cluster:leader():propose("c" .. i)) end
    local n4, where = newcomer(cluster, "n4")
    assert.is_true(cluster:leader():add("n4", where, WAIT))
    assert.equal("n1 voter, n2 voter, n3 voter, n4 voter",
      shown(cluster:leader()))
    assert(n4:ready(WAIT))
    assert.equal(50, #cluster.applied.n4)
    assert.equal(51, n4:propose("c51", WAIT))
    wait_for_members(n4, "n1 voter, n2 voter, n3 voter, n4 voter")
    assert.equal(where, cluster.nodes.n1:members().n4.address)
  end)

  it("may be asked of any node, and asked again", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    local _, where = newcomer(cluster, "n4")
    local follower = cluster:followers()[1]
    assert.is_true(follower:add("n4", where, WAIT))
    assert.is_true(follower:add("n4", where, WAIT))
    assert.is_true(follower:change({ n4 = { priority = 3 } }, WAIT))
    assert.equal(3, follower:members().n4.priority)
  end)

  it("leaves a learner a learner", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    cluster:up()
    local n2, where = newcomer(cluster, "n2")
    assert(cluster.nodes.n1:add("n2", where, { role = "learner",
      timeout = 10000 }))
    assert(cluster.nodes.n1:propose("x"))
    assert(n2:read(WAIT))
    assert.same({ "x" }, cluster.applied.n2)
    n2:close()  -- it counts nowhere
    assert(cluster.nodes.n1:propose("y"))
    assert.equal("n1 voter, n2 learner", shown(cluster.nodes.n1))
  end)

  it("makes a witness, which votes and keeps no commands", function()
    local cluster <close> = Cluster.new { nodes = 2 }
    cluster:up()
    local w, where = newcomer(cluster, "w")
    assert(cluster:leader():add("w", where, { role = "witness",
      timeout = 10000 }))
    for i = 1, 20 do assert(cluster:leader():propose("c" .. i)) end
    local leader, id = cluster:leader()
    local other = id == "n1" and "n2" or "n1"
    cluster.nodes[other]:stop()
    assert(leader:propose("without " .. other, WAIT))  -- the witness has it
    assert.equal("n1 voter, n2 voter, w witness", shown(leader))
    assert.same({}, cluster.applied.w)
    assert.is_false(w:is_leader())
    cluster:start(other)
    assert(cluster.nodes[other]:read(WAIT))  -- it has what the witness has
    leader:stop()  -- the other one is elected by the witness
    assert(cluster.nodes[other]:propose("without " .. id, WAIT))
    assert.equal(22, #cluster.applied[other])
    local ok, err = cluster.nodes[other]:change({ w = { role = "voter" } },
      WAIT)
    assert.is_nil(ok)
    assert.equal("bad_membership", err.code)
  end)

  it("waits for who does not come, and goes on without a waiter", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    cluster:up()
    local n1 = cluster.nodes.n1
    local where = Cluster.free_address()
    local ok, err = n1:add("n2", where, { role = "voter", timeout = 200 })
    assert.is_nil(ok)
    assert.equal("timeout", err.code)
    assert.equal("not done in time: it has begun, and goes on: n2 is to become "
      .. "a voter", err.message)
    assert.equal("n1 voter, n2 learner > voter", shown(n1))
    ok, err = n1:add("n3", Cluster.free_address(), WAIT)
    assert.is_nil(ok)
    assert.equal("busy", err.code)
    newcomer(cluster, "n2", { listen = where })
    wait_for_members(n1, "n1 voter, n2 voter")
  end)

  it("is taken back by a remove", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    cluster:up()
    local n1, refusal = cluster.nodes.n1, nil
    n1:add("n2", Cluster.free_address(), function(err) refusal = err end)
    wait_for_members(n1, "n1 voter, n2 learner > voter")
    assert.is_true(n1:remove("n2", WAIT))
    helper.wait_until(function() return refusal end)
    assert.equal("refused", refusal.code)
    assert.equal("n1 voter", shown(n1))
  end)

  it("raises for what is no node", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    cluster:up()
    local n1 = cluster.nodes.n1
    local function said(call, ...)
      local args = table.pack(...)
      local ok, why = pcall(function()
        local result = call(n1, table.unpack(args, 1, args.n))
        return result  -- no tail call: this line is to blame
      end)
      assert.is_false(ok)
      assert.is_truthy(why:find("members_spec.lua:%d+: "), why)
      return (why:gsub("^.-members_spec.lua:%d+: ", ""))
    end
    assert.equal('node:add: address: expected "host:port" (no host and port), '
      .. 'got "h"', said(n1.add, "n2", "h", false))
    assert.equal('node:add: address: expected "host:port", got nil',
      said(n1.add, "n2", nil, nil, false))
    assert.is_truthy(said(n1.add, "n 2", "h:1", false):find("node:add: id: "
      .. "expected a name", 1, true))
    assert.is_truthy(said(n1.remove, 7, false):find("node:remove: id: expected "
      .. "a name", 1, true))
    assert.equal("node:change: n2.addres: unknown option, did you mean "
      .. "address?", said(n1.change, { n2 = { addres = "h:1" } }, false))
    assert.equal('node:change: expected a table: id = "host:port", or false to '
      .. "remove, got 7", said(n1.change, 7, false))
    assert.is_truthy(said(n1.change, {}, { quorum = 3 }, false):find(
      "node:change: quorum: expected", 1, true))
  end)
end)

describe("node:remove", function()
  it("of a follower makes it say so, and stop campaigning", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    local warnings = {}
    cluster.options.node = function(id)
      return { on = { warning = function(err)
        warnings[#warnings + 1] = id .. ": " .. err.message
      end } }
    end
    cluster:up()
    local _, ids = cluster:followers()
    local gone, leader = ids[1], cluster:leader()
    assert(leader:propose("x"))
    assert.is_true(leader:remove(gone, WAIT))
    helper.wait_until(function()
      return cluster.nodes[gone]:status().members[gone] == nil
    end)
    helper.wait_until(function() return #warnings > 0 end)
    assert.equal(gone .. ": " .. gone .. " was removed from cluster default, "
      .. "and takes no part in it any more: stop it. To bring it back, empty "
      .. "its directory, and add it", warnings[1])
    local term = leader:status().term
    for _, call in ipairs { "propose", "read", "ready" } do
      local node = cluster.nodes[gone]
      local result, err = node[call](node, call == "propose" and "y" or nil)
      assert.is_nil(result)
      assert.equal("not_leader", err.code)
      assert.equal("none", err.outcome)
      assert.is_false(err.retry)
    end
    assert(leader:propose("z"))
    assert.equal(term, leader:status().term)
    assert.is_true(leader:is_leader())
  end)

  it("of the leader has it hand over", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    local leader, id = cluster:leader()
    assert(leader:propose("x"))
    assert.is_true(leader:remove(id, WAIT))
    local heir = cluster:leader(id)
    assert.are_not.equal(id, heir.id)
    assert(heir:propose("y", WAIT))
    assert.is_nil(heir:members()[id])
  end)

  -- They were committed, not yet applied there, and "unknown".
  it("of the leader answers all that it had appended", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    local leader, id = cluster:leader()
    local answers = { ok = 0, failed = 0 }
    for _ = 1, 5000 do
      leader:propose("x", function(err)
        local name = err and "failed" or "ok"
        answers[name] = answers[name] + 1
      end)
    end
    assert.is_true(leader:remove(id, WAIT))
    helper.wait_until(function() return answers.ok + answers.failed == 5000 end)
    assert.same({ ok = 5000, failed = 0 }, answers)
  end)

  -- What it was asked for meanwhile waited for a leader for ever.
  it("of a node answers what others asked of it", function()
    local cluster <close> = Cluster.new { nodes = 4, election = ELECTION }
    cluster:up()
    local leader, id = cluster:leader()
    local _, others = cluster:followers()
    local answered
    assert.is_true(leader:remove(id, WAIT))
    leader:remove(others[1], function(err) answered = err or true end)
    helper.wait_until(function() return answered end)
    assert.is_true(answered == true or answered.code == "not_leader"
      or answered.code == "busy", tostring(answered))
  end)

  it("of who asks for it succeeds", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    local nodes, ids = cluster:followers()
    assert.is_true(nodes[1]:remove(ids[1], WAIT))
    assert.is_nil(cluster:leader(ids[1]):members()[ids[1]])
  end)

  it("of the last voter is refused", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    cluster:up()
    local ok, err = cluster.nodes.n1:remove("n1", WAIT)
    assert.is_nil(ok)
    assert.equal("bad_membership", err.code)
    assert.equal("members: a cluster needs a voter", err.message)
  end)

  it("that would leave no quorum is refused, unless forced", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    local leader, id = cluster:leader()
    local _, others = cluster:followers()
    local dead, alive = others[1], others[2]
    cluster:close_node(dead)
    helper.wait_until(function()  -- the leader misses it
      return leader:status().peers[dead].silent_ms > 2 * ELECTION[2]
    end)
    local ok, err = leader:remove(alive, WAIT)
    assert.is_nil(ok)
    assert.equal("no_quorum", err.code)
    assert.equal("none", err.outcome)
    assert.same({ dead }, err.missing)
    assert.is_truthy(err.message:find(dead .. " cannot be reached, and "
      .. "without it the members", 1, true), err.message)
    assert.equal("n1 voter, n2 voter, n3 voter", shown(leader))
    leader:remove(alive, { force = true }, false)
    helper.wait_until(function()  -- and waits in the joint one for the dead
      return leader:members()[alive].goal == false
    end)
    assert.is_nil((leader:propose("x", { timeout = 200 })))
    cluster:start(dead)
    helper.wait_until(function()
      return not cluster.nodes[dead]:members()[alive]
    end, 10000, "the change to go on")
    assert(cluster.nodes[id]:propose("y", WAIT))
  end)
end)

describe("node:change", function()
  it("does several things in one step", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    local leader, id = cluster:leader()
    local _, others = cluster:followers()
    local _, where = newcomer(cluster, "n4")
    assert.is_true(leader:change({ n4 = where, [others[1]] = false,
      [others[2]] = { role = "learner" } }, WAIT))
    local expected = { id .. " voter", others[2] .. " learner", "n4 voter" }
    table.sort(expected)
    assert.equal(table.concat(expected, ", "), shown(leader))
  end)

  it("changes the quorum and the settings", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    local leader = cluster:leader()
    assert.is_true(leader:change({}, { quorum = { election = 3, commit = 1 },
      election_timeout_min = 80, timeout = 10000 }))
    assert.same({ election = 3, commit = 1 }, leader:status().quorum)
    assert.is_true(cluster:leader():change({}, { quorum = "majority",
      timeout = 10000 }))
    assert.equal("majority", cluster:leader():status().quorum)
  end)

  it("moves a member to another address", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    local _, others = cluster:followers()
    local moved, where = others[1], Cluster.free_address()
    cluster.nodes[moved]:stop()
    assert.is_true(cluster:leader():change({ [moved] = where }, WAIT))
    cluster:start(moved, { listen = where })
    assert(cluster:leader():propose("x"))
    assert(cluster.nodes[moved]:read(WAIT))
    assert.equal(where, cluster.nodes[moved]:members()[moved].address)
  end)

  it("tells every node by its event", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    local seen = {}
    cluster.options.node = function(id)
      return { on = { membership = function(members, index)
        seen[id] = { priority = members.n1.priority, index = index }
      end } }
    end
    cluster:up()
    assert(cluster:leader():change({ n1 = { priority = 9 } }, WAIT))
    helper.wait_until(function()
      for _, id in ipairs(cluster.ids) do
        if not seen[id] or seen[id].priority ~= 9 then return false end
      end
      return true
    end)
    assert.is_true(seen.n1.index > 1)
    assert.equal(seen.n1.index, seen.n2.index)
  end)
end)

describe("join", function()
  it("asks to be added, until it is", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    assert(cluster:leader():propose("x"))
    local n4 = newcomer(cluster, "n4", { join = { Cluster.free_address(),
      cluster.members.n2, cluster.members.n3 } })
    assert(n4:ready { timeout = 15000 })
    wait_for_members(n4, "n1 voter, n2 voter, n3 voter, n4 voter")
    assert.same({ "x" }, cluster.applied.n4)
    n4:stop()
    local opts = cluster:options_of("n4", { join = { cluster.members.n1 },
      listen = cluster.nodes.n1:members().n4.address })
    opts.members = nil
    local again = raft.node(opts)
    cluster.objects[#cluster.objects + 1] = again
    assert(again:start())
    assert(again:ready(WAIT))
  end)

  it("is told why it was not added so far", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    cluster:leader():add("n5", Cluster.free_address(), { force = true }, false)
    local n4 = newcomer(cluster, "n4", { join = { cluster.members.n2 } })
    local words
    for _ = 1, 30 do
      local _, err = n4:ready { timeout = 300 }
      words = err.message
      if words:find("not added", 1, true) then break end
    end
    assert.matches("n4 waits to be added to a cluster; .*it was not added so "
      .. "far: another change is under way: n5 is to become a voter", words)
  end)

  it("waits, and forms nothing", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local n4 = newcomer(cluster, "n4")
    local ok, err = n4:propose("x", { timeout = 100 })
    assert.is_nil(ok)
    assert.equal("timeout", err.code)
    assert.is_truthy(err.message:find("waits to be added", 1, true),
      err.message)
    assert.is_false(n4:status().formed)
  end)

  -- Faults O6, O9: the same id comes back empty.
  it("brings a wiped node back, once it was removed", function()
    local cluster <close> = Cluster.new { nodes = 3, election = ELECTION }
    cluster:up()
    assert(cluster:leader():propose("x"))
    local _, others = cluster:followers()
    local wiped = others[1]
    cluster.nodes[wiped]:stop()
    local fresh = cluster.dir:join("fresh")
    local refused = cluster:new_node(wiped, { dir = fresh })
    assert(refused:start())
    helper.wait_until(function()
      return refused:status().state == "failed"
    end)
    assert.equal("rolled_back", refused:status().failure.code)
    assert.is_true(cluster:leader(wiped):remove(wiped, WAIT))
    local node = cluster:new_node(wiped, { dir = fresh })
    cluster.nodes[wiped] = node
    helper.wait_until(function() return node:start() end)  -- once it is free
    assert.is_true(cluster:leader(wiped):add(wiped, cluster.members[wiped],
      WAIT))
    assert(node:ready(WAIT))
    assert.same({ "x" }, cluster.applied[wiped])
    assert.equal("n1 voter, n2 voter, n3 voter", shown(cluster:leader()))
  end)
end)
