-- Snapshots shipped from disk to disk: the files of raft.storage.snapshots, on
-- virtual disks that lose power, fill up and rot.
local Disk = require "raft.sim.disk"
local Shipper = require "spec.support.shipper"
local Site = require "spec.sim.scripts.site"
local samples = require "spec.storage.snapshot_meta"
local support = require "spec.support.helper"

local A <const>, B <const> = "10.0.0.1", "10.0.0.2"
local LETTERS <const> = ("the state of a service, in pieces; "):rep(2000)

-- So many bytes of state, in pieces that are all different.
local function state_of(bytes)
  return function(add)
    local at = 0
    while at < bytes do
      local head = ("%012d"):format(at)
      local piece = head .. LETTERS:sub(1, math.min(60000, bytes - at - #head))
      add(piece)
      at = at + #piece
    end
  end
end

-- Makes a snapshot on the disk of this node: its info.
local function make(site, node, index, bytes)
  local snapshots, info = node.driver.storage.snapshots, nil
  local meta = samples.meta(index)
  node:on(function()
    assert(snapshots:write(meta, state_of(bytes)))
    snapshots:publish(meta, function(err, made)
      assert(not err, tostring(err))
      info = made
    end)
  end)
  site:wait(function() return info end)
  return info
end

-- n1 leads and has a snapshot; n2 has an empty disk.
local function two(bytes, options)
  options = options or {}
  local site = Site.new(options.seed or support.seed(), options.network)
  local drives = { Disk.new(site.world, "a", options.a),
    Disk.new(site.world, "b", options.b) }
  local a = Shipper.new(site, A, "n1", { drive = drives[1] })
  local b = Shipper.new(site, B, "n2", { drive = drives[2] })
  a:introduce(b)
  local info = make(site, a, 100, bytes)
  a:lead(3)
  b:follow(3)
  return site, a, b, info, drives
end

-- Both have the same bytes, under the same name.
local function assert_same_bytes(a, b, drives, info)
  assert.same({ 100 }, b.received)
  assert.equal(drives[1]:read(info.path), drives[2]:read(info.path))
  assert.equal(info.size, #drives[2]:read(info.path))
  assert.same({}, a.driver.storage.snapshots.pins)
end

-- And nothing else is left.
local function assert_same_file(a, b, drives, info)
  assert_same_bytes(a, b, drives, info)
  local names = {}
  b:on(function()
    local uv = b.site.loops[B].uv
    for entry in uv.fs_scandir_next, assert(uv.fs_scandir "d") do
      names[#names + 1] = "d/" .. entry
    end
  end)
  assert.same({ info.path }, names)
end

local function wait_shipped(site, a, ms)
  site:wait(function() return #a.shipped > 0 end, ms)
  assert.equal("n2 100 true", a.shipped[#a.shipped])
end

-- The process of n2 dies, and another one comes.
local function restart(site, b, drive, how)
  b:kill()
  drive:crash(how)
  local again = Shipper.new(site, B, "n2", { drive = drive })
  again:follow(3)
  return again
end

describe("snapshots shipped from disk to disk", function()
  it("are the same, byte for byte", function()
    local site, a, b, info, drives = two(5 << 20)
    a:ship("n2", 100)
    wait_shipped(site, a)
    assert_same_file(a, b, drives, info)
    local snapshots = b.driver.storage.snapshots
    assert.equal(100, snapshots.newest.index)
    assert.equal(info.checksum, snapshots.newest.checksum)
  end)

  it("are sent on by who received them", function()
    local site, a, b = two(1 << 20)
    a:ship("n2", 100)
    wait_shipped(site, a)
    local drive = Disk.new(site.world, "c")
    local c = Shipper.new(site, "10.0.0.3", "n3", { drive = drive })
    b:introduce(c)
    b:lead(4)
    b:ship("n3", 100)
    site:wait(function() return #b.shipped > 0 end)
    assert.same({ "n3 100 true" }, b.shipped)
    assert.same({ 100 }, c.received)
  end)

  it("go on where a killed process was", function()
    local site, a, b, info, drives = two(8 << 20)
    a:ship("n2", 100)
    site:wait(function() return (b:taken() or 0) > 5 << 20 end)
    b = restart(site, b, drives[2], "process")
    local first
    site:wait(function()
      first = first or b:taken()
      return first
    end)
    assert.is_true(first >= 5 << 20, first)
    wait_shipped(site, a)
    assert_same_file(a, b, drives, info)
    assert.same({}, a:codes())
  end)

  it("come whole, whatever a power cut has left of them", function()
    local seed, damaged = support.seed(), 0
    for i = 1, 25 do
      local site, a, b, info, drives = two(4 << 20, { seed = seed + i,
        b = { torn = true } })
      a:ship("n2", 100)
      for cut = 1, 2 do
        site:wait(function() return (b:taken() or 0) > cut << 20 end)
        b = restart(site, b, drives[2])
      end
      wait_shipped(site, a)
      assert_same_file(a, b, drives, info)
      damaged = damaged + #a.warnings
    end
    assert.is_true(damaged > 0, "no cut has damaged anything")
  end)

  it("find no room, and come when there is some", function()
    local site, a, b, info, drives = two(4 << 20, {
      b = { capacity = 2 << 20 } })
    a:ship("n2", 100)
    site:wait(function() return #b.warnings > 0 end)
    assert.equal("no_space", b.warnings[1].code)
    site:sleep(20)
    assert.is_true(drives[2].used < 16, "what is of no use takes room")
    drives[2]:set { capacity = 1 << 30 }
    wait_shipped(site, a)
    assert_same_file(a, b, drives, info)
  end)

  it("are not taken from a file that has rotted", function()
    local site, a, b, info, drives = two(2 << 20)
    drives[1]:flip(info.path, 1 << 20, 3)
    a:ship("n2", 100)
    site:wait(function() return #a.shipped > 0 end)
    assert.same({ "n2 100 false" }, a.shipped)
    assert.same({ "corrupt", "corrupt" }, b:codes())
    assert.same({}, b.received)
    assert.is_nil(drives[2].tree:find(info.path))
  end)

  it("come over errors of disk and network", function()
    local seed = support.seed()
    for i = 1, 10 do
      local site, a, b, info, drives = two(3 << 20, { seed = seed + i,
        network = { delay = { 1, 20 }, loss = 0.02 } })
      drives[2]:set { short_write = 0.1, short_read = 0.1, write_error = 0.01,
        sync_error = 0.02, name_error = 0.02, read_error = 0.005 }
      a:ship("n2", 100)
      while a.shipped[#a.shipped] ~= "n2 100 true" do
        local count = #a.shipped
        site:wait(function() return #a.shipped > count end, 200000)
        if a.shipped[#a.shipped] ~= "n2 100 true" then a:ship("n2", 100) end
      end
      assert_same_bytes(a, b, drives, info)
    end
  end)

  it("of no state go to a witness", function()
    local site, a, b, info = two(3 << 20)
    a:ship("n2", 100, true)
    wait_shipped(site, a)
    local there = b.driver.storage.snapshots.newest
    assert.equal(100, there.index)
    assert.equal(info.config, there.config)
    assert.equal(0, there.state_bytes)
    assert.is_true(there.is_bare)
    assert.is_false(info.is_bare)
    assert.is_true(there.size < 20000)
  end)
end)
