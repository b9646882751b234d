-- A snapshot from a leader to a follower, over a network that breaks: the real
-- transport, shipping and receiving; core and files pretend.
local Shipper = require "spec.support.shipper"
local Site = require "spec.sim.scripts.site"
local core = require "raft.core"
local support = require "spec.support.helper"

local A <const>, B <const>, C <const> = "10.0.0.1", "10.0.0.2", "10.0.0.3"
local CHUNK <const> = core.SHIP_CHUNK_BYTES

-- n1 that leads in term 3 and has a snapshot, n2 that follows.
local function two(size, options, seed)
  options = options or {}
  local site = Site.new(seed or support.seed(), options.network)
  local a = Shipper.new(site, A, "n1", { bend = options.bend })
  local b = Shipper.new(site, B, "n2")
  a:introduce(b)
  local info = a.disk:add { index = 100, size = size }
  a:lead(3)
  b:follow(3)
  return site, a, b, info
end

-- The file came over, whole, and both cores know.
local function wait_done(site, a, b, index, ms)
  site:wait(function() return #b.received > 0 and #a.shipped > 0 end, ms)
  assert.same({ index or 100 }, b.received)
  assert.equal(("n2 %d true"):format(index or 100), a.shipped[#a.shipped])
  assert.equal(0, a.disk.pins)
  assert.is_false(b.disk.kept)
end

-- Each byte was written once, in order.
local function assert_written_once(disk, size)
  local at = 0
  for _, write in ipairs(disk.written) do
    local offset, count = write:match("^(%d+)%+(%d+)$")
    assert.equal(at, tonumber(offset))
    at = at + tonumber(count)
  end
  assert.equal(size, at)
end


-- Ends the connection as a network does.
local function break_channels(node, reason)
  node:on(function()
    local channels = node.driver.transport.channels
    for _, channel in ipairs(table.move(channels.list, 1, #channels.list, 1,
      {})) do
      channel:close(reason or "broken")
    end
  end)
end

local function wait_taken(site, node, bytes)
  site:wait(function() return (node:taken() or -1) >= bytes end)
end

describe("a snapshot that is shipped", function()
  it("comes over in chunks, and both cores hear of it", function()
    local size <const> = 9 * CHUNK + 17
    local site, a, b, info = two(size)
    a:ship("n2", 100)
    wait_done(site, a, b)
    assert_written_once(b.disk, size)
    assert.equal(info.checksum, b.disk.finished[1].checksum)
    assert.equal(info.config, b.disk.finished[1].config)
    assert.is_nil(a.shipping:progress("n2"))
  end)

  for _, size in ipairs { 1, CHUNK - 1, CHUNK, CHUNK + 1 } do
    it("comes over when it has " .. size .. " bytes", function()
      local site, a, b = two(size)
      a:ship("n2", 100)
      wait_done(site, a, b)
      assert_written_once(b.disk, size)
    end)
  end

  it("is the newest, also where the core asked for less", function()
    local site, a, b = two(1000)
    a.disk:add { index = 250, size = 2000 }
    a:ship("n2", 100)
    site:wait(function() return #a.shipped > 0 end)
    assert.same({ "n2 100 true" }, a.shipped)
    assert.same({ 250 }, b.received)
  end)

  it("is told of as it goes", function()
    local site, a, b = two(20 * CHUNK)
    a:ship("n2", 100)
    wait_taken(site, b, 10 * CHUNK)
    local progress = a.shipping:progress("n2")
    assert.equal(100, progress.index)
    assert.equal(20 * CHUNK, progress.bytes)
    assert.is_true(progress.sent >= 6 * CHUNK and progress.sent <= 12 * CHUNK)
    wait_done(site, a, b)
  end)

  it("keeps to the rate", function()
    local site, a, b = two(64 * CHUNK)
    a:ship("n2", 100)
    local ms = site:wait(function() return #a.shipped > 0 end)
    -- 16 MiB at 64 MiB a second, or a little less.
    assert.is_true(ms >= 240 and ms < 500, ms)
    wait_done(site, a, b)
  end)

  it("goes slower when the loop is late", function()
    local site, a, b = two(32 * CHUNK)
    a.driver.loop_lag_ms = 1000
    a:ship("n2", 100)
    local ms = site:wait(function() return #a.shipped > 0 end)
    assert.is_true(ms >= 31 * 50 and ms < 31 * 70, ms)
    wait_done(site, a, b)
  end)

  it("has a few chunks on their way, however slow the other disk", function()
    local site, a, b = two(16 * CHUNK)
    b.disk.write_ms = 400
    a:ship("n2", 100)
    local most, ahead = 0, 0
    site:wait(function()
      local transfer, shipment = b.receiving.transfer, a.shipping.list[1]
      if transfer then most = math.max(most, transfer.next - transfer.taken) end
      if shipment then
        ahead = math.max(ahead, shipment.sent - shipment.taken)
      end
      return #a.shipped > 0
    end)
    assert.equal(4 * CHUNK, ahead)
    assert.is_true(most <= 4 * CHUNK, most)
    wait_done(site, a, b)
  end)

  it("waits as long as the other end verifies it, and not for ever", function()
    local site, a, b = two(3 * CHUNK)
    b.disk.verify_ms = 45000
    a:ship("n2", 100)
    wait_done(site, a, b)
    assert.same({}, a:codes())
  end)

  describe("over a network that breaks", function()
    it("goes on where it was, whatever chunk it was", function()
      local size <const> = 12 * CHUNK
      local site, a, b = two(size)
      a:ship("n2", 100)
      for i = 1, 11 do
        wait_taken(site, b, i * CHUNK)
        break_channels(i % 2 == 0 and a or b)
      end
      wait_done(site, a, b)
      assert_written_once(b.disk, size)
    end)

    it("goes on after the silence of a cut", function()
      local size <const> = 12 * CHUNK
      local site, a, b = two(size)
      a:ship("n2", 100)
      wait_taken(site, b, 5 * CHUNK)
      site.network:cut(A, B)
      site:sleep(10000)
      assert.same({}, a.shipped)
      site.network:heal()
      wait_done(site, a, b)
      assert_written_once(b.disk, size)
    end)

    it("survives delays, losses and refusals", function()
      local seed = support.seed()
      for i = 0, 4 do
        local site, a, b = two(20 * CHUNK, { network = { delay = { 1, 60 },
          loss = 0.05, refuse = 0.3, reorder = 0.1, reorder_ms = 50 } },
          seed + i)
        a:ship("n2", 100)
        wait_done(site, a, b, 100, 120000)
        assert_written_once(b.disk, 20 * CHUNK)
      end
    end)

    it("is given up when the other end is gone, and the file with it",
      function()
        local site, a, b = two(12 * CHUNK)
        a:ship("n2", 100)
        wait_taken(site, b, 5 * CHUNK)
        b:kill()
        local ms = site:wait(function() return #a.shipped > 0 end, 90000)
        assert.same({ "n2 100 false" }, a.shipped)
        assert.is_true(ms >= 59000 and ms < 66000, ms)
        assert.equal(0, a.disk.pins)
      end)

    it("sends a damaged chunk again, and keeps nothing of it", function()
      local size <const> = 8 * CHUNK
      local tampered = 0
      local site, a, b = two(size, { bend = function(uv)
        return setmetatable({ write = function(stream, bytes, done)
          if #bytes > CHUNK and tampered < 3 then
            tampered = tampered + 1
            bytes = bytes:sub(1, 9999) .. "!" .. bytes:sub(10001)
          end
          return uv.write(stream, bytes, done)
        end }, { __index = uv })
      end })
      a:ship("n2", 100)
      wait_done(site, a, b)
      assert.equal(3, tampered)
      assert_written_once(b.disk, size)
    end)
  end)

  describe("to a node that restarts", function()
    it("goes on with what its disk has", function()
      local size <const> = 12 * CHUNK
      local site, a, b = two(size)
      a:ship("n2", 100)
      wait_taken(site, b, 7 * CHUNK)
      b:kill()
      local again = Shipper.new(site, B, "n2", { disk = b.disk })
      again:follow(3)
      local there = b.disk.kept.offset
      assert.is_true(there >= 7 * CHUNK)
      wait_done(site, a, again)
      assert_written_once(b.disk, size)
    end)

    it("begins anew when that is gone", function()
      local site, a, b = two(12 * CHUNK)
      a:ship("n2", 100)
      wait_taken(site, b, 7 * CHUNK)
      b:kill()
      local again = Shipper.new(site, B, "n2")
      again:follow(3)
      wait_done(site, a, again)
      assert_written_once(again.disk, 12 * CHUNK)
    end)
  end)

  describe("when the leader changes", function()
    local function three(size)
      local site, a, b = two(size)
      local c = Shipper.new(site, C, "n3")
      a:introduce(b, c)
      a:ship("n2", 100)
      wait_taken(site, b, 6 * CHUNK)
      b:follow(4)
      c:lead(4)
      return site, a, b, c
    end

    it("goes on from the new one's file, if that is the same", function()
      local size <const> = 12 * CHUNK
      local site, a, b, c = three(size)
      c.disk:add { index = 100, size = size }
      c:ship("n2", 100)
      site:wait(function() return #c.shipped > 0 end)
      assert.same({ "n2 100 true" }, c.shipped)
      assert_written_once(b.disk, size)
      a:follow(4)
      assert.same({}, a.shipped)
      assert.equal(0, a.disk.pins)
      assert.same({}, a.shipping.list)
    end)

    for _, differs in ipairs { "index", "term", "size", "checksum" } do
      it("begins anew with a file of another " .. differs, function()
        local site, _, b, c = three(12 * CHUNK)
        local file = { index = 100, size = 12 * CHUNK, term = 1,
          checksum = 3100 }
        file[differs] = file[differs] + 1
        c.disk:add(file)
        c:ship("n2", 100)
        site:wait(function() return #c.shipped > 0 end)
        assert.same({ "n2 100 true" }, c.shipped)
        assert.equal(1, b.disk.dropped)
        assert.equal(file[differs], b.disk.finished[1][differs])
      end)
    end

    it("ends what the old one sends, and its core hears nothing", function()
      local site, a, b = two(12 * CHUNK)
      a:ship("n2", 100)
      wait_taken(site, b, 6 * CHUNK)
      a:follow(4)
      site:wait(function() return b:taken() and not b.receiving.transfer.channel
      end)
      assert.same({}, a.shipped)
      assert.equal(0, a.disk.pins)
      assert.is_nil(a.shipping:progress("n2"))
    end)

    it("ends what one began that leads again in another term", function()
      local site, a, b = two(12 * CHUNK)
      a:ship("n2", 100)
      wait_taken(site, b, 6 * CHUNK)
      a:lead(5)
      assert.same({}, a.shipping.list)
      a:ship("n2", 100)
      wait_done(site, a, b)
      assert_written_once(b.disk, 12 * CHUNK)
    end)
  end)

  describe("that the other end does not take", function()
    it("is had there already", function()  -- [Raft 7]
      local site, a, b = two(5 * CHUNK)
      b.commit = 100
      a:ship("n2", 100)
      site:wait(function() return #a.shipped > 0 end)
      assert.same({ "n2 100 true" }, a.shipped)
      assert.same({}, b.disk.written)
      assert.same({}, b.received)
    end)

    it("is of a leader that leads no more", function()
      local site, a, b = two(5 * CHUNK)
      b:follow(4)
      a:ship("n2", 100)
      site:wait(function() return #a.shipped > 0 end)
      assert.same({ "n2 100 false" }, a.shipped)
      assert.same({}, b.disk.written)
    end)

    it("finds no room: both are warned, and it comes again", function()
      local site, a, b = two(12 * CHUNK)
      b.disk.full_at = 5 * CHUNK
      a:ship("n2", 100)
      site:wait(function() return #a.warnings > 1 end)
      assert.equal("no_space", a.warnings[1].code)
      assert.equal("no_space", b.warnings[1].code)
      assert.is_true(b.disk.dropped >= 1)  -- what is there makes it no better
      assert.equal(1, a.disk.pins)
      b.disk.full_at = false
      wait_done(site, a, b)
    end)

    it("cannot be begun there", function()
      local site, a, b = two(5 * CHUNK)
      b.disk.refuse = require "raft.errors".new("io_error", "no such luck")
      a:ship("n2", 100)
      site:wait(function() return #a.warnings > 1 end)
      assert.equal("io_error", a.warnings[1].code)
      assert.truthy(a.warnings[1].message:find("no such luck", 1, true))
      b.disk.refuse = false
      wait_done(site, a, b)
    end)

    it("is damaged: thrown away, said, tried once more, given up", function()
      local site, a, b = two(5 * CHUNK)
      a.disk.rot_at = 2 * CHUNK + 5
      a:ship("n2", 100)
      site:wait(function() return #a.shipped > 0 end)
      assert.same({ "n2 100 false" }, a.shipped)
      assert.same({ "corrupt", "corrupt" }, a:codes())
      assert.same({ "corrupt", "corrupt" }, b:codes())
      assert.equal(2, b.disk.dropped)
      assert.same({}, b.received)
      assert.equal(0, a.disk.pins)
    end)

    it("waits while another one is written there", function()
      local site, a, b = two(12 * CHUNK)
      local c = Shipper.new(site, C, "n3")
      a:introduce(b, c)
      b.disk.write_ms = 50
      a:ship("n2", 100)
      wait_taken(site, b, 3 * CHUNK)
      c.disk:add { index = 300, size = CHUNK }
      c:lead(4)
      c:ship("n2", 100)
      site:wait(function() return #c.shipped > 0 end)
      assert.same({ "n2 100 true" }, c.shipped)
      assert.same({ 300 }, b.received)
    end)
  end)

  describe("of which there are more", function()
    it("goes on though a newer one is made [museum 108]", function()
      local site, a, b = two(30 * CHUNK)
      a:ship("n2", 100)
      for i = 1, 10 do
        wait_taken(site, b, 2 * i * CHUNK)
        a.disk:add { index = 100 + i, size = 30 * CHUNK }
        a:ship("n2", 100)
      end
      wait_done(site, a, b)
      assert_written_once(b.disk, 30 * CHUNK)
    end)

    it("makes room when what is needed now is more than it has", function()
      local site, a, b = two(30 * CHUNK)
      a:ship("n2", 100)
      wait_taken(site, b, 5 * CHUNK)
      a.disk:add { index = 200, size = 2 * CHUNK }
      a:ship("n2", 150)
      site:wait(function() return #a.shipped > 0 end)
      assert.same({ "n2 150 true" }, a.shipped)
      assert.same({ 200 }, b.received)
      assert.equal(0, a.disk.pins)
    end)

    it("is given up when too much log is kept for it", function()
      local site, a, b = two(30 * CHUNK)
      a:ship("n2", 100)
      wait_taken(site, b, 5 * CHUNK)
      a.log_before = 777
      wait_taken(site, b, 10 * CHUNK)
      assert.same({}, a.warnings)
      a.log_before = 778
      site:wait(function() return #a.shipped > 0 end)
      assert.same({ "n2 100 false" }, a.shipped)
      assert.equal("too_large", a.warnings[1].code)
      assert.equal(1 << 30, a.warnings[1].max)
      assert.equal(0, a.disk.pins)
      a.log_before = 0
      a.disk:add { index = 500, size = 2 * CHUNK }
      a:ship("n2", 400)
      site:wait(function() return #a.shipped > 1 end)
      assert.equal("n2 400 true", a.shipped[2])
    end)

    it("is not there: said, and not in a hurry", function()
      local site, a = two(1000)
      a:ship("n2", 101)
      site:wait(function() return #a.shipped > 0 end)
      assert.same({ "n2 101 false" }, a.shipped)
      local from = site:now()
      for i = 2, 8 do
        a:ship("n2", 101)
        site:wait(function() return #a.shipped == i end)
      end
      assert.is_true(site:now() - from > 6000)
    end)

    it("goes to two members at a time, and then to the others", function()
      local site = Site.new(support.seed())
      local a, others = Shipper.new(site, A, "n1"), {}
      for i = 2, 6 do
        others[i - 1] = Shipper.new(site, "10.0.0." .. i, "n" .. i)
        others[i - 1]:follow(3)
      end
      a:introduce(table.unpack(others))
      a.disk:add { index = 100, size = 6 * CHUNK }
      a:lead(3)
      for i = 2, 6 do a:ship("n" .. i, 100) end
      local most = 0
      site:wait(function()
        most = math.max(most, a.disk.pins)
        return #a.shipped == 5
      end)
      assert.equal(2, most)
      for _, node in ipairs(others) do assert.same({ 100 }, node.received) end
    end)

    it("goes to two members side by side", function()
      local site, a, b = two(40 * CHUNK)
      local c = Shipper.new(site, C, "n3")
      a:introduce(b, c)
      c:follow(3)
      a:ship("n2", 100)
      a:ship("n3", 100)
      site:wait(function() return (b:taken() or 0) >= 20 * CHUNK end)
      assert.is_true(c:taken() >= 16 * CHUNK, c:taken())
      site:wait(function() return #a.shipped == 2 end)
    end)

    it("goes to a witness without its state", function()
      local site, a, b, info = two(5 * CHUNK)
      -- What the fake makes of a file without state has another checksum.
      a:ship("n2", 100, true)
      wait_done(site, a, b)
      assert.same({ "0+40" }, b.disk.written)
      assert.equal(info.checksum + 1, b.disk.finished[1].checksum)
    end)
  end)
end)

describe("snapshots among nodes that fail", function()
  local IPS <const> = { A, B, C }

  -- Three nodes on a bad network; whoever leads ships to the others.
  local function three(seed)
    local site = Site.new(seed, { delay = { 1, 30 }, loss = 0.03,
      refuse = 0.1 })
    local nodes = {}
    for i = 1, 3 do nodes[i] = Shipper.new(site, IPS[i], "n" .. i) end
    nodes[1]:introduce(nodes[2], nodes[3])
    return site, nodes
  end

  local function restart(site, nodes, i, term)
    local disk, commit = nodes[i].disk, nodes[i].commit
    nodes[i]:kill()
    disk.pins = 0
    nodes[i] = Shipper.new(site, IPS[i], "n" .. i, { disk = disk })
    nodes[i].commit = commit
    nodes[1]:introduce(nodes[2], nodes[3])
    nodes[i]:follow(term)
  end

  -- What the core does: it wants shipped what is not known to be there.
  local function ship_all(nodes, leader)
    local newest = nodes[leader].disk:newest()
    for i, node in ipairs(nodes) do
      local is_behind = newest and node.commit < newest.index
      if i ~= leader and is_behind then
        nodes[leader]:ship("n" .. i, newest.index)
      end
    end
  end

  local function elect(nodes, leader, term)
    for i, node in ipairs(nodes) do
      node:set_role(i == leader and "leader" or "follower", term)
    end
  end

  local function make_snapshot(random, node, index)
    local size = random(1, 30) * CHUNK + random(0, 999)
    node.disk:add { index = index, size = size, checksum = index * 31 }
    node.commit = math.max(node.commit, index)
  end

  local function one_fault(random, site, nodes, world)
    local i = random(1, 3)
    local what = random(1, 9)
    if what == 1 then
      world.term, world.leader = world.term + 1, i
      elect(nodes, i, world.term)
    elseif what == 2 then
      restart(site, nodes, i, world.term)
      if i == world.leader then nodes[i]:lead(world.term) end
    elseif what == 3 then
      world.index = world.index + 100
      make_snapshot(random, nodes[world.leader], world.index)
    elseif what == 4 then
      nodes[i].disk.full_at = random(1, 20) * CHUNK
    elseif what == 5 then
      nodes[i].disk.full_at = false
    elseif what == 6 then
      site.network:cut(IPS[i], IPS[random(1, 3)])
    elseif what == 7 then
      site.network:heal()
    elseif what == 8 then
      nodes[i].disk.write_ms = random(1, 200)
    else
      break_channels(nodes[i])
    end
  end

  local function settle(site, nodes, world)
    site.network:heal()
    for _, node in ipairs(nodes) do
      node.disk.full_at, node.disk.write_ms = false, 1
    end
    local leader = nodes[world.leader]
    site:wait(function()
      ship_all(nodes, world.leader)
      local is_over = #leader.shipping.list == 0
      for _, node in ipairs(nodes) do
        is_over = is_over and node.commit >= world.index
      end
      return is_over
    end, 300000)
  end

  it("come to all in the end, and nothing stays pinned", function()
    local seed, done = support.seed(), 0
    for round = 1, 12 do
      local site, nodes = three(seed + round)
      local random = math.random
      local world = { term = 1, leader = 1, index = 100 }
      elect(nodes, 1, 1)
      make_snapshot(random, nodes[1], 100)
      for _ = 1, 25 do
        ship_all(nodes, world.leader)
        site:sleep(random(0, 400))
        one_fault(random, site, nodes, world)
      end
      -- Who leads in the end has the newest.
      if nodes[world.leader].commit < world.index then
        make_snapshot(random, nodes[world.leader], world.index)
      end
      settle(site, nodes, world)
      for _, node in ipairs(nodes) do
        assert.equal(0, node.disk.pins)
        done = done + #node.disk.finished
      end
    end
    assert.is_true(done >= 12, done)
  end)
end)
