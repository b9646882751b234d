-- What the page promises of status, members, leader, and of the events: names,
-- arguments, order. In virtual time.
local raft = require "raft"
local sim = require "raft.sim"

local WAIT <const> = { timeout = 20000 }

local EVENTS <const> = { "role", "leader", "membership", "applied", "snapshot",
  "diverged", "drain", "warning", "error", "failed", "closed" }

local function machine()
  local list = {}
  return {
    apply = function(command)
      list[#list + 1] = command
      return #list
    end,
    snapshot = function() return raft.codec.encode(list) end,
    restore = function(bytes) list = assert(raft.codec.decode(bytes)) end,
  }
end

-- Three nodes, and all that n1 was told: story(s, heard).
local function cluster(story, options)
  local heard = {}
  local given = { seed = 31, nodes = 3, node = function(id)
    local made = machine()
    made.on = {}
    for _, name in ipairs(EVENTS) do
      made.on[name] = id == "n1" and function(...)
        heard[#heard + 1] = { name, ... }
      end or nil
    end
    return made
  end }
  for name, value in pairs(options or {}) do given[name] = value end
  local s <close> = sim.new(given)
  s:run(function()
    assert(s:client():propose("x"))
    for i = 1, 3 do assert(s:node("n" .. i):ready(WAIT)) end
    story(s, heard)
  end)
end

local function of(heard, name)
  local found = {}
  for _, event in ipairs(heard) do
    if event[1] == name then found[#found + 1] = event end
  end
  return found
end

describe("node:status", function()
  it("has all that the page names, on every node and in every state",
    function()
      local fields = { id = "string", cluster = "string", state = "string",
        formed = "boolean", role = "string", term = "number",
        listen = "string", commit = "number", applied = "number",
        first = "number", last = "number", snapshot = "number",
        members = "table", quorum = "string", peers = "table",
        pending = "number", disk_ms = "number", loop_lag_ms = "number",
        uptime = "number", version = "string" }
      cluster(function(s)
        for i = 1, 3 do
          local status = s:node("n" .. i):status()
          for name, kind in pairs(fields) do
            assert.equal(kind, type(status[name]), name)
          end
          assert.equal("running", status.state)
          assert.equal(s:leader(), status.leader)
          assert.equal("n" .. i == s:leader() and "leader" or "follower",
            status.role)
          assert.equal(s.members[s:leader()].address, status.address)
        end
        fields.listen = nil
        local node = raft.node { id = "n1", volatile = true, log = false,
          members = { n1 = "127.0.0.1:7101" }, apply = function() end }
        for _, state in ipairs { "new", "closed" } do
          local status = node:status()
          assert.equal(state, status.state)
          for name, kind in pairs(fields) do
            assert.equal(kind, type(status[name]), state .. " " .. name)
          end
          node:close()
        end
      end)
    end)

  it("knows where the log stood when the node is over", function()
    cluster(function(s)
      local node = s:node("n1")
      local before = node:status()
      node:close()
      local after = node:status()
      assert.equal("closed", after.state)
      for _, name in ipairs { "term", "applied", "commit", "first", "last",
        "snapshot" } do
        assert.equal(before[name], after[name], name)
      end
    end)
  end)

  it("shows a leader its peers, and followers none", function()
    cluster(function(s)
      for i = 1, 3 do
        local id = "n" .. i
        local status = s:node(id):status()
        local count = 0
        for peer, seen in pairs(status.peers) do
          count = count + 1
          assert.not_equal(id, peer)
          assert.equal(status.last - seen.match, seen.lag)
          assert.is_true(seen.next > seen.match)
          assert.equal("string", type(seen.state))
        end
        assert.equal(id == s:leader() and 2 or 0, count)
      end
    end)
  end)

  it("is a copy", function()
    cluster(function(s)
      local node = s:node("n1")
      node:status().members.n2 = nil
      node:members().n3.address = "elsewhere"
      assert.is_not_nil(node:status().members.n2)
      assert.not_equal("elsewhere", node:members().n3.address)
    end)
  end)
end)

describe("a time-out", function()
  -- It told of a directory that had been refused once, and was let in since.
  it("says why nothing moves, and not what was refused before", function()
    cluster(function(s)
      local leader = s:leader()
      local victim = leader == "n3" and "n2" or "n3"
      s:wipe(victim)
      s:restart(victim)
      assert(s:wait(function()
        return s.members[victim].failure
      end, 20000))
      assert.is_true(s:node(leader):remove(victim, WAIT))
      s:crash(victim)
      s:restart(victim)
      assert.is_true(s:node(leader):add(victim, s.members[victim].address,
        WAIT))
      s:partition({ leader })
      assert(s:wait(function()
        return not s:node(leader):leader()
      end, 10000))
      local _, err = s:node(leader):propose("y", { timeout = 100 })
      assert.equal("timeout: no answer in time: no leader is known",
        tostring(err))
    end, { may_fail = true })
  end)
end)

describe("node:members", function()
  it("has the shape of the option", function()
    cluster(function(s)
      assert.same({ address = s.members.n2.address, role = "voter",
        priority = 0 }, s:node("n1"):members().n2)
    end)
  end)
end)

describe("the event", function()
  it("role(role, term): each step of an election", function()
    cluster(function(s, heard)
      if s:leader() ~= "n1" then assert(s:node("n1"):transfer("n1")) end
      assert(s:wait(function()
        local roles = of(heard, "role")
        return #roles > 0 and roles[#roles][2] == "leader"
      end, 5000))
      local known = { follower = true, pre_candidate = true,
        candidate = true, leader = true }
      local term = 0
      for _, event in ipairs(of(heard, "role")) do
        assert.is_true(known[event[2]], event[2])
        assert.is_true(event[3] >= term)
        term = event[3]
      end
      assert.equal(s:node("n1"):status().term, term)
    end)
  end)

  it("leader(id or nil, address, term)", function()
    cluster(function(s, heard)
      local id = s:leader()
      local known = of(heard, "leader")
      local last = known[#known]
      assert.same({ "leader", id, s.members[id].address,
        s:node("n1"):status().term }, last)
      s:partition({ "n1" })
      assert(s:wait(function()
        local events = of(heard, "leader")
        return events[#events][2] == nil
      end, 10000))
      local events = of(heard, "leader")
      assert.is_nil(events[#events][3])
      assert.equal("number", type(events[#events][4]))
    end)
  end)

  it("membership(members, index), a copy", function()
    cluster(function(s, heard)
      assert(s:node("n1"):change({ n2 = { priority = 3 } }, WAIT))
      assert(s:wait(function() return #of(heard, "membership") > 1 end, 5000))
      local events = of(heard, "membership")
      assert.equal(1, events[1][3])
      assert.equal(0, events[1][2].n2.priority)
      assert.equal(3, events[#events][2].n2.priority)
      assert.is_true(events[#events][3] > 1)
    end)
  end)

  it("applied(index) once a batch, rising", function()
    cluster(function(s, heard)
      for i = 1, 5 do assert(s:node("n1"):propose("c" .. i)) end
      local index = 0
      for _, event in ipairs(of(heard, "applied")) do
        assert.is_true(event[2] > index)
        index = event[2]
      end
      assert.is_true(index >= 6)
    end)
  end)

  it("snapshot(info), of one that was taken and of one that came", function()
    cluster(function(s, heard)
      local info = assert(s:node("n1"):take_snapshot())
      assert(s:wait(function() return #of(heard, "snapshot") == 1 end, 1000))
      assert.same(info, of(heard, "snapshot")[1][2])
    end)
  end)

  it("closed() comes last, once", function()
    cluster(function(s, heard)
      s:node("n1"):on("closed", function() heard[#heard + 1] = { "mine" } end)
      s:node("n1"):close()
      assert(s:wait(function() return #of(heard, "closed") == 1 end, 1000))
      s:sleep(100)
      assert.equal("mine", heard[#heard][1])
      assert.equal("closed", heard[#heard - 1][1])
      assert.equal(1, #heard[#heard - 1])
    end)
  end)

  it("of an unknown name raises, and names those there are", function()
    local node = raft.node { id = "n1", volatile = true, log = false,
      members = { n1 = "127.0.0.1:7101" }, apply = function() end }
    local ok, why = pcall(node.on, node, "rol", function() end)
    assert.is_false(ok)
    for _, name in ipairs(EVENTS) do
      assert.is_truthy(why:find(name, 1, true), name)
    end
  end)

  it("is heard until off, and on returns what off wants", function()
    cluster(function(s)
      local count = 0
      local node = s:node("n1")
      local function fn() count = count + 1 end
      assert.equal(fn, node:on("applied", fn))
      assert(node:propose("y"))
      assert(s:wait(function() return count > 0 end, 1000))
      assert.is_true(node:off("applied", fn))
      s:sleep(10)
      local before = count
      assert(node:propose("z"))
      s:sleep(10)
      assert.equal(before, count)
      assert.is_false(node:off("applied", fn) == true)
    end)
  end)
end)
