-- What the page promises of add, remove and change, and what a user gets who
-- makes a mistake with them. In virtual time: three voters, n4 and n5 wait.
local raft = require "raft"
local sim = require "raft.sim"

local WAIT <const> = { timeout = 20000 }
local SOON <const> = { timeout = 2000 }

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

-- Runs story(s, leader, a follower) in a cluster of its own.
local function cluster(story, options)
  local given = { seed = 11, nodes = 5, initial = 3, node = list_node }
  for name, value in pairs(options or {}) do given[name] = value end
  local s <close> = sim.new(given)
  s:run(function()
    assert(s:client():propose("x"))
    local leader = s:leader()
    local follower = leader == "n1" and "n2" or "n1"
    assert(s:node(follower):ready(WAIT))
    story(s, s:node(leader), s:node(follower))
  end)
end

local function where(s, id)
  return s.members[id].address
end

local function shown(node)
  local words, members = {}, node:members()
  for id, member in pairs(members) do
    local goal = member.goal == nil and "" or ">" .. tostring(member.goal)
    words[#words + 1] = id .. " " .. member.role .. goal
  end
  table.sort(words)
  return table.concat(words, ", ")
end

-- Arguments are looked at before anything else.
local function not_started()
  return raft.node { id = "n1", volatile = true, log = false,
    members = { n1 = "127.0.0.1:7101" }, apply = function() end }
end

-- What a call that fails said: code, outcome, words.
local function refusal(result, err)
  assert.is_nil(result)
  assert.is_true(raft.is_error(err))
  return err.code .. " " .. err.outcome, err.message
end

describe("node:add", function()
  it("returns true when the role is reached: a voter, if none is named",
    function()
      cluster(function(s, leader)
        assert.is_true(leader:add("n4", where(s, "n4")))
        assert.equal("n1 voter, n2 voter, n3 voter, n4 voter", shown(leader))
        assert.is_true(leader:add("n5", where(s, "n5"), { role = "learner" }))
        assert.equal("learner", leader:members().n5.role)
        assert.is_true(leader:add("n5", where(s, "n5")))
        assert.equal("voter", leader:members().n5.role)
      end)
    end)

  it("makes a learner first", function()
    cluster(function(s, leader, follower)
      local seen = {}
      follower:on("membership", function(members)
        seen[#seen + 1] = members.n4 and members.n4.role
          .. ">" .. tostring(members.n4.goal)
      end)
      assert.is_true(leader:add("n4", where(s, "n4")))
      assert(s:wait(function() return #seen >= 3 end, 5000))
      assert.equal("learner>voter", seen[1])
      assert.equal("voter>nil", seen[#seen])
    end)
  end)

  it("works on any node, by callback, and twice", function()
    cluster(function(s, _, follower)
      local answers = {}
      for i = 1, 2 do
        follower:add("n4", where(s, "n4"), function(err, result)
          answers[i] = { err, result }
        end)
      end
      assert.same({}, answers)
      assert(s:wait(function() return answers[1] and answers[2] end, 20000))
      assert.same({ { nil, true }, { nil, true } }, answers)
    end)
  end)

  it("of a member at its address needs nothing", function()
    cluster(function(s, leader)
      assert.is_true(leader:change({ n2 = { priority = 3 } }, SOON))
      local before = leader:status().last
      assert.is_true(leader:add("n2", where(s, "n2"), SOON))
      assert.equal(3, leader:members().n2.priority)  -- it was not named
      assert.equal(before, leader:status().last)
    end)
  end)

  it("of a member elsewhere is refused: a slip must move nobody", function()
    cluster(function(s, leader, follower)
      for _, node in ipairs { leader, follower } do
        local code, words = refusal(node:add("n3", where(s, "n4"), SOON))
        assert.equal("bad_membership none", code)
        assert.equal("n3 is a member already, at 10.0.0.3:7100: node:change "
          .. "tells that it has moved", words)
      end
      assert.equal(where(s, "n3"), leader:members().n3.address)
    end)
  end)

  it("refuses addresses that are taken, or that nobody could dial", function()
    cluster(function(s, leader)
      for _, case in ipairs {
        { where(s, "n2"), "10.0.0.2:7100 is the address of n2 and of n4" },
        { "0.0.0.0:7100", "the others could not dial 0.0.0.0:7100" },
        { "[::]:7100", "the others could not dial [::]:7100" },
        { "10.0.0.4:0", "the others could not dial 10.0.0.4:0" },
      } do
        local code, words = refusal(leader:add("n4", case[1], SOON))
        assert.equal("bad_membership none", code)
        assert.equal(case[2], words)
      end
      assert.equal("n1 voter, n2 voter, n3 voter", shown(leader))
    end)
  end)

  it("raises for what is wrong in itself, naming it", function()
    local node = not_started()
    for _, case in ipairs {
      { "n 4", "h:1", nil, "node:add: id: expected a name" },
      { 4, "h:1", nil, "node:add: id: expected a name" },
      { "n4", nil, nil, 'node:add: address: expected "host:port", got nil' },
      { "n4", "h", nil, 'node:add: address: expected "host:port" (no host' },
      { "n4", "h:1", { role = "boss" }, 'node:add: role: expected "voter"' },
      { "n4", "h:1", { rol = "voter" }, "did you mean role?" },
      { "n4", "h:1", { priority = 256 }, "node:add: priority: expected" },
      { "n4", "h:1", { timeout = "x" }, "node:add: timeout: expected ms" },
    } do
      local ok, why = pcall(node.add, node, case[1], case[2], case[3])
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find(case[4], 1, true), tostring(why))
    end
  end)

  it("waits without end, and with a timeout says how far it is", function()
    cluster(function(s, leader)
      s:crash("n4")
      local code, words = refusal(leader:add("n4", where(s, "n4"), SOON))
      assert.equal("timeout unknown", code)
      assert.equal("not done in time: it has begun, and goes on: n4 is to "
        .. "become a voter", words)
      s:restart("n4")
      assert(s:wait(function()
        return shown(leader):find("n4 voter", 1, true)
      end, 20000))
    end)
  end)
end)

describe("node:remove", function()
  it("removes a follower, and the leader, which hands over", function()
    cluster(function(s, leader, follower)
      assert.is_true(leader:remove(follower.id, WAIT))
      assert.is_nil(leader:members()[follower.id])
      local before = s:leader()
      assert.is_true(leader:remove(before, WAIT))
      assert(s:wait(function()
        return s:leader() and s:leader() ~= before
      end, 20000))
      assert.equal(1, (assert(s:client():query())))
    end)
  end)

  it("of the last voter is refused", function()
    cluster(function(_, leader, follower)
      for _, id in ipairs { "n1", "n2", "n3" } do
        if id ~= leader.id then assert(leader:remove(id, WAIT)) end
      end
      local code, words = refusal(leader:remove(leader.id, WAIT))
      assert.equal("bad_membership none", code)
      assert.equal("members: a cluster needs a voter", words)
      assert.is_truthy(follower)
    end)
  end)

  -- A second try after a lost answer must succeed; a slip should be seen.
  it("of who is no member is done, with a warning that names it", function()
    cluster(function(s, leader, follower)
      for _, node in ipairs { leader, follower } do
        local warnings = {}
        node:on("warning", function(err)
          warnings[#warnings + 1] = tostring(err)
        end)
        assert.is_true(node:remove("n9", SOON))
        assert(s:wait(function() return #warnings > 0 end, 100))
        assert.same({ "bad_membership: node:remove: n9 is no member: there "
          .. "are n1, n2, n3" }, warnings)
      end
    end)
  end)

  it("makes the removed node say so, and answer not_leader", function()
    cluster(function(s, leader, follower)
      local warned
      follower:on("warning", function(err) warned = err end)
      assert.is_true(leader:remove(follower.id, WAIT))
      assert(s:wait(function() return warned end, 20000))
      assert.equal("bad_membership", warned.code)
      for _, call in ipairs { "propose", "query", "read", "ready",
        "take_snapshot", "transfer" } do
        local argument = call == "propose" and "x" or nil
        local _, err
        if argument then
          _, err = follower[call](follower, argument, SOON)
        elseif call == "query" then
          _, err = follower:query(nil, SOON)
        else
          _, err = follower[call](follower, SOON)
        end
        assert.equal("not_leader none", err.code .. " " .. err.outcome, call)
        assert.is_false(err.retry)
      end
    end)
  end)
end)

describe("node:change", function()
  it("does several things in one step", function()
    cluster(function(s, leader, follower)
      local entries = 0
      leader:on("membership", function() entries = entries + 1 end)
      assert.is_true(leader:change({ n4 = where(s, "n4"),
        n5 = { address = where(s, "n5"), role = "learner" },
        [follower.id] = false, n3 = { priority = 9 } }, WAIT))
      local members = leader:members()
      assert.equal("voter", members.n4.role)
      assert.equal("learner", members.n5.role)
      assert.is_nil(members[follower.id])
      assert.equal(9, members.n3.priority)
      assert.equal(3, entries)  -- intent, joint, final
    end)
  end)

  it("of nothing is done", function()
    cluster(function(_, leader, follower)
      local before = leader:status().last
      assert.is_true(leader:change({}, SOON))
      assert.is_true(follower:change({}, SOON))
      assert.is_true(follower:change({ n1 = {} }, SOON))
      assert.equal(before, leader:status().last)
    end)
  end)

  it("raises for what is no change, naming it", function()
    local node = not_started()
    for _, case in ipairs {
      { nil, "node:change: expected a table" },
      { "n1", "node:change: expected a table" },
      { { "n1" }, "node:change: [1]: expected a name" },
      { { n2 = true }, 'node:change: n2: expected "host:port"' },
      { { n2 = { rol = "voter" } }, "node:change: n2.rol: unknown option" },
      { { n2 = { role = "boss" } }, "node:change: n2.role: expected" },
    } do
      local ok, why = pcall(node.change, node, case[1])
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find(case[2], 1, true), tostring(why))
    end
    for _, name in ipairs { "remove", "add" } do
      local ok, why = pcall(node[name], node)
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find("id: expected a name", 1, true))
    end
  end)

  it("is refused in words when it breaks a rule; nothing changes", function()
    cluster(function(_, leader, follower)
      local voters = leader:members()
      local learners = { n1 = { role = "learner" }, n2 = { role = "learner" },
        n3 = { role = "learner" } }
      for _, case in ipairs {
        { { n1 = false, n2 = false, n3 = false }, {},
          "members: a cluster needs a voter" },
        { learners, {}, "members: a cluster needs a voter" },
        { { n9 = { role = "learner" } }, {},
          'n9 is no member, so its address is needed: "host:port"' },
        { {}, { quorum = { election = 2, commit = 1 } },
          "quorum: an election and a commit must have a voter in common: 2 and "
            .. "1 of 3 are too few: n1 and n2 could elect a leader that lacks "
            .. "what n3 committed" },
        { {}, { quorum = "2 of (n1, n2, n7)" },
          "quorum: n7 is no voter: there are n1, n2, n3" },
        { {}, { quorum = "2 of (n1," },
          'quorum: expected a name after "2 of ( n1 ,", got its end' },
      } do
        for _, node in ipairs { leader, follower } do
          case[2].timeout = 2000
          local code, words = refusal(node:change(case[1], case[2]))
          assert.equal("bad_membership none", code)
          assert.equal(case[3], words)
        end
      end
      assert.same(voters, leader:members())
      assert.equal(2, (assert(leader:propose("y"))))
    end)
  end)

  it("is busy while another one is under way, and goes after it", function()
    cluster(function(s, leader, follower)
      s:crash("n4")
      local first = s:spawn(function()
        return leader:add("n4", where(s, "n4"), WAIT)
      end)
      assert(s:wait(function() return leader:members().n4 end, 2000))
      for _, node in ipairs { leader, follower } do
        local code, words = refusal(node:add("n5", where(s, "n5"), SOON))
        assert.equal("busy none", code)
        assert.equal("another change is under way: n4 is to become a voter",
          words)
      end
      s:restart("n4")
      assert.is_true(first:wait(WAIT))
      assert.is_true(follower:add("n5", where(s, "n5"), WAIT))
    end)
  end)

  it("is taken back by a remove; the first one is refused", function()
    cluster(function(s, leader, follower)
      s:crash("n4")
      local first = s:spawn(function()
        return leader:add("n4", where(s, "n4"), WAIT)
      end)
      assert(s:wait(function() return follower:members().n4 end, 2000))
      assert.is_true(follower:remove("n4", WAIT))
      assert.equal("refused none", (refusal(first:wait(WAIT))))
      assert.equal("n1 voter, n2 voter, n3 voter", shown(leader))
    end)
  end)

  it("that leaves too few who are heard is refused, unless forced", function()
    cluster(function(s, leader, follower)
      local third
      for _, id in ipairs { "n1", "n2", "n3" } do
        if id ~= leader.id and id ~= follower.id then third = id end
      end
      s:crash(third)
      s:sleep(3000)
      local result, err = leader:remove(follower.id, SOON)
      assert.is_nil(result)
      assert.equal("no_quorum none", err.code .. " " .. err.outcome)
      assert.same({ third }, err.missing)
      assert.is_truthy(err.message:find("raft.recover", 1, true))
      assert.equal("n1 voter, n2 voter, n3 voter", shown(leader))
      s:spawn(function()
        return leader:remove(follower.id, { force = true, timeout = 2000 })
      end)
      s:sleep(1000)
      assert.is_true(leader:members()[follower.id] == nil
        or leader:members()[follower.id].goal == false)
      s:restart(third)
      assert(s:wait(function()
        return leader:members()[follower.id] == nil
      end, 20000))
    end)
  end)

  it("changes the quorum and the settings on every node", function()
    cluster(function(s, leader, follower)
      assert.equal("majority", leader:status().quorum)
      assert.is_true(follower:change({}, { timeout = 5000, leases = true,
        quorum = { election = 3, commit = 1 }, election_timeout_min = 600 }))
      assert.same({ election = 3, commit = 1 }, leader:status().quorum)
      assert(s:wait(function() return leader:status().has_lease end, 5000))
      assert.is_true(leader:change({}, { timeout = 5000, leases = false,
        quorum = "majority" }))
      assert.equal("majority", leader:status().quorum)
      assert.is_false(leader:status().has_lease)
    end)
  end)

  -- It had compared with what it knew: all was as asked, for it had not heard
  -- that the leader had just changed it.
  it("of a follower that is behind is about what is in force", function()
    cluster(function(s, leader, follower)
      s:cut(leader.id, follower.id)
      assert.is_true(leader:change({ n3 = { priority = 5 } }, SOON))
      local task = s:spawn(function()
        return follower:change({ n3 = { priority = 0 } }, WAIT)
      end)
      s:sleep(50)
      s:heal()
      assert.is_true(task:wait(WAIT))
      assert(leader:ready(WAIT))
      assert.equal(0, leader:members().n3.priority)
    end)
  end)
end)

describe("the option join", function()
  it("waits to be added, and says so", function()
    cluster(function(s)
      local newcomer = s:node("n4")
      assert.is_false(newcomer:status().formed)
      assert.same({}, newcomer:members())
      for _, call in ipairs { "ready", "read", "transfer" } do
        local code, words = refusal(newcomer[call](newcomer,
          { timeout = 300 }))
        assert.equal("timeout unknown", code)
        assert.is_truthy(words:find("n4 waits to be added to a cluster", 1,
          true), words)
      end
    end)
  end)
end)
