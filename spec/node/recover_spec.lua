-- A majority is gone for ever: raft.recover makes a new cluster of the rest.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

-- Three nodes that have applied some commands, all stopped again.
local function stopped_cluster(count)
  local cluster = Cluster.new { nodes = 3 }
  cluster:up()
  for i = 1, count do assert(cluster:leader():propose("c" .. i)) end
  cluster:settle(count)
  for _, id in ipairs(cluster.ids) do cluster.nodes[id]:stop() end
  return cluster
end

local function dir_of(cluster, id)
  return cluster.dir:join(id)
end

-- A node on a recovered directory; log lines of it go to `heard`.
local function start(cluster, id, members)
  local node = cluster:new_node(id, { members = members
    or { [id] = cluster.members[id] } })
  cluster.nodes[id] = node
  assert(node:start())
  return node
end

-- A luv in which the n-th write to an identity file fails: opening a directory
-- takes two of them.
local function luv_that_fails_at(n)
  local identity, count = false, 0
  return setmetatable({
    fs_open = function(path, ...)
      local fd, text, name = uv.fs_open(path, ...)
      if path:find("/identity$") then identity = fd end
      return fd, text, name
    end,
    fs_write = function(fd, ...)
      if fd == identity then count = count + 1 end
      if fd == identity and count == n then
        return nil, "EIO: i/o error", "EIO"
      end
      return uv.fs_write(fd, ...)
    end,
  }, { __index = uv })
end

describe("raft.recover", function()
  it("makes one node a cluster that has it all, and goes on", function()
    local cluster <close> = stopped_cluster(5)
    local account = assert(raft.recover(dir_of(cluster, "n2")))
    local node = start(cluster, "n2")
    assert(node:ready())
    assert.same({ "c1", "c2", "c3", "c4", "c5" }, cluster.applied.n2)
    assert(node:propose("c6"))
    assert.same({ n2 = { address = cluster.members.n2, role = "voter",
      priority = 0 } }, node:members())
    assert.same({ "n2" }, { next(account.members) == "n2" and "n2" })
    cluster:restart("n2", { members = { n2 = cluster.members.n2 } })
    assert(cluster.nodes.n2:ready())
    assert.equal(6, #cluster.applied.n2)
  end)

  it("gives an account, in data and in words", function()
    local cluster <close> = stopped_cluster(3)
    local account = assert(raft.recover(dir_of(cluster, "n1"),
      { id = "n1", cluster = "default" }))
    assert.equal("n1", account.id)
    assert.equal("default", account.cluster)
    assert.not_equal(account.identity, account.identity_before)
    assert.equal(32, #account.identity)
    assert.equal(account.last + 1, account.index)
    assert.equal(account.last - account.commit, account.uncertain)
    assert.is_true(account.last >= 5)  -- the configuration, a no-op, 3 commands
    local ids = {}
    for id in pairs(account.members_before) do ids[#ids + 1] = id end
    assert.equal(3, #ids)
    local text = tostring(account)
    for _, words in ipairs { "n1 is now the start of a new cluster default",
      "kept:     entries up to " .. account.last, "missing:",
      "refuses the directories of the old one (n1, n2, n3)" } do
      assert.is_truthy(text:find(words, 1, true), text)
    end
  end)

  it("says which entries nobody may have been told", function()
    local cluster <close> = stopped_cluster(1)
    local account = assert(raft.recover(dir_of(cluster, "n1")))
    account.commit, account.uncertain = 1, account.last - 1
    assert.is_truthy(tostring(account):find(
      ("doubtful: entries 2 to %d. They may never have been acknowledged")
        :format(account.last), 1, true))
  end)

  -- Faults O3, O4: a new identity, and the two never mix.
  it("keeps the nodes of the old cluster out", function()
    local cluster <close> = stopped_cluster(2)
    assert(raft.recover(dir_of(cluster, "n1")))
    local heard = {}
    local node = cluster:new_node("n1", {
      members = { n1 = cluster.members.n1 },
      on = { warning = function(err) heard[#heard + 1] = err end } })
    assert(node:start())
    cluster.nodes.n1 = node
    assert(node:ready())
    cluster:start("n2")
    cluster:start("n3")
    local refusal
    helper.wait_until(function()
      for _, err in ipairs(heard) do
        if err.code == "cluster_mismatch" then refusal = err end
      end
      return refusal
    end)
    assert.is_truthy(refusal.message:find("formed as", 1, true))
    assert(cluster.nodes.n2:propose("of the old", { timeout = 10000 }))
    assert(node:propose("of the new"))
    assert.same({ "c1", "c2", "of the new" }, cluster.applied.n1)
    assert.same({ "c1", "c2", "of the old" }, cluster.applied.n2)
  end)

  it("makes another cluster each time", function()
    local cluster <close> = stopped_cluster(1)
    local first = assert(raft.recover(dir_of(cluster, "n1")))
    local second = assert(raft.recover(dir_of(cluster, "n1")))
    assert.not_equal(first.identity, second.identity)
    assert.equal(first.identity, second.identity_before)
    assert.equal(first.index, second.last)
    assert(start(cluster, "n1"):ready())
    assert.same({ "c1" }, cluster.applied.n1)
  end)

  it("goes on in a new segment where the log is full", function()
    local cluster <close> = stopped_cluster(1)
    local dir = dir_of(cluster, "n1")
    local second = dir .. "/wal-0000000000000002.log"
    for _ = 1, 150 do  -- two sectors each, of a segment of 256
      assert(raft.recover(dir))
      if uv.fs_stat(second) then break end
    end
    assert.is_truthy(uv.fs_stat(second))
    assert(raft.recover(dir))
    assert(start(cluster, "n1"):ready())
    assert.same({ "c1" }, cluster.applied.n1)
  end)

  it("leaves a directory alone that is in use", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    cluster:up()
    local account, err = raft.recover(dir_of(cluster, "n1"))
    assert.is_nil(account)
    assert.equal("dir_locked", err.code)
    assert(cluster.nodes.n1:propose("x"))
  end)

  it("leaves the directory of another node alone", function()
    local cluster <close> = stopped_cluster(1)
    for _, opts in ipairs { { id = "n2" }, { cluster = "other" } } do
      local account, err = raft.recover(dir_of(cluster, "n1"), opts)
      assert.is_nil(account)
      assert.equal("wrong_dir", err.code)
    end
  end)

  it("makes nothing where there is nothing", function()
    local dir <close> = tmpdir.new()
    for _, path in ipairs { dir.path, dir:join("none") } do
      local account, err = raft.recover(path)
      assert.is_nil(account)
      assert.equal("wrong_dir", err.code)
    end
    assert.is_nil(uv.fs_stat(dir:join("none")))
    assert.is_nil(uv.fs_stat(dir:join("identity")))
  end)

  it("refuses who never was in a cluster", function()
    local cluster <close> = Cluster.new { nodes = 3 }
    cluster:start("n1")
    cluster.nodes.n1:stop()
    local account, err = raft.recover(dir_of(cluster, "n1"))
    assert.is_nil(account)
    assert.equal("bad_membership", err.code)
    assert.is_truthy(err.message:find("never was in a cluster", 1, true))
  end)

  it("wants its own node among the members, as a voter", function()
    local cluster <close> = stopped_cluster(1)
    for _, members in ipairs { { n2 = "h:1" },
      { n1 = { address = "h:1", role = "learner" }, n2 = "h:2" } } do
      local account, err = raft.recover(dir_of(cluster, "n1"),
        { members = members })
      assert.is_nil(account)
      assert.equal("bad_membership", err.code)
      assert.is_truthy(err.message:find("members must have n1", 1, true))
    end
    cluster:start()  -- nothing has changed
    assert(cluster.nodes.n1:ready { timeout = 10000 })
  end)

  it("raises for wrong options, naming them", function()
    assert.has_error(function() raft.recover(7) end)
    local ok, why = pcall(raft.recover, "d", { member = {} })
    assert.is_false(ok)
    assert.is_truthy(why:find("raft.recover: member: unknown option, did you "
      .. "mean members?", 1, true), why)
  end)

  it("can be run again after a crash between its two writes", function()
    local cluster <close> = stopped_cluster(2)
    local dir = dir_of(cluster, "n1")
    local account, why = raft.recover(dir, { uv = luv_that_fails_at(3) })
    assert.is_nil(account)
    assert.equal("io_error", why.code)
    local node = cluster:new_node("n1", {
      members = { n1 = cluster.members.n1 } })
    local ok, err = node:start()
    assert.is_nil(ok)
    assert.equal("corrupt", err.code)
    assert.is_truthy(err.message:find("raft.recover", 1, true), err.message)
    assert(raft.recover(dir))
    assert(start(cluster, "n1"):ready())
    assert.same({ "c1", "c2" }, cluster.applied.n1)
  end)
end)
