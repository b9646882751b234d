-- Two directories compared, offline: logs, snapshots, results.
-- luacheck: read globals emit
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"
local uv = require "luv"

-- A machine that counts; what it returns for the command "odd" is `odd`.
local function counter(odd)
  local count = 0
  return {
    apply = function(command)
      count = count + 1
      if command == "fails" then error("as it does on " .. tostring(odd)) end
      if command == "odd" and odd then return odd end
      return count
    end,
    snapshot = function() return tostring(count) end,
    restore = function(bytes) count = math.tointeger(tonumber(bytes)) end,
  }
end

local function node() return counter() end

-- A service that counts; what it answers is `odd`, if that is given.
local function counting_service(odd)
  return raft.service { name = "counter", init = function()
    return { n = 0 }
  end, commands = { add = function(s, k)
    s.n = s.n + k
    emit("added")
    return odd or s.n
  end } }
end

local function propose(target, ...)
  for _, command in ipairs { ... } do target:propose(command) end
end

-- A cluster of so many that has applied these commands; it runs.
local function running(nodes, ...)
  local cluster = Cluster.new { nodes = nodes, node = node }
  cluster:up()
  propose(cluster:leader(), ...)
  return cluster
end

-- All have applied what the leader has.
local function settle(cluster)
  local applied = cluster:leader():status().applied
  for _, id in ipairs(cluster.ids) do
    helper.wait_until(function()
      return cluster.nodes[id]:status().applied >= applied
    end)
  end
end

local function stop(cluster)
  settle(cluster)
  for _, id in ipairs(cluster.ids) do cluster.nodes[id]:stop() end
end

local function copy_file(from, to)
  local input = assert(io.open(from, "rb"))
  local output = assert(io.open(to, "wb"))
  output:write(input:read("a"))
  input:close()
  output:close()
end

-- The directory of n1, which is stopped, once more: its path.
local function copy_of(cluster)
  local from, to = cluster.dir:join("n1"), cluster.dir:join("copy")
  assert(uv.fs_mkdir(to, tonumber("755", 8)))
  local scan = assert(uv.fs_scandir(from))
  for name in function() return uv.fs_scandir_next(scan) end do
    copy_file(from .. "/" .. name, to .. "/" .. name)
  end
  return to
end

-- Each of three has applied these commands, and n2 has its own "odd".
local function wrong_on_n2(...)
  local cluster = Cluster.new { nodes = 3, node = function(id)
    return counter(id == "n2" and -1 or nil)
  end }
  cluster:up()
  propose(cluster:leader(), ...)
  settle(cluster)
  return cluster
end

local function nothing() end

describe("raft.verify", function()
  it("says that two directories are the same, and how far", function()
    local cluster <close> = running(3, "a", "b", "fails", "odd")
    stop(cluster)
    local ok, account = raft.verify(cluster.dir:join("n1"),
      cluster.dir:join("n2"), { node = node })
    assert(ok, account)
    assert.equal("n1", account.a.id)
    assert.equal("n2", account.b.id)
    assert.equal(1, account.first)
    assert.equal(1, account.applied_from)
    assert.is_true(account.last >= 5)  -- a configuration, a no-op, commands
    assert.matches("results of entries 1 to " .. account.last,
      tostring(account))
  end)

  it("compares logs alone where it gets no machine", function()
    local cluster <close> = running(3, "a")
    stop(cluster)
    local ok, account = raft.verify(cluster.dir:join("n1"),
      cluster.dir:join("n3"))
    assert(ok, account)
    assert.is_false(account.applied_from)
    assert.matches("results were not compared", tostring(account))
    assert(raft.verify(cluster.dir:join("n1"), cluster.dir:join("n3"),
      { apply = function() return nothing end }))
  end)

  it("leaves directories that start again", function()
    local cluster <close> = running(3, "a", "b")
    stop(cluster)
    assert(raft.verify(cluster.dir:join("n1"), cluster.dir:join("n2")))
    for _, id in ipairs(cluster.ids) do cluster:start(id) end
    assert.equal(3, assert(cluster:leader():propose("c")))
  end)

  it("names the first result that differs, and both", function()
    local cluster <close> = running(3, "a", "b", "odd", "c", "odd")
    stop(cluster)
    local calls = 0
    local ok, err = raft.verify(cluster.dir:join("n1"), cluster.dir:join("n2"),
      { node = function()
        calls = calls + 1
        return counter(calls)  -- 1 for the one, 2 for the other
      end })
    assert.is_nil(ok)
    assert.equal("diverged", err.code)
    assert.equal("results", err.what)
    assert.equal(err.agreed + 1, err.index)
    assert.matches("in the result of entry " .. err.index .. ": 1, and 2",
      err.message, 1, true)
  end)

  it("finds committed entries that differ", function()
    local cluster <close> = running(1, "a", "b")
    stop(cluster)
    local one, copy = cluster.dir:join("n1"), copy_of(cluster)
    for _, dir in ipairs { one, copy } do  -- each goes on by itself
      local n1 = cluster:start("n1", { dir = dir })
      propose(n1, "c", dir, "e")
      n1:stop()
    end
    local ok, err = raft.verify(one, copy)
    assert.is_nil(ok)
    assert.equal("diverged", err.code)
    assert.equal("log", err.what)
    assert.matches("entry " .. err.index .. ", which is committed",
      err.message, 1, true)
  end)

  it("finds what a process had come to, from its snapshot", function()
    local cluster <close> = wrong_on_n2("a", "odd", "b")
    assert(cluster.nodes.n2:take_snapshot())
    propose(cluster:leader(), "c", "d")
    stop(cluster)
    local one, other = cluster.dir:join("n1"), cluster.dir:join("n2")
    for _, dirs in ipairs { { one, other }, { other, one } } do
      local ok, err = raft.verify(dirs[1], dirs[2], { node = node })
      assert.is_nil(ok)
      assert.equal("diverged", err.code)
      assert.equal("results", err.what)
      assert.matches("what applying has come to at entry " .. err.index,
        err.message, 1, true)
    end
    assert(raft.verify(one, other))  -- without the machine nothing tells
    assert(raft.verify(one, cluster.dir:join("n3"), { node = node }))
  end)

  it("finds snapshots of one entry that differ, without a machine", function()
    local cluster <close> = wrong_on_n2("a", "odd", "b")
    for _, id in ipairs(cluster.ids) do
      assert(cluster.nodes[id]:take_snapshot())
    end
    stop(cluster)
    local ok, err = raft.verify(cluster.dir:join("n1"), cluster.dir:join("n2"))
    assert.is_nil(ok)
    assert.equal("results", err.what)
    assert(raft.verify(cluster.dir:join("n1"), cluster.dir:join("n3")))
  end)

  it("goes from the older snapshot to the newer one, and on", function()
    local cluster <close> = running(3, "a", "b")
    settle(cluster)
    assert(cluster.nodes.n1:take_snapshot())
    propose(cluster:leader(), "c", "d")
    settle(cluster)
    assert(cluster.nodes.n2:take_snapshot())
    propose(cluster:leader(), "e", "f")
    stop(cluster)
    local ok, account = raft.verify(cluster.dir:join("n1"),
      cluster.dir:join("n2"), { node = node })
    assert(ok, account)
    assert.is_true(account.a.snapshot < account.b.snapshot)
    assert.equal(account.b.snapshot + 1, account.applied_from)
    assert.is_true(account.last > account.b.snapshot)
  end)

  it("applies services, and what follows from members and versions", function()
    local calls, service = 0, counting_service
    local cluster <close> = Cluster.new { nodes = 3, node = function()
      return { service = service() }
    end }
    cluster:up()
    for _ = 1, 3 do assert(cluster:leader().counter.add(1)) end
    settle(cluster)
    local last = cluster:leader():status().applied
    assert(cluster.nodes.n2:take_snapshot())
    for _, id in ipairs(cluster.ids) do cluster:close_node(id) end
    local one, other = cluster.dir:join("n1"), cluster.dir:join("n3")
    local options = { service = service() }
    local ok, account = raft.verify(one, other, { node = function()
      return options
    end })
    assert(ok, account)
    assert.equal(1, account.applied_from)
    assert(raft.verify(one, cluster.dir:join("n2"), { node = function()
      return { services = { service() } }
    end }))
    local _, err = raft.verify(one, other, { node = function()
      calls = calls + 1
      return { service = service(calls) }
    end })
    assert.equal("diverged", err.code)
    assert.is_true(err.index <= last)
    assert.matches("result of entry " .. err.index .. ": 1, and 2", err.message,
      1, true)
  end)

  it("raises where the options of a node say of no machine", function()
    local cluster <close> = running(2, "a")
    stop(cluster)
    for words, options in pairs {
      ["service: expected a service of raft.service, got 5"] = { service = 5 },
      ["apply: expected a function"] = { restore = print },
      ["expected a table, got 5"] = 5,
    } do
      local ok, why = pcall(raft.verify, cluster.dir:join("n1"),
        cluster.dir:join("n2"), { node = function() return options end })
      assert.is_false(ok)
      assert.matches("raft.verify: node: " .. words, why, 1, true)
    end
  end)

  it("refuses a directory that is in use, or none", function()
    local cluster <close> = running(1, "a")
    local _, err = raft.verify(cluster.dir:join("n1"), cluster.dir:join("n1"))
    assert.equal("dir_locked", err.code)
    _, err = raft.verify(cluster.dir:join("none"), cluster.dir:join("n1"))
    assert.equal("wrong_dir", err.code)
    stop(cluster)
    _, err = raft.verify(cluster.dir:join("n1"), cluster.dir:join("n1"))
    assert.equal("dir_locked", err.code)  -- one cannot stand beside itself
  end)

  it("refuses two clusters", function()
    local one <close> = running(1, "a")
    local other <close> = running(1, "a")
    stop(one)
    stop(other)
    local _, err = raft.verify(one.dir:join("n1"), other.dir:join("n1"))
    assert.equal("cluster_mismatch", err.code)
  end)

  it("says what the machine lacks", function()
    local cluster <close> = running(3, "a")
    assert(cluster.nodes.n2:take_snapshot())
    stop(cluster)
    local _, err = raft.verify(cluster.dir:join("n1"), cluster.dir:join("n2"),
      { apply = function() return nothing end })
    assert.equal("unsupported", err.code)
    assert.matches("opts.node must give restore", err.message, 1, true)
  end)

  it("raises for wrong arguments", function()
    for _, one in ipairs {
      { { "a" }, "raft.verify: expected two directories, got false" },
      { { "a", 7 }, "raft.verify: expected two directories, got 7" },
      { { "a", "b", { x = 1 } }, "raft.verify: x: unknown option" },
    } do
      local ok, why = pcall(raft.verify, table.unpack(one[1]))
      assert.is_false(ok)
      assert.is_truthy(why:find(one[2], 1, true), why)
    end
  end)
end)
