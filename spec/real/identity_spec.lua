-- Nodes that must not take part: each is told why, with the way out, and the
-- cluster goes on.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local uv = require "luv"

local function copy_tree(from, to)
  assert(uv.fs_mkdir(to, tonumber("700", 8)))
  local scan = assert(uv.fs_scandir(from))
  for name in uv.fs_scandir_next, scan do
    if name ~= "lock" then
      assert(uv.fs_copyfile(from .. "/" .. name, to .. "/" .. name))
    end
  end
end

local function remove_files(dir)
  local scan = assert(uv.fs_scandir(dir))
  for name in uv.fs_scandir_next, scan do
    assert(uv.fs_unlink(dir .. "/" .. name))
  end
end

local function wait_failed(node)
  helper.wait_until(function() return node:status().state == "failed" end,
    10000, node.id .. " to be refused")
  return node:status().failure
end

local function has(err, words)
  assert.truthy(err.message:find(words, 1, true), tostring(err))
end

describe("a formed cluster", function()
  local cluster, victim, dir

  before_each(function()
    cluster = Cluster.new()
    cluster:up()
    victim = cluster:followers()[1].id
    dir = cluster.dir:join(victim)
    assert(cluster:leader():propose("before"))
    cluster:settle(1)
  end)
  after_each(function() cluster:close() end)

  local function goes_on()
    local count = assert(cluster:leader():propose("after"))
    assert.equal(count + 1, cluster:leader():propose("and again"))
  end

  it("refuses a second node with an id that lives", function()
    local address = Cluster.free_address()
    local double = cluster:new_node(victim, { listen = address,
      dir = cluster.dir:join("double") })
    assert(double:start())
    local err = wait_failed(double)
    assert.equal("duplicate_id", err.code)
    has(err, "two nodes cannot have one id")
    has(err, cluster.members[victim])  -- where the other one lives
    assert.equal("running", cluster:node(victim):status().state)
    goes_on()
  end)

  it("refuses a copied directory while the first one runs", function()
    copy_tree(dir, cluster.dir:join("copy"))
    local double = cluster:new_node(victim, {
      listen = Cluster.free_address(), dir = cluster.dir:join("copy") })
    assert(double:start())
    local err = wait_failed(double)
    assert.equal("duplicate_id", err.code)
    has(err, "copies of one directory")
    assert.equal("running", cluster:node(victim):status().state)
    goes_on()
  end)

  it("refuses a wiped directory, and tells the way in", function()
    cluster:node(victim):stop()
    remove_files(dir)
    local node = cluster:start(victim)
    local err = wait_failed(node)
    assert.equal("rolled_back", err.code)
    has(err, ("remove %s from the cluster, then add it again with an empty "
      .. "directory"):format(victim))
    assert.equal(0, node:status().term)  -- it has not voted
    cluster.nodes[victim] = nil
    goes_on()
  end)

  it("refuses an old copy put back", function()
    copy_tree(dir, cluster.dir:join("old"))
    for _ = 1, 2 do
      cluster:restart(victim)
      cluster:leader()
    end
    cluster:node(victim):stop()
    local node = cluster:start(victim, { dir = cluster.dir:join("old") })
    local err = wait_failed(node)
    assert.equal("rolled_back", err.code)
    has(err, "an old copy of the directory")
    has(err, "add it again with an empty directory")
    cluster.nodes[victim] = nil
    goes_on()
  end)

  it("lets in the directory that it knows, again and again", function()
    for _ = 1, 3 do
      local node = cluster:restart(victim)
      assert.is_true(node:ready { timeout = 10000 })
    end
    goes_on()
  end)

  it("and a node of another cluster refuse each other, and live on", function()
    local warned = {}
    local node = cluster:leader()
    node:on("warning", function(err)
      if err.code == "busy" then return end  -- the machine is slow
      warned[#warned + 1] = err
    end)
    local heard
    local stranger = cluster:new_node(victim, { cluster = "elsewhere",
      dir = cluster.dir:join("stranger"), listen = Cluster.free_address(),
      on = { warning = function(err)
        if err.code ~= "busy" then heard = err end
      end } })
    assert(stranger:start())
    helper.wait_until(function() return heard and warned[1] end)
    assert.equal("cluster_mismatch", heard.code)
    assert.equal("cluster_mismatch", warned[1].code)
    has(heard, "default")
    has(heard, "elsewhere")
    local _, err = stranger:ready { timeout = 50 }
    has(err, "belongs to cluster")  -- the time-out tells it
    assert.equal("running", stranger:status().state)
    -- It knocks again and again: told once, not each time.
    local refused = node:status().transport.refused
    helper.wait_until(function()
      return node:status().transport.refused >= refused + 3
    end, 10000, "more knocking")
    assert.truthy(#warned <= 2, #warned)
    goes_on()
  end)
end)

describe("a cluster that forms", function()
  it("takes only nodes with the same members", function()
    local cluster <close> = Cluster.new()
    cluster:start("n1")
    cluster:start("n2")
    local heard
    local odd = cluster:new_node("n3", {
      members = { n1 = cluster.members.n1, n3 = cluster.members.n3 },
      on = { warning = function(err) heard = err end } })
    assert(odd:start())
    helper.wait_until(function() return heard end)
    assert.equal("cluster_mismatch", heard.code)
    has(heard, "members tables")
    odd:stop()
    -- Its directory is new still, so with the right members it is welcome.
    cluster:start("n3")
    assert.truthy(cluster:leader():propose("x"))
  end)

  it("survives restarts in the middle of it", function()
    local cluster <close> = Cluster.new()
    cluster:start("n1")
    cluster:start("n2")
    for _ = 1, 3 do cluster:restart("n1") end
    assert.is_false(cluster:node("n1"):status().formed)
    assert.equal(0, cluster:node("n1"):status().term)
    cluster:start("n3")
    cluster:restart("n2")
    assert.truthy(cluster:leader():propose("x"))
    cluster:settle(1)
  end)
end)

describe("a volatile node", function()
  it("works, and is refused under its id once it was restarted", function()
    local cluster <close> = Cluster.new { node = function()
      return { volatile = true }
    end }
    cluster:up()
    assert.equal(1, cluster:leader():propose("x"))
    cluster:settle(1)
    local victim = cluster:followers()[1].id
    cluster:node(victim):stop()
    local err = wait_failed(cluster:start(victim))
    assert.equal("rolled_back", err.code)
    cluster.nodes[victim] = nil
    assert.equal(2, cluster:leader():propose("y"))
  end)

  it("alone forgets everything", function()
    local cluster <close> = Cluster.new { nodes = 1, node = function()
      return { volatile = true }
    end }
    assert.equal(1, cluster:start("n1"):propose("x"))
    cluster:node("n1"):stop()
    assert.equal(1, cluster:start("n1"):propose("x"))
  end)
end)
