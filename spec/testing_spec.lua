-- raft.testing: what a user's spec is given. Most of it outside the loop, where
-- a plain `it` of busted stands.
local helper = require "spec.support.helper"
local raft = require "raft"
local stderr_of = require "spec.support.stderr"
local testing = require "raft.testing"
local uv = require "luv"

-- A counter, with how often it was made in `made`.
local function counter(made)
  return function(id)
    local total = 0
    made = made or {}
    made[id] = (made[id] or 0) + 1
    return {
      apply = function(command)
        total = total + math.tointeger(tonumber(command))
        return total
      end,
      query = function() return total end,
      snapshot = function() return tostring(total) end,
      restore = function(bytes) total = math.tointeger(tonumber(bytes)) end,
    }
  end
end

local function is_there(path) return uv.fs_stat(path) ~= nil end

local function port_of(address) return tonumber(address:match(":(%d+)$")) end

-- Can a program that knows nothing of the cluster have this port?
local function is_taken(port)
  local tcp = assert(uv.new_tcp())
  local ok = tcp:bind("127.0.0.1", port) and tcp:listen(1, function() end)
  tcp:close()
  return not ok
end

-- The message without the place, which must be in this file.
local function misuse(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  local text, count = why:gsub("^[^:]*testing_spec.lua:%d+: ", "")
  assert.equal(1, count, why)
  return text
end

describe("testing.cluster", function()
  it("is ready, and agrees, on ports and in directories of its own", function()
    local made = {}
    local cluster <close> = testing.cluster { node = counter(made) }
    assert.same({ "n1", "n2", "n3" }, cluster:ids())
    assert.same({ n1 = 1, n2 = 1, n3 = 1 }, made)
    assert(cluster:ready())
    assert.equal(5, cluster:node("n2"):propose("5"))
    for _, id in ipairs(cluster:ids()) do
      assert.equal(5, cluster:node(id):query())
      assert.is_true(is_there(cluster:dir(id)))
      assert.is_true(is_taken(port_of(cluster:addresses()[id])))
    end
    local leader = cluster:leader()
    assert.is_true(cluster:node(leader):is_leader())
    assert.equal("leader", cluster:status()[leader].role)
    assert.matches("n1 running, n2 running, n3 running", tostring(cluster))
  end)

  it("takes ids, and options of each node", function()
    local cluster <close> = testing.cluster { nodes = { "a", "b" },
      node = function(id)
        return { volatile = id == "a", apply = function() return id end,
          query = function() return id end }
      end }
    assert(cluster:ready())
    assert.equal("b", cluster:node("b"):propose("x"))
    assert.is_false(is_there(cluster:dir("a")))
  end)

  it("goes on without one that was killed, which comes back", function()
    local made = {}
    local cluster <close> = testing.cluster { node = counter(made) }
    assert(cluster:ready())
    assert.equal(5, cluster:node("n1"):propose("5"))
    local killed = cluster:leader()
    local address = cluster:addresses()[killed]
    cluster:kill(killed)
    cluster:kill(killed)  -- no harm
    assert.equal("closed", cluster:node(killed):status().state)
    local leader = assert(cluster:wait(function() return cluster:leader() end))
    assert.are_not.equal(killed, leader)
    assert.equal(11, cluster:node(leader):propose("6"))
    assert(cluster:ready())

    local node = assert(cluster:restart(killed))
    assert.equal(node, cluster:node(killed))
    assert.equal(2, made[killed])
    assert(cluster:ready())
    assert.equal(11, node:query())
    assert.equal(address, cluster:addresses()[killed])
    assert.equal(address, node:status().listen)
  end)

  it("keeps what was acknowledged when all are killed at once", function()
    local cluster <close> = testing.cluster { node = counter() }
    assert(cluster:ready())
    for i = 1, 20 do assert(cluster:node("n1"):propose(tostring(i))) end
    for _, id in ipairs(cluster:ids()) do cluster:kill(id) end
    for _, id in ipairs(cluster:ids()) do assert(cluster:restart(id)) end
    assert(cluster:ready())
    for _, id in ipairs(cluster:ids()) do
      assert.equal(210, cluster:node(id):query())
    end
  end)

  it("restarts one in the middle of its writes, again and again", function()
    local cluster <close> = testing.cluster { nodes = 1, node = counter() }
    local acknowledged = 0
    for _ = 1, 10 do
      assert(cluster:ready())
      local node = cluster:node("n1")
      acknowledged = assert(node:propose("1"))
      for _ = 1, 50 do node:propose("1", function() end) end
      raft.sleep(1)
      assert(cluster:restart("n1"))  -- up to now, so it is killed
    end
    assert(cluster:ready())
    assert.is_true(cluster:node("n1"):query() >= acknowledged)
  end)

  it("stops a node in order", function()
    local cluster <close> = testing.cluster { node = counter() }
    assert(cluster:ready())
    local leader = cluster:leader()
    assert(cluster:stop(leader, { timeout = 5000 }))
    assert.equal("closed", cluster:node(leader):status().state)
    assert(cluster:wait(function() return cluster:leader() end))
  end)

  it("keeps the port of a node that is down", function()
    local cluster <close> = testing.cluster { nodes = 2, node = counter() }
    local port = port_of(cluster:addresses().n1)
    cluster:kill("n1")
    local is_held = false
    uv.walk(function(handle)
      local name = handle:get_type() == "tcp" and handle:getsockname()
      if name and name.port == port then is_held = true end
    end)
    assert.equal(uv.os_uname().sysname == "Linux", is_held)
    assert.is_false(is_taken(port))  -- nobody listens
    assert(cluster:restart("n1"))
    assert(cluster:ready())
  end)

  it("has a client", function()
    if not raft.client then
      return pending("raft.client is not there yet")
    end
    local cluster <close> = testing.cluster { node = counter() }
    local client = cluster:client()
    assert.equal(5, client:propose("5"))
    cluster:kill(cluster:leader())
    assert.equal(11, client:propose("6"))
  end)
end)

describe("cluster:wait", function()
  it("gives what the predicate gave, or its error, or timeout", function()
    local cluster <close> = testing.cluster { nodes = 1, node = counter() }
    local looks = 0
    assert.equal(3, cluster:wait(function()
      looks = looks + 1
      return looks >= 3 and looks
    end))
    local value, err = cluster:wait(function() return false end, 10)
    assert.is_nil(value)
    assert.equal("timeout", err.code)
    assert.equal("waited 10 ms in vain", err.message)
    value, err = cluster:wait(function() error("oh", 0) end)
    assert.is_nil(value)
    assert.equal("apply_error: predicate of cluster:wait: oh", tostring(err))
    local heard
    cluster:wait(function() return 7 end, 50, function(_, it) heard = it end)
    helper.wait_until(function() return heard end)
    assert.equal(7, heard)
    assert.equal("cluster:wait: expected a function, got nil",
      misuse(function()
        local none = cluster:wait()
        return none
      end))
  end)

  it("ends with the cluster", function()
    local cluster = testing.cluster { nodes = 1, node = counter() }
    local answers = {}
    cluster:wait(function() return false end, function(err)
      answers[#answers + 1] = err.code
    end)
    cluster:close()
    assert.equal("closed", select(2, cluster:wait(function() end)).code)
    assert.equal("closed", select(2, cluster:restart("n1")).code)
    assert.equal("closed", select(2, cluster:ready()).code)
    helper.wait_until(function() return answers[1] end)
    assert.same({ "closed" }, answers)
  end)
end)

describe("the end of a testing.cluster", function()
  -- Of a cluster that has something under way on its disks.
  local function busy_cluster()
    local cluster = testing.cluster { node = counter() }
    return cluster, cluster:dir("n1"):match("^(.*)/")
  end

  it("leaves no file and no handle, also when the test fails", function()
    local path
    local ok, why = pcall(function()
      local cluster <close>, dir = busy_cluster()
      path = dir
      assert(cluster:ready())
      for _ = 1, 50 do cluster:node("n1"):propose("1", function() end) end
      error("the test failed", 0)
    end)
    assert.is_false(ok)
    assert.equal("the test failed", why)
    assert.is_false(is_there(path))
  end)

  it("may come twice, from a callback, and with no loop running", function()
    local cluster, path = busy_cluster()
    local is_done = false
    local timer = uv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      cluster:close()
      cluster:close()
      is_done = true
    end)
    helper.wait_until(function() return is_done and not is_there(path) end)

    local other, other_path
    helper.outside_loop(function()
      other, other_path = busy_cluster()
      testing.run(function() assert(other:ready()) end)
      other:close()
      assert(not is_there(other_path))
    end)
  end)

  it("comes when a start fails, which is raised", function()
    local made = 0
    local before = {}
    for name in uv.fs_scandir_next, uv.fs_scandir(uv.os_tmpdir()) do
      before[name] = true
    end
    local ok, err = pcall(testing.cluster, { node = function()
      made = made + 1
      return { aply = function() end }
    end })
    assert.is_false(ok)
    assert.matches("aply: unknown option, did you mean apply%?", tostring(err))
    assert.equal(1, made)
    for name in uv.fs_scandir_next, uv.fs_scandir(uv.os_tmpdir()) do
      local is_new = name:find("^raft%-testing%-") and not before[name]
      assert.is_falsy(is_new, name)
    end
  end)
end)

describe("testing.cluster, used wrongly,", function()
  it("names what is wrong, and blames the caller", function()
    assert.equal("raft.testing.cluster: node: expected a function(id) that "
      .. "returns the options of a node, got nil",
      misuse(function() return (testing.cluster {}) end))
    for nodes, words in pairs { [0] = "an integer from 1 to 32 (nodes), got 0",
      ["3"] = 'an integer from 1 to 32 (nodes), got "3"' } do
      assert.equal("raft.testing.cluster: nodes: expected " .. words,
        misuse(function()
          return (testing.cluster { nodes = nodes, node = counter() })
        end))
    end
    assert.equal('raft.testing.cluster: nodes[2]: "a" twice', misuse(function()
      return (testing.cluster { nodes = { "a", "a" }, node = counter() })
    end))
  end)

  it("says which options are its own", function()
    for _, name in ipairs { "id", "members", "dir", "listen", "uv" } do
      local ok, why = pcall(testing.cluster, { node = function()
        return { [name] = "x", apply = function() end }
      end })
      assert.is_false(ok)
      assert.equal(('raft.testing: node("n1"): %s is given by the cluster')
        :format(name), why)
    end
    local _, why = pcall(testing.cluster, { node = function() end })
    assert.equal('raft.testing: node("n1"): expected a table of options, got '
      .. "nil", why)
  end)

  it("says which nodes there are", function()
    local cluster <close> = testing.cluster { nodes = 2, node = counter() }
    for _, call in ipairs { "node", "dir", "kill", "stop", "restart" } do
      assert.equal(("cluster:%s: no such node: \"n3\" (there are n1, n2)")
        :format(call), misuse(function()
          local value = cluster[call](cluster, "n3")
          return value
        end))
      assert.matches("no such node: nil", misuse(function()
        local value = cluster[call](cluster)
        return value
      end))
    end
  end)
end)

describe("testing.run", function()
  it("hands on results, and runs what waits", function()
    local results = helper.outside_loop(function()
      return table.pack(testing.run(function()
        assert(raft.sleep(1))
        return 1, nil, 3
      end))
    end)
    assert.same({ n = 3, 1, nil, 3 }, results)
  end)

  it("hands on errors: strings with a traceback, others as they are", function()
    helper.outside_loop(function()
      local ok, why = pcall(testing.run, function() error("oh") end)
      assert(not ok and why:find("testing_spec.lua:%d+: oh\nstack traceback"))
      local value = {}
      ok, why = pcall(testing.run, function() error(value) end)
      assert(not ok and why == value)
    end)
  end)

  it("ends what hangs, says where, and closes what it had", function()
    local path
    helper.outside_loop(function()
      local ok, err = pcall(testing.run, function()
        local cluster <close> = testing.cluster { node = counter() }
        path = cluster:dir("n1"):match("^(.*)/")
        cluster:wait(function() return false end, { timeout = false })
      end, { timeout = 300 })
      assert(not ok and err.code == "timeout", tostring(err))
      assert(err.message:find("not done after 300 ms", 1, true))
      assert(err.message:find("testing_spec.lua", 1, true))
    end)
    assert.is_false(is_there(path))
  end)

  it("leaves nodes alone that were there before", function()
    helper.outside_loop(function()
      local cluster <close> = testing.cluster { node = counter() }
      testing.run(function() assert(cluster:ready()) end)
      testing.run(function()
        assert(cluster:node("n1"):propose("5") == 5)
      end)
    end)
  end)

  it("ends what was spawned", function()
    local task
    local text = stderr_of(function()
      helper.outside_loop(function()
        testing.run(function()
          task = raft.spawn(function() raft.sleep(60000) end)
        end)
      end)
    end)
    assert.equal("", text)
    assert.is_true(task:is_done())
  end)

  it("raises when a node failed", function()
    helper.outside_loop(function()
      local ok, err = pcall(testing.run, function()
        local cluster <close> = testing.cluster { nodes = 1, node = function()
          return { apply = function() error("not enough memory", 0) end }
        end }
        assert(cluster:ready())
        cluster:node("n1"):propose("x")
      end)
      assert(not ok and err.code == "failed", tostring(err))
    end)
  end)

  it("runs what docs/API.md shows", function()
    local file <close> = assert(io.open("docs/API.md"))
    local shown = file:read("a"):match("## raft%.testing.-```lua\n(.-)```")
    helper.outside_loop(assert(load(shown)))
  end)

  it("raises inside a loop that runs, and for what is no function", function()
    assert.equal("raft.testing.run: the loop is running already; call what "
      .. "waits right here", misuse(function()
        local value = testing.run(function() end)
        return value
      end))
    helper.outside_loop(function()
      assert(misuse(function()
        local value = testing.run(5)
        return value
      end) == "raft.testing.run: expected a function, got number")
      assert(misuse(function()
        local value = testing.run(function() end, { timout = 5 })
        return value
      end) == "raft.testing.run: timout: unknown option, did you mean timeout?")
    end)
  end)
end)
