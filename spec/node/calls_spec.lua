local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"

describe("a cluster of three in one process", function()
  local cluster, leader, follower

  setup(function()
    cluster = Cluster.new { is_calm = true, node = function()
      local state = {}
      return {
        apply = function(command, entry)
          if command == "entry" then
            return { entry.index, entry.term, entry.time }
          elseif command == "nil" then
            return nil
          elseif command == "false" then
            return false
          elseif command == "table" then
            return state
          elseif command == "no" then
            return nil, { why = "because" }
          elseif command == "raise" then
            error({ code = 7 })
          elseif command == "function" then
            return { f = print }
          end
          state[#state + 1] = command
          return #state
        end,
        query = function(request)
          if request == "no" then return nil, "not here" end
          if request == "raise" then error("boom", 0) end
          if type(request) == "table" then
            request.mine = true
            return request
          end
          return state
        end,
      }
    end }
    cluster:up()
    leader = cluster:leader()
    follower = cluster:followers()[1]
  end)
  teardown(function() cluster:close() end)

  it("takes proposals on every node", function()
    for _, id in ipairs(cluster.ids) do
      local before = #cluster:node(id):query()
      assert.equal(before + 1, cluster:node(id):propose("x"))
    end
  end)

  it("reads its own write on the node that wrote", function()
    for _, id in ipairs(cluster.ids) do
      local count = cluster:node(id):propose("y")
      assert.equal(count, #cluster:node(id):query(nil, {
        consistency = "stale" }))
    end
  end)

  it("reads on every node what was written on any", function()
    for i, id in ipairs(cluster.ids) do
      local count = cluster:node(id):propose("z")
      local other = cluster:node(cluster.ids[i % 3 + 1])
      assert.is_true(other:read())
      assert.equal(count, #other:query(nil, { consistency = "stale" }))
    end
  end)

  it("gives nil and false as results, with no error", function()
    for _, node in ipairs { leader, follower } do
      assert.same({ n = 1 }, table.pack(node:propose("nil")))
      assert.same({ n = 1, false }, table.pack(node:propose("false")))
    end
  end)

  it("hands apply the entry, the same everywhere", function()
    local entry = leader:propose("entry")
    local status = leader:status()
    assert.equal(status.last, entry[1])
    assert.equal(status.term, entry[2])
    assert.truthy(math.abs(os.time() - entry[3] / 1000) < 60)
    local later = follower:propose("entry")
    assert.equal(entry[1] + 1, later[1])
    assert.truthy(later[3] >= entry[3])
  end)

  it("gives copies of results, on the leader too", function()
    for _, node in ipairs { leader, follower } do
      local result = node:propose("table")
      local count = #result
      result[1], result[#result + 1] = "changed", "more"
      assert.equal(count, #node:propose("table"))
      assert.not_equal("changed", node:query()[1])
    end
  end)

  it("hands query a copy of the request", function()
    local request = { a = { 1 } }
    local result = leader:query(request)
    assert.same({ a = { 1 } }, request)
    assert.same({ a = { 1 }, mine = true }, result)
    result.a[1] = 2
    assert.equal(1, request.a[1])
  end)

  it("takes no request, a table or false as the request", function()
    assert.equal("table", type(leader:query()))
    assert.same({ timeout = 1, mine = true }, leader:query { timeout = 1 })
    assert.equal("table", type(leader:query(false)))
    local answer
    leader:query(function(_, result) answer = result end)
    helper.wait_until(function() return answer end, nil, "the callback")
  end)

  describe("errors of the user's code", function()
    it("are refused when apply returns nil, why", function()
      for _, node in ipairs { leader, follower } do
        local result, err = node:propose("no")
        assert.is_nil(result)
        assert.equal("refused", err.code)
        assert.same({ why = "because" }, err.value)
        assert.equal("unknown", err.outcome)  -- it is in the log
        assert.is_false(err.retry)
      end
    end)

    it("are refused when query returns nil, why: nothing happened", function()
      local _, err = follower:query("no")
      assert.equal("refused: not here", tostring(err))
      assert.equal("not here", err.value)
      assert.equal("none", err.outcome)
    end)

    it("are apply_error when apply raises, with what it raised", function()
      local _, err = follower:propose("raise")
      assert.equal("apply_error", err.code)
      assert.same({ code = 7 }, err.value)
      assert.equal("unknown", err.outcome)
      for _, id in ipairs(cluster.ids) do  -- on every node
        helper.wait_until(function() return cluster.errors[id][1] end)
        assert.same({ code = 7 }, cluster.errors[id][1].value)
      end
      assert.truthy(leader:propose("after"))  -- the log goes on
    end)

    it("are apply_error when query raises", function()
      local _, err = leader:query("raise")
      assert.equal("apply_error: query: boom", tostring(err))
      assert.equal("boom", err.value)
    end)

    it("are bad_value when a result cannot be copied", function()
      local heard
      local fn = leader:on("error", function(err) heard = err end)
      local _, err = leader:propose("function")
      assert.equal("bad_value", err.code)
      assert.truthy(err.message:find("f", 1, true))
      assert.equal("unknown", err.outcome)
      helper.wait_until(function() return heard end, nil, "the report")
      leader:off("error", fn)
    end)
  end)

  describe("misuse", function()
    -- The message without its place, which must be this file.
    local function misuse(fn, ...)
      local ok, why = pcall(fn, ...)
      assert.is_false(ok)
      local text, count = tostring(why):gsub("^[^:]*calls_spec.lua:%d+: ", "")
      assert.equal(1, count, tostring(why))
      return text
    end

    it("raises at a command that is no string", function()
      assert.truthy(misuse(function() leader:propose(5) end):find(
        "node:propose: expected the command as a string, got number", 1, true))
    end)

    it("raises at a request that is not plain", function()
      local ok, err = pcall(leader.query, leader, { print })
      assert.is_false(ok)
      assert.equal("bad_value", err.code)
    end)

    it("raises at unknown options and events", function()
      assert.truthy(misuse(function() leader:propose("x", { forwad = true })
        end):find("did you mean forward?", 1, true))
      assert.truthy(misuse(function() leader:read { consistency = "weak" } end)
        :find("consistency", 1, true))
      assert.truthy(misuse(function() leader:on("leadr", print) end)
        :find("there is no event", 1, true))
      assert.truthy(misuse(function() leader:off("x", print) end)
        :find("there is no event", 1, true))
    end)

    it("raises without a colon", function()
      local ok, why = pcall(leader.status)
      assert.is_false(ok)
      assert.truthy(why:find("colon", 1, true))
      ok, why = pcall(leader.propose, "x")
      assert.is_false(ok)
      assert.truthy(why:find("colon", 1, true))
    end)

    it("raises when fields are written", function()
      assert.equal("node.id: read-only",
        misuse(function() leader.id = "x" end))
      assert.equal("node.cluster: read-only",
        misuse(function() leader.cluster = "x" end))
      assert.equal("node.mine: a node takes no fields",
        misuse(function() leader.mine = 1 end))
    end)

    it("raises outside coroutines and names both ways out", function()
      for _, call in ipairs { "propose", "read", "query", "ready" } do
        local ok, why = helper.outside_loop(function()
          return pcall(leader[call], leader, "x")
        end)
        assert.is_false(ok)
        if call == "propose" or call == "query" then
          assert.truthy(why:find("callback", 1, true), why)
          assert.truthy(why:find("coroutine", 1, true), why)
        end
      end
    end)
  end)

  describe("forms of a call", function()
    local calls = {
      propose = { "x" }, query = { "x" }, read = {}, ready = {},
    }

    for name, args in pairs(calls) do
      it(name .. " takes a callback, not called before it returned", function()
        for _, node in ipairs { leader, follower } do
          local answer
          local list = { table.unpack(args) }
          list[#list + 1] = function(...) answer = table.pack(...) end
          assert.is_nil(node[name](node, table.unpack(list)))
          assert.is_nil(answer)
          helper.wait_until(function() return answer end, nil, "the callback")
          assert.is_nil(answer[1])
          assert.equal(2, answer.n)
          assert.truthy(answer[2])
        end
      end)

      it(name .. " takes options and a callback", function()
        local answer
        local list = { table.unpack(args) }
        list[#list + 1] = { timeout = 3000 }
        list[#list + 1] = function(...) answer = table.pack(...) end
        leader[name](leader, table.unpack(list))
        helper.wait_until(function() return answer end, nil, "the callback")
        assert.is_nil(answer[1])
      end)

      it(name .. " takes false: nobody waits", function()
        local list = { table.unpack(args) }
        list[#list + 1] = false
        assert.is_nil(follower[name](follower, table.unpack(list)))
        assert.is_true(follower:read())
      end)
    end

    it("stale reads answer at once, and never inside the call", function()
      local answer
      leader:read({ consistency = "stale" }, function() answer = true end)
      assert.is_nil(answer)
      assert.is_true(leader:read { consistency = "stale" })
      helper.wait_until(function() return answer end, nil, "the callback")
    end)

    it("reports errors that nobody waits for", function()
      local heard
      local fn = follower:on("error", function(err) heard = err end)
      follower:propose("x", { forward = false }, false)
      helper.wait_until(function() return heard end, nil, "the error event")
      follower:off("error", fn)
      assert.equal("not_leader", heard.code)
    end)

    it("reports what a callback raises, and goes on", function()
      local heard
      local fn = leader:on("error", function(err) heard = err end)
      leader:propose("x", function() error("in my callback", 0) end)
      helper.wait_until(function() return heard end, nil, "the error event")
      leader:off("error", fn)
      assert.equal("apply_error", heard.code)
      assert.equal("in my callback", heard.value)
      assert.equal("callback of node:propose", heard.where)
    end)
  end)

  it("answers not_leader with forward = false", function()
    local result, err = follower:propose("x", { forward = false })
    local id = cluster:leader().id
    assert.is_nil(result)
    assert.equal("not_leader", err.code)
    assert.equal(id, err.leader)
    assert.equal(cluster.members[id], err.address)
    assert.equal("none", err.outcome)
    assert.is_true(err.retry)
    assert.truthy(leader:propose("x", { forward = false }))
  end)

  it("hands out tokens that order reads elsewhere", function()
    local count = leader:propose("token")
    local token = leader:token()
    assert.equal("string", type(token))
    local seen = follower:query(nil, { at_least = token,
      consistency = "stale" })
    assert.truthy(#seen >= count)
    assert.is_true(follower:read { at_least = token })
    local _, err = follower:read { at_least = "r1:x" }
    assert.equal("bad_value", err.code)
    _, err = follower:read { at_least = "r1:999999999", timeout = 30 }
    assert.equal("timeout", err.code)
  end)

  it("covers what was read by the token, too", function()
    leader:propose("one more")
    local seen = #follower:query()
    local third = cluster:followers()[2]
    local there = third:query(nil, { at_least = follower:token() })
    assert.truthy(#there >= seen)
    assert.truthy(tonumber(follower:token():match("%d+$"))
      >= tonumber(leader:token():match("%d+$")))
  end)

  it("tells what it knows of the cluster", function()
    local id = leader.id
    assert.same({ id, cluster.members[id] }, { follower:leader() })
    assert.is_true(leader:is_leader())
    assert.is_false(follower:is_leader())
    local members = follower:members()
    for name, address in pairs(cluster.members) do
      assert.same({ address = address, role = "voter", priority = 0 },
        members[name])
    end
    members.n1 = nil
    assert.truthy(follower:members().n1)
  end)

  it("has a status with everything in it", function()
    local status = leader:status()
    assert.equal(leader.id, status.id)
    assert.equal("default", status.cluster)
    assert.equal("running", status.state)
    assert.is_true(status.formed)
    assert.equal("leader", status.role)
    assert.equal(leader.id, status.leader)
    assert.equal(cluster.members[leader.id], status.address)
    assert.equal(cluster.members[leader.id], status.listen)
    assert.equal(raft._VERSION, status.version)
    assert.equal("majority", status.quorum)
    assert.equal(0, status.pending)
    assert.same(leader:members(), status.members)
    for _, name in ipairs { "term", "commit", "applied", "first", "last",
      "snapshot", "disk_ms", "loop_lag_ms", "uptime" } do
      assert.equal("number", type(status[name]), name)
    end
    assert.truthy(status.applied > 0)
    for _, id in ipairs(cluster.ids) do
      local peer = status.peers[id]
      assert.equal(id ~= leader.id, peer ~= nil)
      if peer then
        assert.truthy(peer.match > 0 and peer.next > peer.match)
        assert.equal("replicate", peer.state)
        assert.equal("number", type(peer.lag))
      end
    end
    assert.same({}, follower:status().peers)
  end)

  it("says what it is", function()
    assert.equal("raft.node " .. leader.id .. " (running)", tostring(leader))
    assert.equal("default", leader.cluster)
    assert.equal("raft.node", getmetatable(leader).__name)
  end)
end)
