-- raft.client against whole clusters, in virtual time.
local limits = require "raft.client.limits"
local plain = require "raft.plain"
local raft = require "raft"
local sim = require "raft.sim"

-- A table that can just be copied.
local function deep()
  local value = {}
  for _ = 2, plain.DEPTH_MAX do value = { value } end
  return value
end

-- A list that is replicated: what was applied, in order.
local function list()
  local items = {}
  return {
    apply = function(command)
      if command == "no" then return nil, "I will not" end
      if command == "boom" then error("boom", 0) end
      if command == "deep" then error(deep(), 0) end
      items[#items + 1] = command
      return #items
    end,
    query = function(request)
      if request == "boom" then error("boom", 0) end
      return { table.concat(items, " "), request }
    end,
    snapshot = function() return table.concat(items, " ") end,
    restore = function(bytes)
      items = {}
      for item in bytes:gmatch("%S+") do items[#items + 1] = item end
    end,
  }
end

local function on_cluster(options, fn)
  options.node = options.node or list
  options.seed = options.seed or 1
  local s <close> = sim.new(options)
  s:run(function() fn(s) end)
  assert(s:check())
end

local function others(s)
  local ids = {}
  for _, id in ipairs(s.ids) do
    if id ~= s:leader() then ids[#ids + 1] = id end
  end
  return ids
end

-- What the cluster has applied, as one string.
local function applied(client)
  return (assert(client:query("")))[1]
end

describe("raft.client", function()
  it("answers as a node does", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      assert.equal(1, c:propose("a"))
      assert.equal(2, c:propose("b"))
      local _, err = c:propose("no")
      assert.equal("refused", err.code)
      assert.equal("I will not", err.value)
      _, err = c:propose("boom")
      assert.equal("apply_error", err.code)
      assert.equal("boom", err.value)
      _, err = c:propose("deep")
      assert.equal("apply_error", err.code)
      assert.same({ "a b", 7 }, c:query(7))
      _, err = c:query("boom")
      assert.equal("apply_error", err.code)
      assert.equal("none", err.outcome)
      assert.is_true(c:ready())
      assert.is_true(c:read())
      assert.same({ "n1", "n2", "n3" }, { next(c:members()) and "n1",
        c:members().n2 and "n2", c:members().n3 and "n3" })
    end)
  end)

  it("applies what was called for in call order, all at once", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      local results, words = {}, {}
      for i = 1, 3000 do
        words[i] = "w" .. i
        c:propose(words[i], function(err, n)
          assert(not err, tostring(err))
          results[#results + 1] = n
        end)
      end
      assert(s:wait(function() return #results == 3000 end))
      for i = 1, 3000 do assert.equal(i, results[i]) end
      assert.equal(table.concat(words, " "), applied(c))
    end)
  end)

  it("finds its way when the leader dies, and applies once", function()
    for seed = 1, 5 do
      on_cluster({ nodes = 5, seed = seed }, function(s)
        local c <close> = s:client()
        assert(c:propose("first"))
        local done, words = 0, { "first" }
        for i = 1, 200 do
          words[#words + 1] = "w" .. i
          c:propose("w" .. i, { timeout = 20000 }, function(err)
            assert(not err, tostring(err))
            done = done + 1
          end)
          if i % 50 == 0 then
            s:sleep(5)
            local leader = s:leader()
            if leader then s:crash(leader) end
            s:sleep(1500)
            if leader then s:restart(leader) end
          end
        end
        assert(s:wait(function() return done == 200 end))
        assert.equal(table.concat(words, " "), applied(c))
      end)
    end
  end)

  it("does not wait for a machine that is off", function()
    for seed = 40, 50 do
      on_cluster({ nodes = 5, seed = seed }, function(s)
        local c <close> = s:client()
        assert(c:propose("a"))
        s:crash(s:leader())
        assert.equal("a", applied(c))  -- within the default time
      end)
    end
  end)

  it("reaches a leader that it cannot reach, through another node", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      assert(c:propose("a"))
      local leader = s.members[s:leader()]
      s.network:cut(c.ip, leader.ip)
      s.network:cut(leader.ip, c.ip)
      assert.equal(2, assert(c:propose("b", { timeout = 20000 })))
      assert.equal(leader.id, s:leader())
      s.network:heal()
      s:sleep(5000)
      assert.equal(3, assert(c:propose("c")))
    end)
  end)

  it("learns of members that it was not told of", function()
    on_cluster({ nodes = 5, initial = 3 }, function(s)
      local c <close> = s:client()
      assert(c:propose("a"))
      for _, id in ipairs { "n4", "n5" } do
        assert(c:add(id, s.members[id].address))
      end
      for _, id in ipairs { "n1", "n2" } do assert(c:remove(id)) end
      assert(c:propose("b"))
      s:crash("n1")
      s:crash("n2")
      if s:leader() == "n3" then assert(c:transfer("n4")) end
      assert(s:wait(function() return s:leader() and s:leader() ~= "n3" end))
      assert(c:remove("n3"))
      s:crash("n3")
      assert.equal(3, assert(c:propose("c", { timeout = 20000 })))
    end)
  end)

  it("asks single nodes", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      assert(c:propose("a"))
      for _, id in ipairs(s.ids) do
        local status = assert(c:status(id))
        assert.equal(id, status.id)
        assert.equal(id == s:leader() and "leader" or "follower", status.role)
      end
      local info = assert(c:take_snapshot(others(s)[1]))
      assert.is_true(info.index > 0)
      local _, err = c:status("n9")
      assert.equal("bad_membership", err.code)
      s:crash(others(s)[1])
      _, err = c:status(others(s)[1], { timeout = 500 })
      assert.equal("unknown", err.outcome)
    end)
  end)

  it("asks single nodes within the time that it was given", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      local first = s.ids[1]
      s:pause(first)  -- it is dialed first, and for itself
      local before = s:now()
      local _, err = c:status(first, { timeout = 4000 })
      assert.equal("timeout", err.code)
      assert.is_true(s:now() - before <= 4100)
      s:resume(first)
    end)
  end)

  it("waits for a single node whose pings are rare", function()
    on_cluster({ nodes = 1, disk = { sync = { 7000, 7000 } }, node = function()
      local options = list()
      options.election_timeout = { 20000, 40000 }
      return options
    end }, function(s)
      local c <close> = s:client()
      assert(c:propose("a", { timeout = 200000 }))
      local before = s:now()
      assert(c:take_snapshot("n1", { timeout = 60000 }))
      assert.is_true(s:now() - before > 5000)
    end)
  end)

  it("has tokens that other nodes honour", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      for i = 1, 20 do
        assert(c:propose("w" .. i))
        local token = c:token()
        for _, id in ipairs(others(s)) do
          local seen = assert(s:node(id):query("", { at_least = token,
            consistency = "stale" }))
          assert.truthy(seen[1]:find("w" .. i, 1, true))
        end
      end
    end)
  end)

  it("says whether it was sent when its time is over", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      for _, id in ipairs(s.ids) do s:crash(id) end
      local _, err = c:propose("a", { timeout = 300 })
      assert.equal("timeout", err.code)
      assert.equal("unknown", err.outcome)  -- as of every time-out
      assert.matches("never sent: .*10%.0%.0%.%d:7100", err.message)
      for _, id in ipairs(s.ids) do s:restart(id) end
      assert(c:propose("b", { timeout = 20000 }))
      s:partition({ s:leader() }, others(s))
      _, err = c:propose("c", { timeout = 30 })
      assert.equal("timeout", err.code)
      assert.not_matches("never sent", err.message)
    end)
  end)

  it("answers from any node what may be stale, without a leader", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      assert(c:propose("a"))
      s:crash(others(s)[1])
      s:crash(others(s)[2])
      assert(s:wait(function() return not s:leader() end))
      local seen = assert(c:query("", { consistency = "stale",
        timeout = 10000 }))
      assert.equal("a", seen[1])
      local _, err = c:query("", { timeout = 1000 })
      assert.equal("timeout", err.code)
    end)
  end)

  it("opens another session where its own has expired", function()
    on_cluster({ nodes = 3 }, function(s)
      local c, other = s:client("c", { session_ms = 10000 }), s:client()
      assert(c:propose("a"))
      c.loop:pause()
      for _ = 1, 14 do  -- the log's time goes by only with entries
        s:sleep(1000)
        assert(other:propose("tick"))
      end
      c.loop:resume()
      s:sleep(5000)
      assert.equal(16, assert(c:propose("b", { timeout = 20000 })))
      assert.equal(17, assert(c:propose("c")))
    end)
  end)

  it("keeps a session that is not used", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client("c", { session_ms = 6000 })
      assert(c:propose("a"))
      s:sleep(20000)
      local kept = s.members[s:leader()].driver.kept.sessions
      assert.equal(1, kept.count)
      assert.equal(2, assert(c:propose("b")))
      c:close()
      s:sleep(100)
      assert.equal(0, kept.count)
    end)
  end)

  it("ends at once when it is closed", function()
    on_cluster({ nodes = 3 }, function(s)
      local c = s:client()
      assert(c:propose("a"))
      for _, id in ipairs(s.ids) do s:crash(id) end
      local codes = {}
      c:propose("b", function(err) codes[#codes + 1] = err.code end)
      s:sleep(10)
      c:close()
      c:close()
      c:query("", function(err) codes[#codes + 1] = err.code end)
      s:sleep(10)
      assert.same({ "closed", "closed" }, codes)
    end)
  end)

  it("refuses what is too large, and goes on with the rest", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      local large, told = ("x"):rep(3 << 20), {}
      for _, size in ipairs { #large, (1 << 20) + 1 } do
        local _, err = c:propose(large:sub(1, size))
        assert.equal("too_large none", err.code .. " " .. err.outcome)
        assert.same({ size, 1 << 20 }, { err.size, err.max })
      end
      c:query(large, function(err) told[1] = err.code end)
      c:propose("a", function(_, n) told[2] = n end)
      assert.equal("ax", c:query("x")[1] .. "x")
      assert.same({ "too_large", 1 }, told)
      assert.equal(2, c:propose(large:sub(1, 1 << 20)))
    end)
  end)

  it("waits as long as it was told to", function()
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client "c"
      assert(c:propose("a"))
      local cut_off = others(s)
      s:partition({ s:leader() }, cut_off)
      for _, id in ipairs(cut_off) do s:cut("c", id) end
      local told
      c:query("", { timeout = false }, function(_, seen) told = seen[1] end)
      s:sleep(200000)
      assert.is_nil(told)
      s:heal()
      assert(s:wait(function() return told end))
    end)
  end)

  it("is told that an answer is too large to be sent", function()
    local max = limits.ANSWER_BYTES_MAX
    finally(function() limits.ANSWER_BYTES_MAX = max end)
    limits.ANSWER_BYTES_MAX = 2000
    on_cluster({ nodes = 3 }, function(s)
      local c <close> = s:client()
      local _, err = c:query(("x"):rep(3000))
      assert.equal("too_large", err.code)
      assert.equal(2000, err.max)
      assert.is_true(err.size > 3000)
      assert.equal(1, c:propose("a"))
    end)
  end)

  it("is told of another cluster at once", function()
    on_cluster({ nodes = 1, node = function()
      local options = list()
      options.cluster = "other"
      return options
    end }, function(s)
      local c <close> = s:client()
      local before = s:now()
      local _, err = c:propose("a")
      assert.equal("cluster_mismatch", err.code)
      assert.equal("none", err.outcome)
      assert.is_true(s:now() - before < 1000)
    end)
  end)
end)

describe("raft.client's options", function()
  local function message(options)
    local ok, why = pcall(raft.client, options)
    assert.is_false(ok)
    return why
  end

  it("are checked, and the path is named", function()
    assert.matches("members: expected a list", message {})
    assert.matches("members%[2%]: expected", message { members = {
      "127.0.0.1:7101", "nonsense" } })
    assert.matches("cluster: ", message { members = { "127.0.0.1:1" },
      cluster = "no spaces" })
    assert.matches("timeout: ", message { members = { "127.0.0.1:1" },
      timeout = "long" })
    assert.matches("max_pending_byte: unknown option", message {
      members = { "127.0.0.1:1" }, max_pending_byte = 1 })
  end)

  it("take a list, or the node's map", function()
    for _, members in ipairs { { "127.0.0.1:7101" },
      { n1 = "127.0.0.1:7101", n2 = { address = "127.0.0.1:7102" } } } do
      local client <close> = raft.client { members = members }
      assert.equal("raft.client of default", tostring(client))
    end
  end)
end)
