-- What either end of a transfer makes of frames that no node of ours sends, in
-- an order that no node of ours has; and what it keeps in memory.
local Shipper = require "spec.support.shipper"
local Site = require "spec.sim.scripts.site"
local core = require "raft.core"
local errors = require "raft.errors"
local support = require "spec.support.helper"

local A <const>, B <const> = "10.0.0.1", "10.0.0.2"
local CHUNK <const> = core.SHIP_CHUNK_BYTES

-- A channel with nobody at its other end: what is written and how it ended.
local function fake_channel(id)
  local channel = { id = id, frames = {}, is_ended = false, reason = false,
    handlers = false }
  function channel:write(bytes)
    if self.is_ended then return false end
    self.frames[#self.frames + 1] = table.pack(core.ship_decode(bytes))
    return true
  end
  function channel:close(reason)
    if self.is_ended then return end
    self.is_ended, self.reason = true, reason
    if self.handlers.closed then self.handlers.closed(self, reason) end
  end
  return channel
end

describe("receiving", function()
  -- n2 with channels that a spec feeds.
  local function receiver()
    local site = Site.new(support.seed())
    local node = Shipper.new(site, B, "n2")
    node:follow(3)
    local function visit(id)
      local channel = fake_channel(id)
      node:on(function()
        channel.handlers = node.receiving:accept(channel)
      end)
      function channel.say(bytes)
        node:on(function() channel.handlers.bytes(channel, bytes) end)
        return channel
      end
      return channel
    end
    return node, visit, site
  end

  local function offer(fields, term)
    local info = Shipper.disk():add(fields)
    return core.ship_offer(term or 3, info), info
  end

  local function chunk(info, offset, size)
    return core.ship_chunk(3, offset, Shipper.content(info.checksum, offset,
      size))
  end

  local function last(channel)
    local frame = channel.frames[#channel.frames]
    return frame and frame[1], frame and frame[3]
  end

  it("answers an offer with where to go on from", function()
    local node, visit = receiver()
    local channel = visit("n1").say((offer { size = 9000 }))
    assert.same({ "taken", 0 }, { last(channel) })
    assert.equal(3, channel.frames[1][2])
    node:close()
  end)

  it("answers one that is said twice [museum 78]", function()
    local node, visit, site = receiver()
    local bytes, info = offer { size = 9000 }
    local channel = visit("n1").say(bytes)
    channel.say(chunk(info, 0, 4000)).say(bytes).say(chunk(info, 4000, 5000))
    site:wait(function() return #node.received == 1 end)
    local kinds = {}
    for i, frame in ipairs(channel.frames) do kinds[i] = frame[1] end
    assert.same({ "taken", "taken", "taken", "taken", "verdict" }, kinds)
    assert.same({ "verdict", "done" }, { last(channel) })
    node:close()
  end)

  it("answers who comes while it verifies [museum 78]", function()
    local node, visit, site = receiver()
    node.disk.verify_ms = 500
    local bytes, info = offer { size = 4000 }
    visit("n1").say(bytes).say(chunk(info, 0, 4000))
    site:wait(function() return node:taken() == 4000 end)
    local again = visit("n1").say(bytes)
    assert.same({ "taken", 4000 }, { last(again) })
    local other = visit("n1").say((offer({ index = 700, size = 5 }, 4)))
    assert.same({ "verdict", "busy" }, { last(other) })
    site:wait(function() return last(again) == "verdict" end)
    assert.same({ "verdict", "done" }, { last(again) })
    node:close()
  end)

  for name, broken in pairs {
    ["a chunk before an offer"] = function(info) return chunk(info, 0, 9) end,
    ["a verdict"] = function() return core.ship_verdict(3, "done", "") end,
    ["an answer"] = function() return core.ship_taken(3, 0) end,
    ["a damaged frame"] = function(info)
      return chunk(info, 0, 9):sub(1, -2) .. "!"
    end,
    ["a frame of a link"] = function()
      return core.hello_encode { id = "n1", to = "n2", cluster = "c" }
    end,
    ["a size of no frame"] = function() return ("<I4"):pack(7) end,
  } do
    it("closes on " .. name, function()
      local node, visit = receiver()
      local channel = visit("n1").say(broken(select(2, offer { size = 99 })))
      assert.is_true(channel.is_ended)
      assert.same({}, channel.frames)
      assert.same({}, node.receiving.visitors.list)
      node:close()
    end)
  end

  for name, at in pairs { gap = { 1, 100 }, overlap = { 0, 100, 50, 100 },
    ["end beyond the file"] = { 0, 9001 } } do
    it("closes on a chunk with a" .. (name:find("^[eo]") and "n " or " ")
      .. name, function()
      local node, visit = receiver()
      local bytes, info = offer { size = 9000 }
      local channel = visit("n1").say(bytes)
      for i = 1, #at, 2 do channel.say(chunk(info, at[i], at[i + 1])) end
      assert.equal("a chunk out of order", channel.reason)
      node:close()
    end)
  end

  it("closes on more than a window of chunks, and keeps a window", function()
    local node, visit, site = receiver()
    node.disk.write_ms = 5000
    local bytes, info = offer { size = 100 * CHUNK }
    local channel = visit("n1").say(bytes)
    for i = 0, 20 do
      local bytes_i = chunk(info, i * CHUNK, CHUNK)
      if not channel.is_ended then channel.say(bytes_i) end
    end
    assert.equal("too much at once", channel.reason)
    local transfer = node.receiving.transfer
    assert.is_true(transfer.queue:is_empty())
    site:wait(function() return node:taken() == CHUNK end)
    -- and it goes on from there
    local again = visit("n1").say(bytes)
    assert.same({ "taken", CHUNK }, { last(again) })
    again.say(chunk(info, CHUNK, CHUNK))
    site:wait(function() return node:taken() == 2 * CHUNK end)
    node:close()
  end)

  it("does not mind pings", function()
    local node, visit = receiver()
    local channel = visit("n1").say(core.ping()).say((offer { size = 9 }))
    assert.same({ "taken", 0 }, { last(channel) })
    node:close()
  end)

  it("closes a channel on which nothing comes, pings or not", function()
    local node, visit, site = receiver()
    local channel = visit("n1")
    for _ = 1, 28 do
      site:sleep(1000)
      channel.say(core.ping())
    end
    assert.is_false(channel.is_ended)
    site:sleep(8000)
    assert.equal("nothing comes", channel.reason)
    node:close()
  end)

  it("does not close one that waits for the disk", function()
    local node, visit, site = receiver()
    node.disk.write_ms = 50000
    local bytes, info = offer { size = 9000 }
    local channel = visit("n1").say(bytes).say(chunk(info, 0, 9000))
    site:sleep(48000)
    assert.is_false(channel.is_ended)
    site:wait(function() return last(channel) == "verdict" end)
    assert.same({ "verdict", "done" }, { last(channel) })
    node:close()
  end)

  it("says who leads now to who does no more", function()
    local node, visit = receiver()
    local newer = visit("n5").say((offer({ size = 9 }, 7)))
    assert.same({ "taken", 0 }, { last(newer) })
    local older = visit("n1").say((offer({ index = 300, size = 9 }, 6)))
    assert.same({ "verdict", "stale" }, { last(older) })
    assert.is_false(newer.is_ended)
    node:close()
  end)

  it("takes one at a time from one term", function()
    local node, visit = receiver()
    visit("n1").say((offer { size = 9 }))
    local other = visit("n5").say((offer { index = 300, size = 9 }))
    assert.same({ "verdict", "busy" }, { last(other) })
    node:close()
  end)

  it("takes none while it leads", function()
    local node, visit, site = receiver()
    local bytes, info = offer { size = 9 }
    local channel = visit("n1").say(bytes)
    node:lead(3)
    channel.say(chunk(info, 0, 9))
    site:wait(function() return last(channel) == "verdict" end)
    assert.same({ "verdict", "have" }, { last(channel) })
    assert.same({}, node.received)
    channel.say((offer({ index = 300, size = 9 }, 4)))
    assert.same({ "verdict", "busy" }, { last(channel) })
    node:close()
  end)

  it("throws away what the log has overtaken", function()
    local node, visit, site = receiver()
    local bytes, info = offer { index = 100, size = 9000 }
    local channel = visit("n1").say(bytes).say(chunk(info, 0, 5000))
    site:wait(function() return node:taken() == 5000 end)
    channel:close("gone")
    site:sleep(20000)
    assert.equal(5000, node:taken())
    node.commit = 100
    site:sleep(6000)
    assert.is_false(node:taken())
    assert.equal(1, node.disk.dropped)
    node:close()
  end)

  it("throws nothing away that the disk is at work on", function()
    local node, visit, site = receiver()
    node.disk.write_ms = 20000
    local bytes, info = offer { index = 100, size = 9000 }
    visit("n1").say(bytes).say(chunk(info, 0, 5000)):close("gone")
    node.commit = 100
    site:sleep(16000)
    assert.equal(0, node.disk.dropped)
    site:sleep(10000)
    assert.equal(1, node.disk.dropped)
    node:close()
  end)

  it("leaves the disk alone once it is closed", function()
    local node, visit, site = receiver()
    node.disk.write_ms = 1000
    local bytes, info = offer { size = 9000 }
    visit("n1").say(bytes).say(chunk(info, 0, 4000))
      .say(chunk(info, 4000, 5000))
    node:on(function() node.receiving:close() end)
    site:sleep(5000)
    assert.same({ "0+4000" }, node.disk.written)
    assert.same({}, node.disk.finished)
    node:close()
  end)

  it("knows whose file it is that goes on", function()
    local node, visit = receiver()
    local info = select(2, offer { size = 9 })
    visit("n1").say(core.ship_offer(3, info))
    local newer = visit("n5").say(core.ship_offer(4, info))
    assert.same({ "taken", 0 }, { last(newer) })
    local other = visit("n6").say((offer({ index = 300, size = 9 }, 4)))
    assert.same({ "verdict", "busy" }, { last(other) })
    node:close()
  end)

  it("warns when the core does not take it", function()
    local node, visit, site = receiver()
    node.driver.core.snapshot_received = function() return nil, "odd" end
    local bytes, info = offer { size = 9 }
    local channel = visit("n1").say(bytes).say(chunk(info, 0, 9))
    site:wait(function() return last(channel) == "verdict" end)
    assert.same({ "verdict", "failed" }, { last(channel) })
    assert.same({ "failed" }, node:codes())
    node:close()
  end)

  it("survives whatever comes", function()
    local node, visit, site = receiver()
    local bytes, info = offer { size = 6000 }
    local sayings = { function() return bytes end,
      function() return (offer({ index = 200, size = 99 }, 3)) end,
      function() return (offer({ index = 300, size = 99 }, 5)) end,
      function() return chunk(info, node:taken() or 0, 1000) end,
      function() return core.ship_chunk(3, math.random(0, 9), "abc") end,
      function() return core.ping() end,
      function() return ("x"):rep(math.random(1, 60)) end }
    for _ = 1, 300 do
      local channel = visit("n" .. math.random(1, 3))
      for _ = 1, math.random(1, 12) do
        local saying = sayings[math.random(#sayings)]()
        if not channel.is_ended then channel.say(saying) end
        if math.random(3) == 1 then site:sleep(math.random(0, 3)) end
      end
      if math.random(2) == 1 then channel:close("enough") end
      if #node.receiving.visitors.list > 6 then site:sleep(40000) end
    end
    node:close()
    assert.same({}, node.receiving.visitors.list)
  end)
end)

describe("shipping", function()
  -- n1 that leads, and whose channels a spec answers.
  local function sender(size)
    local site = Site.new(support.seed())
    local node = Shipper.new(site, A, "n1")
    local channels = {}
    node.disk:add { size = size }
    node:lead(3)
    node.driver.transport = {
      random = function() return 0.5 end,
      close_now = function() end,
      open_channel = function(_, id, handlers)
        if node.dial_error then return nil, node.dial_error end
        local channel = fake_channel(id)
        channel.handlers = handlers
        function channel.say(bytes)
          node:on(function() handlers.bytes(channel, bytes) end)
        end
        channels[#channels + 1] = channel
        return channel
      end,
    }
    local function opened()
      local count = #channels
      site:wait(function() return #channels > 0
        and not channels[#channels].is_ended end)
      local channel = channels[math.max(count, #channels)]
      node:on(function() channel.handlers.open(channel) end)
      return channel
    end
    return node, opened, site, channels
  end

  it("offers the file, and sends from where it is told", function()
    local node, opened, site = sender(3000)
    node:ship("n2", 100)
    local channel = opened()
    assert.same({ "offer", 3 }, { channel.frames[1][1], channel.frames[1][2] })
    assert.equal(3000, channel.frames[1][3].size)
    channel.say(core.ship_taken(3, 1234))
    site:wait(function() return #channel.frames == 2 end)
    assert.same({ "chunk", 3, 1234 }, { table.unpack(channel.frames[2], 1, 3) })
    assert.equal(3000 - 1234, #channel.frames[2][4])
    node:close()
  end)

  for name, answer in pairs {
    ["an answer beyond the file"] = core.ship_taken(3, 99999999),
    ["an offer"] = core.ship_offer(3, Shipper.disk():add {}),
    ["a chunk"] = core.ship_chunk(3, 0, "x"),
    ["a damaged frame"] = core.ship_taken(3, 0):sub(1, -2) .. "!",
    ["a size of no frame"] = ("<I4"):pack(1 << 31),
  } do
    it("begins again after " .. name, function()
      local node, opened, site = sender(3000)
      node:ship("n2", 100)
      local channel = opened()
      channel.say(answer)
      assert.is_true(channel.is_ended)
      local again = opened()
      again.say(core.ship_taken(3, 3000))
      again.say(core.ship_verdict(3, "done", ""))
      site:wait(function() return #node.shipped == 1 end)
      assert.same({ "n2 100 true" }, node.shipped)
      node:close()
    end)
  end

  it("takes no answer for what was not sent, nor one that goes back",
    function()
      local node, opened, site = sender(20 * CHUNK)
      node:ship("n2", 100)
      local channel = opened()
      channel.say(core.ship_taken(3, 0))
      site:wait(function() return #channel.frames == 3 end)
      channel.say(core.ship_taken(3, CHUNK))
      assert.is_false(channel.is_ended)
      channel.say(core.ship_taken(3, CHUNK - 1))
      assert.is_true(channel.is_ended)
      channel = opened()
      channel.say(core.ship_taken(3, CHUNK))
      site:wait(function() return #channel.frames == 2 end)
      channel.say(core.ship_taken(3, 9 * CHUNK))
      assert.is_true(channel.is_ended)
      node:close()
    end)

  it("takes a verdict of a later version for a failure", function()
    local node, opened = sender(3000)
    node:ship("n2", 100)
    local channel = opened()
    local frame = core.ship_verdict(3, "done", "")
    -- Byte 28 is the code; the head has a checksum.
    local changed = frame:sub(1, 28) .. "\200" .. frame:sub(30)
    local crc = core.crc32c(changed:sub(1, 4), changed:sub(9))
    channel.say(changed:sub(1, 4) .. ("<I4"):pack(crc) .. changed:sub(9))
    assert.same({ "io_error" }, node:codes())
    assert.same({}, node.shipped)
    node:close()
  end)

  it("waits longer from break to break", function()
    local node, _, site, channels = sender(3000)
    node:ship("n2", 100)
    local at = {}
    for i = 1, 9 do
      site:wait(function() return #channels == i end)
      at[i] = site:now()
      node:on(function() channels[i]:close("broken") end)
    end
    for i = 3, 9 do
      local wait, before = at[i] - at[i - 1], at[i - 1] - at[i - 2]
      assert.is_true(wait >= before - 2 and wait <= 2 * before + 4, i)
    end
    assert.is_true(at[9] - at[8] > 3000)
    node:close()
  end)

  it("waits, too, when no channel is to be had", function()
    local node, _, site = sender(3000)
    node.dial_error = "busy"
    node:ship("n2", 100)
    site:sleep(3000)
    assert.same({}, node.shipped)
    assert.equal(1, node.disk.pins)
    site:wait(function() return #node.shipped == 1 end, 70000)
    assert.same({ "n2 100 false" }, node.shipped)
    assert.equal(0, node.disk.pins)
    node:close()
  end)

  it("waits little again once something came over", function()
    local node, opened, site, channels = sender(20 * CHUNK)
    node:ship("n2", 100)
    for i = 1, 6 do
      site:wait(function() return #channels == i end)
      node:on(function() channels[i]:close("broken") end)
    end
    local channel = opened()
    channel.say(core.ship_taken(3, CHUNK))
    node:on(function() channel:close("broken") end)
    assert.is_true(site:wait(function() return #channels == 8 end) <= 101)
    node:close()
  end)

  it("drops what was read for a connection that is gone", function()
    local node, opened, site = sender(20 * CHUNK)
    node.disk.read_ms = 1000
    node:ship("n2", 100)
    local channel = opened()
    channel.say(core.ship_taken(3, 0))
    site:sleep(10)
    node:on(function() channel:close("broken") end)
    channel = opened()
    channel.say(core.ship_taken(3, 5 * CHUNK))
    site:wait(function() return #channel.frames == 2 end)
    assert.equal(5 * CHUNK, channel.frames[2][3])
    node:close()
  end)

  it("hears nothing of what comes behind a broken frame", function()
    local node, opened = sender(3000)
    node:ship("n2", 100)
    local done = core.ship_verdict(3, "done", "")
    opened().say(core.ship_chunk(3, 0, "x") .. done)
    opened().say(core.ship_taken(3, 4000) .. done)
    assert.same({}, node.shipped)
    node:close()
  end)

  it("is given up when it breaks again and again at one place", function()
    local node, opened, site = sender(20 * CHUNK)
    node:ship("n2", 100)
    for _ = 1, 30 do
      local channel = opened()
      channel.say(core.ship_taken(3, 0))
      site:wait(function() return #channel.frames == 3 end)
      channel.say(core.ship_taken(3, CHUNK))
      node:on(function() channel:close("broken") end)
      if #node.shipped > 0 then break end
    end
    assert.same({ "n2 100 false" }, node.shipped)
    assert.equal(0, node.disk.pins)
    node:close()
  end)

  for name, fault in pairs {
    ["cannot be read"] = errors.new("io_error", "the disk is ill"),
    ["has become shorter"] = false,
  } do
    it("says that its file " .. name, function()
      local node, opened, site = sender(3000)
      node.disk.read_error = fault
      if not fault then
        node.disk.files[1].size = 10 * CHUNK  -- the fake has no more than so
        node.disk.cut_at = CHUNK
      end
      node:ship("n2", 100)
      local channel = opened()
      channel.say(core.ship_taken(3, 0))
      site:wait(function() return #node.shipped == 1 end)
      assert.same({ "n2 100 false" }, node.shipped)
      assert.same({ fault and "io_error" or "corrupt" }, node:codes())
      assert.is_true(channel.is_ended)
      assert.equal(0, node.disk.pins)
      node:close()
    end)
  end

  it("tells the core nothing more once it is closed", function()
    local node, opened = sender(3000)
    node:ship("n2", 100)
    local channel = opened()
    node:close()
    assert.is_true(channel.is_ended)
    assert.same({}, node.shipped)
    assert.equal(0, node.disk.pins)
  end)
end)

describe("a transfer's memory", function()
  it("is that of a few chunks at both ends, whatever the file", function()
    local SIZE <const> = 256 << 20
    local site = Site.new(support.seed())
    local a, b = Shipper.new(site, A, "n1"), Shipper.new(site, B, "n2")
    a:introduce(b)
    a.disk:add { size = SIZE }
    a:lead(3)
    b:follow(3)
    collectgarbage()
    local before, most, looks = collectgarbage("count"), 0, 0
    a:ship("n2", 100)
    local next_look = 0
    site:wait(function()
      local taken = b:taken() or 0
      if taken >= next_look then
        next_look, looks = next_look + (8 << 20), looks + 1
        collectgarbage()
        most = math.max(most, collectgarbage("count") - before)
      end
      return #a.shipped > 0
    end)
    assert.same({ "n2 100 true" }, a.shipped)
    assert.is_true(looks >= 30, looks)
    -- Four chunks on their way, one in each buffer, and the virtual wire.
    assert.is_true(most < 12 * CHUNK / 1024, most .. " KiB")
    a:close()
    b:close()
  end)
end)
