-- Disks that are slow, full or broken, through a luv whose writes are bent.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local uv = require "luv"

-- A luv for one node. `disk.mode`: false, "slow", "broken" (each write fails),
-- "full" (no new segment finds room).
local function bent(disk)
  local names = {}  -- fd -> path
  local bent_uv = setmetatable({}, { __index = uv })

  function bent_uv.fs_open(path, flags, mode, done)
    local function note(fd) if fd then names[fd] = path end end
    if not done then
      local fd, text, name = uv.fs_open(path, flags, mode)
      note(fd)
      return fd, text, name
    end
    return uv.fs_open(path, flags, mode, function(err, fd)
      note(fd)
      done(err, fd)
    end)
  end

  local function later(ms, fn)
    local timer = uv.new_timer()
    timer:start(ms, 0, function()
      timer:close()
      fn()
    end)
    return timer
  end

  function bent_uv.fs_write(fd, bytes, offset, done)
    local is_spare = (names[fd] or ""):find("spare.tmp", 1, true)
    if disk.mode == "full" and is_spare then
      local text = "ENOSPC: no space left on device"
      if not done then return nil, text, "ENOSPC" end
      return later(0, function() done(text) end)
    elseif disk.mode == "broken" and done then
      disk.failures = disk.failures + 1
      return later(0, function() done("EIO: i/o error") end)
    elseif disk.mode == "slow" and done then
      return later(15, function() uv.fs_write(fd, bytes, offset, done) end)
    end
    return uv.fs_write(fd, bytes, offset, done)
  end
  return bent_uv
end

-- A cluster in which each node has a disk of its own.
-- @param is_calm the leader is to stay, however slow the machine
local function new_cluster(nodes, is_calm)
  local disks = {}
  local cluster = Cluster.new { nodes = nodes, is_calm = is_calm,
    node = function(id)
      disks[id] = { mode = false, failures = 0 }
      return { uv = bent(disks[id]) }
    end }
  return cluster:up(), disks
end

describe("a slow disk", function()
  it("of a follower slows nobody down", function()
    local cluster, disks = new_cluster(3, true)
    local leader = cluster:leader()
    local _, ids = cluster:followers()
    disks[ids[1]].mode = "slow"
    for i = 1, 30 do assert.equal(i, leader:propose("x" .. i)) end
    cluster:settle(30)
    assert.is_true(leader:is_leader())
    cluster:close()
  end)

  it("of the leader delays nothing that the others have", function()
    local cluster, disks = new_cluster(3, true)
    local leader, id = cluster:leader()
    disks[id].mode = "slow"
    local done = 0
    for _ = 1, 30 do
      leader:propose("x", function(err)
        assert(not err, err)
        done = done + 1
      end)
    end
    helper.wait_until(function() return done == 30 end)
    cluster:settle(30)
    helper.wait_until(function() return leader:status().disk_ms > 2 end)
    cluster:close()
  end)

  it("of a node alone only costs time, and stop waits for it", function()
    local cluster, disks = new_cluster(1)
    local node = cluster:node("n1")
    disks.n1.mode = "slow"
    for i = 1, 5 do assert.equal(i, node:propose("x" .. i)) end
    local last
    node:propose("last", function(err) last = err and err.code or "ok" end)
    helper.wait_until(function() return node:status().last == 8 end)
    assert.is_true(node:stop())
    helper.wait_until(function() return last end)
    node = cluster:start("n1")
    node:ready()
    assert.equal("last", cluster.applied.n1[6])  -- it reached the disk
    cluster:close()
  end)
end)

describe("a disk that fails its sync", function()
  it("ends a follower for good, and only it", function()
    local cluster, disks = new_cluster()
    local leader = cluster:leader()
    local _, ids = cluster:followers()
    local node, failed = cluster:node(ids[1]), nil
    node:on("failed", function(err) failed = err end)
    disks[ids[1]].mode = "broken"
    assert.truthy(leader:propose("x"))
    helper.wait_until(function() return failed end)
    assert.equal("io_error", failed.code)
    assert.truthy(failed.file:find("wal-", 1, true), failed.file)
    assert.equal("failed", node:status().state)
    assert.equal(failed, node:status().failure)
    assert.equal(1, disks[ids[1]].failures)  -- never written to again
    local _, err = node:propose("y")
    assert.equal("failed", err.code)
    for i = 2, 5 do assert.equal(i, leader:propose("x" .. i)) end
    -- A restart, with a disk that works, catches up.
    cluster.nodes[ids[1]] = nil
    helper.wait_until(function()
      local again = cluster:new_node(ids[1])
      cluster.nodes[ids[1]] = again
      return again:start()
    end)
    cluster:settle(5)
    cluster:close()
  end)

  it("ends a leader; what it had acknowledged is with the others", function()
    local cluster, disks = new_cluster()
    local leader, id = cluster:leader()
    for i = 1, 5 do leader:propose("a" .. i) end
    disks[id].mode = "broken"
    local outcomes, count = {}, 0
    for i = 1, 5 do
      leader:propose("b" .. i, function(err)
        outcomes[i] = err and err.outcome or "ok"
        count = count + 1
      end)
    end
    helper.wait_until(function() return count == 5 end)
    helper.wait_until(function() return leader:status().state == "failed" end)
    local second = cluster:leader()
    assert.truthy(second:propose("c"))
    local seen = {}
    for _, command in ipairs(cluster.applied[second.id]) do
      assert(not seen[command])
      seen[command] = true
    end
    for i = 1, 5 do
      assert.is_true(seen["a" .. i])
      if outcomes[i] == "ok" then assert.is_true(seen["b" .. i]) end
    end
    cluster:close()
  end)

  it("ends a node alone; nothing that was not durable is acknowledged",
    function()
      local cluster, disks = new_cluster(1)
      local node = cluster:node("n1")
      node:propose("a")
      disks.n1.mode = "broken"
      local _, err = node:propose("b")
      assert.equal("failed", err.code)
      assert.equal("unknown", err.outcome)
      assert.equal("io_error", err.cause.code)
      assert.same({ "a" }, cluster.applied.n1)
      cluster:close()
    end)
end)

describe("a full disk", function()
  it("refuses proposals with no_space, goes on reading, and recovers",
    function()
      local cluster, disks = new_cluster(1)
      local node, warned, drained = cluster:node("n1"), nil, 0
      node:on("warning", function(err)
        if err.code == "busy" then return end  -- the machine is slow
        warned = err
      end)
      node:on("drain", function() drained = drained + 1 end)
      disks.n1.mode = "full"
      local answer
      local function fill()  -- until the next segment is missed
        node:propose(("x"):rep(100000), function(err)
          answer = err and err.code
          if not err then fill() end
        end)
      end
      fill()
      helper.wait_until(function() return warned end, 15000, "the warning")
      assert.equal("no_space", warned.code)
      helper.wait_until(function() return answer end, 15000, "a refusal")
      assert.equal("no_space", answer)
      local _, err = node:propose("y")
      assert.equal("no_space", err.code)
      assert.equal("none", err.outcome)
      assert.is_true(err.retry)
      assert.equal("running", node:status().state)
      assert.is_true(node:read { consistency = "stale" })
      disks.n1.mode = false
      helper.wait_until(function() return drained > 0 end, 15000, "drain")
      assert.truthy(node:propose("z"))
      cluster:close()
    end)

  it("of the leader makes another lead", function()
    local cluster, disks = new_cluster(3, true)
    local _, id = cluster:leader()
    disks[id].mode = "full"
    local follower, warned = cluster:followers()[1], false
    cluster:node(id):on("warning", function(err)
      warned = warned or err.code == "no_space"
    end)
    for _ = 1, 100 do  -- until the next segment is missed
      local _, err = follower:propose(("x"):rep(100000))
      if err then assert.equal("no_space", err.code) end
      if select(2, cluster:leader()) ~= id then break end
    end
    assert.is_true(warned)
    local _, other = cluster:leader()
    assert.not_equal(id, other)
    for _ = 1, 5 do assert.is_truthy(follower:propose("y")) end
    cluster:close()
  end)

  it("of one follower does not stop the others", function()
    local cluster, disks = new_cluster(3, true)
    local leader = cluster:leader()
    local _, ids = cluster:followers()
    disks[ids[1]].mode = "full"
    for i = 1, 40 do assert.equal(i, leader:propose(("x"):rep(100000))) end
    disks[ids[1]].mode = false
    cluster:settle(40)
    assert.equal("running", cluster:node(ids[1]):status().state)
    cluster:close()
  end)
end)
