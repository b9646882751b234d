-- Bits that flip in the logs of real nodes: what is missing comes back from the
-- leader, and who is alone says so and stops.
local Cluster = require "spec.support.cluster"
local core = require "raft.core"
local helper = require "spec.support.helper"
local raft = require "raft"
local uv = require "luv"

local SECTOR <const> = core.WAL_SECTOR
local COMMANDS <const> = 12

local function path_of(cluster, id)
  return cluster.dir:join(id) .. "/wal-0000000000000001.log"
end

-- One bit of the batch in the n-th sector of the log.
local function flip(cluster, id, sector, byte)
  local offset = sector * SECTOR + byte
  local fd = assert(uv.fs_open(path_of(cluster, id), "r+", 0))
  local old = assert(uv.fs_read(fd, 1, offset))
  assert(uv.fs_write(fd, string.char(old:byte() ~ 4), offset))
  assert(uv.fs_close(fd))
  return offset
end

-- So many nodes that have applied the same, each in batches of its own, and
-- have stopped.
local function stopped(nodes)
  local cluster = Cluster.new { nodes = nodes }
  cluster:up()
  local leader = cluster:leader()
  for i = 1, COMMANDS do assert(leader:propose("c" .. i)) end
  cluster:settle(COMMANDS)
  for _, id in ipairs(cluster.ids) do cluster.nodes[id]:stop() end
  return cluster
end

-- Starts a node, and notes what it tells.
local function start(cluster, id)
  local told = { warnings = {}, repaired = false }
  local node = cluster:new_node(id, { on = {
    warning = function(err)
      told.warnings[#told.warnings + 1] = err
    end,
    repaired = function(first, last) told.repaired = { first, last } end,
  } })
  cluster.nodes[id] = node
  local ok, err = node:start()
  return ok and node, told, err
end

local function is_running(cluster)
  for _, id in ipairs(cluster.ids) do
    if cluster.nodes[id]:status().state ~= "running" then return false end
  end
  return true
end

local function agree(cluster, count)
  cluster:settle(count)
  for _, id in ipairs(cluster.ids) do
    assert.same(cluster.applied[cluster.ids[1]], cluster.applied[id])
  end
end

describe("damage in the middle of a log", function()
  it("of one of three is repaired by the others, and told", function()
    local cluster <close> = stopped(3)
    local offset = flip(cluster, "n2", 8, 100)
    local node, told = start(cluster, "n2")
    assert.equal("repairing", node:status().state)
    local lost = node:status().last + 1
    helper.wait_until(function() return told.warnings[1] end)
    local err = told.warnings[1]
    assert.equal("corrupt", err.code)
    assert.equal(path_of(cluster, "n2"), err.file)
    assert.equal(offset // SECTOR * SECTOR, err.offset)
    assert.equal(lost, err.first)
    assert.is_true(err.last > lost)
    assert.truthy(err.message:find("damaged at byte", 1, true))
    assert.truthy(err.message:find("will be fetched", 1, true))
    start(cluster, "n1")
    start(cluster, "n3")
    helper.wait_until(function() return told.repaired end, 10000, "repair")
    assert.same({ lost, err.last }, told.repaired)
    assert.equal("running", node:status().state)
    assert(cluster:leader():propose("after"))
    agree(cluster, COMMANDS + 1)
    cluster:restart("n2")  -- the damage is still there, and all else too
    assert.equal("running", cluster.nodes.n2:status().state)
    agree(cluster, COMMANDS + 1)
  end)

  it("of a node that comes back while the others lead", function()
    local cluster <close> = stopped(3)
    start(cluster, "n1")
    start(cluster, "n3")
    assert(cluster:leader():propose("meanwhile"))
    flip(cluster, "n2", 6, 20)
    local _, told = start(cluster, "n2")
    helper.wait_until(function() return told.repaired end, 10000, "repair")
    agree(cluster, COMMANDS + 1)
  end)

  it("of two of three, in different places, is repaired by the third",
    function()
      local cluster <close> = stopped(3)
      flip(cluster, "n1", 7, 100)
      flip(cluster, "n3", 10, 20)
      for _, id in ipairs(cluster.ids) do start(cluster, id) end
      local _, leader = cluster:leader()
      assert.equal("n2", leader)
      helper.wait_until(function() return is_running(cluster) end, 10000,
        "repairs")
      assert(cluster.nodes.n2:propose("after"))
      agree(cluster, COMMANDS + 1)
    end)

  it("of a node alone is refused in words", function()
    local cluster <close> = stopped(1)
    flip(cluster, "n1", 8, 100)
    local ok, _, err = start(cluster, "n1")
    assert.is_falsy(ok)
    assert.equal("corrupt", err.code)
    assert.equal(path_of(cluster, "n1"), err.file)
    assert.truthy(err.message:find("entries %d+ to %d+ are missing"))
    assert.truthy(err.message:find("no other member", 1, true))
  end)

  it("of a node alone may be given up by hand, and that is told", function()
    local cluster <close> = stopped(1)
    flip(cluster, "n1", 8, 100)
    local account = assert(raft.recover(cluster.dir:join("n1")))
    assert.is_true(account.damaged_last > account.last)
    assert.truthy(tostring(account):find("could not be read", 1, true))
    local node = start(cluster, "n1")
    assert(node:ready())
    assert.equal("running", node:status().state)
    local kept = #cluster.applied.n1
    assert.is_true(kept > 0 and kept < COMMANDS)
  end)
end)
