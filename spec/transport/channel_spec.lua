--- Connections beside the link: opened, refused, bounded, ended.
local Proxy = require "spec.support.proxy"
local core = require "raft.core"
local links = require "spec.support.links"
local support = require "spec.support.helper"
local uv = require "luv"

local wait_until = support.wait_until

local WATCHFUL <const> = { ping_ms = 20, alive_ms = 60, silence_ms = 120 }

-- Handlers that note what they are told: into .events and .got.
local function noting()
  local notes = { events = {}, got = "", channel = false }
  function notes.count(event)
    local count = 0
    for _, noted in ipairs(notes.events) do
      if noted == event then count = count + 1 end
    end
    return count
  end
  notes.handlers = {
    open = function(channel)
      notes.channel = channel
      notes.events[#notes.events + 1] = "open " .. channel.id
    end,
    bytes = function(_, chunk) notes.got = notes.got .. chunk end,
    closed = function(channel, reason)
      notes.events[#notes.events + 1] = "closed " .. channel.id
      notes.reason = reason
    end,
  }
  return notes
end

-- A node that takes channels, and notes them in order in .came.
local function taker(id, options)
  options = options or {}
  local came = {}
  options.id, options.on = id, options.on or {}
  options.on.channel = options.on.channel or function(channel)
    local notes = noting()
    notes.channel = channel
    came[#came + 1] = notes
    return notes.handlers
  end
  local node = links.node(options)
  node.came = came
  return node
end

-- n1 and n2, linked; n2 takes channels.
local function two(limits, changes)
  local a = taker("n1", { limits = limits })
  local options = { limits = limits }
  for name, value in pairs(changes or {}) do options[name] = value end
  local b = taker("n2", options)
  links.introduce(a, b)
  links.wait_linked(a, b)
  return a, b
end

-- Bytes without the pings among them.
local function without_pings(bytes)
  return (bytes:gsub(core.ping():gsub("%W", "%%%0"), ""))
end

local function open(a, b)
  local notes, before = noting(), #b.came
  assert(a.transport:open_channel(b.id, notes.handlers))
  wait_until(function() return notes.channel and #b.came > before end, nil,
    "a channel")
  return notes, b.came[#b.came]
end

local function hello_of(changes)
  local hello = { id = "n2", to = "n1", cluster = "shop", nonce = 222,
    purpose = "snapshot" }
  for name, value in pairs(changes or {}) do hello[name] = value end
  return hello
end

describe("a channel", function()
  it("carries bytes both ways, beside the link", function()
    local a, b = two()
    local here, there = open(a, b)
    local expected = {}
    for i = 1, 40 do
      expected[i] = ("<%d>"):format(i):rep(5000)
      assert.is_true(here.channel:write(expected[i]))
    end
    assert.is_true(there.channel:write("back"))
    links.pass(a, b, "on the link")
    expected = table.concat(expected)
    wait_until(function() return without_pings(there.got) == expected end)
    wait_until(function() return without_pings(here.got) == "back" end)
    assert.equal("on the link", b:got("n1"))
    assert.is_true(here.channel.is_dialed)
    assert.is_false(there.channel.is_dialed)
    assert.equal("snapshot", there.channel.hello.purpose)
    assert.equal("n2", here.channel.hello.id)
    links.close(a, b)
  end)

  it("is no rival of the link, nor of one the other way", function()
    local a, b = two()
    local here, there = open(a, b)
    local back, forth = open(b, a)
    assert.same({ "open n2" }, a.events)
    assert.same({ "open n1" }, b.events)
    assert.equal(0, a:status().duplicates + b:status().duplicates)
    assert.equal(2, a:status().channels)
    assert.equal(1, a:status().links)
    back.channel:write("b to a")
    wait_until(function() return without_pings(forth.got) == "b to a" end)
    assert.same({ "open n2" }, here.events)
    assert.same({ "open n1" }, there.events)
    links.close(a, b)
  end)

  it("outlives the link, and the next one", function()
    local link
    local a, b = two(nil, { on = { open = function(new) link = new end } })
    local here, there = open(a, b)
    link:close("cut")
    wait_until(function() return a:count("open n2") == 2 end)
    links.wait_linked(a, b)
    here.channel:write("still")
    wait_until(function() return without_pings(there.got) == "still" end)
    links.close(a, b)
  end)

  it("is told as closed at both ends, once, with the reason", function()
    local a, b = two()
    local here, there = open(a, b)
    here.channel:close("done with it")
    assert.same({ "open n2", "closed n2" }, here.events)
    assert.equal("done with it", here.reason)
    assert.is_false(here.channel:write("late"))
    here.channel:close("again")
    wait_until(function() return there.count("closed n1") == 1 end)
    assert.same({ "open n2", "closed n2" }, here.events)
    assert.equal(0, a:status().channels + b:status().channels)
    links.close(a, b)
  end)

  it("hands up what comes right behind the greeting", function()
    local a = taker("n1")
    local raw = links.raw(a:address()):read()
    raw:send(core.hello_encode(hello_of()))
    wait_until(function() return #raw.got > 0 end)
    raw:send(core.ping() .. "the rest")
    wait_until(function() return a.came[1] and a.came[1].got == "the rest" end)
    assert.same({}, a.events)
    raw:close()
    a:close()
  end)

  describe("that is dialed", function()
    it("needs a peer", function()
      local a = taker("n1")
      local channel, code = a.transport:open_channel("n2", {})
      assert.is_nil(channel)
      assert.equal("unknown", code)
      a:close()
    end)

    it("is told from the loop when nobody is there", function()
      local a, nobody = taker("n1"), links.node { id = "n2" }
      local where = nobody:address()
      nobody:close()
      a.transport:peers({ n2 = where })
      local notes = noting()
      local channel = a.transport:open_channel("n2", notes.handlers)
      assert.same({}, notes.events)
      wait_until(function() return notes.reason end)
      assert.same({ "closed n2" }, notes.events)
      assert.equal("ECONNREFUSED", notes.reason)
      assert.is_false(channel:write("x"))
      assert.equal(0, channel:queued())
      a:close()
    end)

    it("is tried once", function()
      local server, dials = assert(uv.new_tcp()), 0
      assert(server:bind("127.0.0.1", 0))
      assert(server:listen(16, function()
        local stream = uv.new_tcp()
        server:accept(stream)
        stream:close()
        dials = dials + 1
      end))
      local port = server:getsockname().port // 1 | 0
      -- Its own dialer of the link waits for so long.
      local a = taker("n1", { limits = { dial_min_ms = 60000,
        dial_max_ms = 60000 } })
      a.transport:peers({ n2 = "127.0.0.1:" .. port })
      wait_until(function() return dials == 1 end)
      local notes, timer_fired = noting(), false
      a.transport:open_channel("n2", notes.handlers)
      wait_until(function() return notes.reason end)
      local timer = uv.new_timer()
      timer:start(50, 0, function() timer_fired = true end)
      wait_until(function() return timer_fired end)
      timer:close()
      assert.equal(2, dials)
      assert.same({ "closed n2" }, notes.events)
      a:close()
      server:close()
    end)

    it("is given up when nobody answers the greeting", function()
      local server, streams = assert(uv.new_tcp()), {}
      assert(server:bind("127.0.0.1", 0))
      assert(server:listen(16, function()
        local stream = uv.new_tcp()
        server:accept(stream)
        streams[#streams + 1] = stream
      end))
      local port = server:getsockname().port // 1 | 0
      local a = taker("n1", { limits = { hello_ms = 40 } })
      a.transport:peers({ n2 = "127.0.0.1:" .. port })
      local notes = noting()
      a.transport:open_channel("n2", notes.handlers)
      wait_until(function() return notes.reason end)
      assert.equal("no greeting in time", notes.reason)
      a:close()
      server:close()
      for _, stream in ipairs(streams) do stream:close() end
    end)

    it("hears that the other end refused", function()
      local a, b = two(nil, { judge = function(hello)
        if hello.purpose == "peer" then return true end
        return false, { code = "rolled_back", text = "an old copy" }
      end })
      local notes = noting()
      a.transport:open_channel("n2", notes.handlers)
      wait_until(function() return notes.reason end)
      assert.equal("refused by the peer", notes.reason)
      assert.same({ { peer = "n2", code = "rolled_back",
        text = "an old copy" } }, a.refusals)
      assert.same({ "open n2" }, a.events)
      links.close(a, b)
    end)

    it("does not open on an answer for another purpose", function()
      local server, streams = assert(uv.new_tcp()), {}
      assert(server:bind("127.0.0.1", 0))
      assert(server:listen(16, function()
        local stream = uv.new_tcp()
        server:accept(stream)
        stream:write(core.hello_encode(hello_of { purpose = "peer" }))
        streams[#streams + 1] = stream
      end))
      local a = taker("n1", { judge = function(_, link)
        return link.purpose == "snapshot", { code = "busy", text = "no" }
      end })
      local port = server:getsockname().port // 1 | 0
      a.transport:peers({ n2 = "127.0.0.1:" .. port })
      local notes = noting()
      a.transport:open_channel("n2", notes.handlers)
      wait_until(function() return notes.reason end)
      assert.equal("bad frame", notes.reason)
      assert.is_true(a:status().bad_frame > 0)
      a:close()
      server:close()
      for _, stream in ipairs(streams) do stream:close() end
    end)

    it("is bounded in number, and comes again", function()
      local a, b = two({ channels_max = 2 })
      local first = open(a, b)
      local second = noting()
      a.transport:open_channel("n2", second.handlers)
      local channel, code = a.transport:open_channel("n2", {})
      assert.is_nil(channel)
      assert.equal("busy", code)
      first.channel:close("room")
      wait_until(function() return second.channel end)
      assert.truthy(a.transport:open_channel("n2", noting().handlers))
      links.close(a, b)
    end)
  end)

  describe("that comes in", function()
    it("is refused where channels are not served", function()
      local a = links.node { id = "n1" }
      local raw = links.raw(a:address()):read()
      raw:send(core.hello_encode(hello_of()))
      raw:wait_ended()
      assert.equal("unsupported", (core.refusal_decode(raw.got)))
      assert.equal(1, a:status().refused)
      raw:close()
      a:close()
    end)

    it("is refused for another purpose", function()
      local a = taker("n1")
      local raw = links.raw(a:address()):read()
      raw:send(core.hello_encode(hello_of { purpose = "client" }))
      raw:wait_ended()
      assert.equal("unsupported", (core.refusal_decode(raw.got)))
      raw:close()
      a:close()
    end)

    it("is refused when it is meant for somebody else", function()
      local a = taker("n1")
      local raw = links.raw(a:address()):read()
      raw:send(core.hello_encode(hello_of { to = "n7" }))
      raw:wait_ended()
      assert.equal("cluster_mismatch", (core.refusal_decode(raw.got)))
      raw:close()
      a:close()
    end)

    it("ends when its owner does not want it", function()
      local a, b = two(nil, { on = { channel = function() return false end } })
      local notes = noting()
      a.transport:open_channel("n2", notes.handlers)
      wait_until(function() return notes.count("closed n2") == 1 end)
      assert.equal(0, b:status().channels)
      links.close(a, b)
    end)

    it("replaces the one that the same peer dialed before", function()
      local a, b = two()
      local here, there = open(a, b)
      local again = open(a, b)
      assert.equal("replaced", there.reason)
      wait_until(function() return here.count("closed n2") == 1 end)
      assert.same({ "open n2" }, again.events)
      assert.equal(1, b:status().channels)
      links.close(a, b)
    end)

    it("is bounded in number: who comes late is refused", function()
      local a = taker("n1", { limits = { channels_max = 2 } })
      local raws = {}
      for i = 1, 4 do
        local raw = links.raw(a:address()):read()
        raws[i] = raw:send(core.hello_encode(hello_of { id = "n" .. i + 1 }))
        wait_until(function() return #raw.got > 0 end)
        if i <= 2 then raw:send(core.ping()) end
        wait_until(function() return #a.came == math.min(i, 2) end)
      end
      for i = 3, 4 do
        raws[i]:wait_ended()
        assert.equal("busy", (core.refusal_decode(raws[i].got)))
      end
      assert.equal(2, a:status().channels)
      raws[1]:close()
      wait_until(function() return a:status().channels == 1 end)
      local late = links.raw(a:address()):read()
      late:send(core.hello_encode(hello_of { id = "n8" }))
      wait_until(function() return #late.got > 0 end)
      late:send(core.ping())
      wait_until(function() return #a.came == 3 end)
      late:close()
      for _, raw in ipairs(raws) do raw:close() end
      a:close()
    end)

    it("is bounded, too, when many greet at once", function()
      local a, raws = taker("n1", { limits = { channels_max = 2 } }), {}
      for i = 1, 5 do
        raws[i] = links.raw(a:address()):read()
        raws[i]:send(core.hello_encode(hello_of { id = "n" .. i + 1 }))
        wait_until(function() return #raws[i].got > 0 end)
      end
      for i = 1, 5 do raws[i]:send(core.ping()) end
      wait_until(function()
        local ended = 0
        for i = 1, 5 do ended = ended + (raws[i].is_ended and 1 or 0) end
        return ended == 3
      end)
      assert.equal(2, #a.came)
      assert.equal(2, a:status().channels)
      for i = 1, 5 do raws[i]:close() end
      a:close()
    end)

    it("must greet in time, whatever it is", function()
      local a = taker("n1", { limits = { hello_ms = 40 } })
      local raw = links.raw(a:address()):read()
      raw:send(core.hello_encode(hello_of()))  -- and never a ping
      raw:wait_ended()
      assert.equal(1, a:status().peer_timeout)
      assert.equal(0, #a.came)
      raw:close()
      a:close()
    end)

    it("opens on no damaged greeting", function()
      local a = taker("n1")
      local hello = core.hello_encode(hello_of())
      support.seed()
      for _ = 1, 40 do
        local at = math.random(5, #hello)  -- the size has its own spec
        local bit = 1 << math.random(0, 7)
        local raw = links.raw(a:address()):read()
        raw:send(hello:sub(1, at - 1) .. string.char(hello:byte(at) ~ bit)
          .. hello:sub(at + 1) .. core.ping())
        raw:wait_ended()
        raw:close()
      end
      assert.equal(0, #a.came)
      assert.equal(40, a:status().bad_frame)
      links.close(a)
    end)
  end)

  describe("that is idle", function()
    it("stays open, by pings", function()
      local a, b = two(WATCHFUL)
      local here, there = open(a, b)
      local link = here.channel.link
      wait_until(function()
        return link.rounds * a.transport.limits.round_ms
          > 4 * WATCHFUL.silence_ms
      end)
      assert.same({ "open n2" }, here.events)
      assert.same({ "open n1" }, there.events)
      links.close(a, b)
    end)

    it("ends when nobody is heard", function()
      local a, b = taker("n1", { limits = WATCHFUL }), taker("n2")
      local proxy = Proxy.new(uv, b:address())
      a.transport:peers({ n2 = proxy:address() })
      local here = open(a, b)
      proxy:cut()
      wait_until(function() return here.reason end)
      assert.equal("link is silent", here.reason)
      proxy:close()
      links.close(a, b)
    end)
  end)

  it("is greeted anew, by its owner, when our hello has changed", function()
    local a, b = two()
    local here = open(a, b)
    a.hello.identity = ("I"):rep(16)
    a.transport:regreet()
    assert.is_false(here.channel:write("x"))
    assert.equal(0, here.count("closed n2"))  -- it is told from the loop
    wait_until(function() return here.reason end)
    links.close(a, b)
  end)

  it("may be closed in any state", function()
    support.seed()
    local a, b = two()
    for _ = 1, 60 do
      local notes = noting()
      local channel = assert(a.transport:open_channel("n2", notes.handlers))
      local turns = math.random(0, 6)
      wait_until(function()
        turns = turns - 1
        return turns < 0
      end)
      channel:close("enough")
      assert.equal(1, notes.count("closed n2"))
    end
    wait_until(function() return b:status().channels == 0 end)
    assert.equal(0, a:status().channels)
    links.pass(a, b, "undisturbed")
    links.close(a, b)
  end)

  it("ends with the transport, which tells nothing more", function()
    support.seed()
    for _ = 1, 20 do
      local a, b = two()
      local notes = noting()
      a.transport:open_channel("n2", notes.handlers)
      local turns = math.random(0, 6)
      wait_until(function()
        turns = turns - 1
        return turns < 0
      end)
      a:close()
      assert.equal(0, notes.count("closed n2"))
      assert.is_nil((a.transport:open_channel("n2", {})))
      b:close()
    end
  end)
end)
