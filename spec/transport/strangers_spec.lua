--- What comes from outside costs a connection, never the node.
local core = require "raft.core"
local links = require "spec.support.links"
local support = require "spec.support.helper"
local uv = require "luv"

local wait_until = support.wait_until

local function hello_of(changes)
  local hello = { id = "n2", to = "n1", cluster = "shop", nonce = 222 }
  for name, value in pairs(changes or {}) do hello[name] = value end
  return hello
end

-- CRC-32C, bit by bit: for frames that raft.core does not make.
local function crc32c(bytes)
  local crc = 0xffffffff
  for i = 1, #bytes do
    crc = crc ~ bytes:byte(i)
    for _ = 1, 8 do
      crc = crc & 1 == 1 and crc >> 1 ~ 0x82f63b78 or crc >> 1
    end
  end
  return crc ~ 0xffffffff
end

-- A node that still does its work: another one can link with it.
local function assert_serves(node)
  local other = links.node { id = "n8" }
  other.transport:peers({ [node.id] = node:address() })
  wait_until(function()
    return node.transport:has("n8") and other.transport:has(node.id)
  end, nil, "a link among strangers")
  links.pass(other, node, "at work")
  other:close()
end

describe("transport, met by strangers,", function()
  it("closes on random bytes", function()
    support.seed()
    local a = links.node { id = "n1" }
    for _ = 1, 30 do
      local bytes = {}
      for i = 1, math.random(24, 4000) do
        bytes[i] = string.char(math.random(0, 255))
      end
      -- A size that is believed: what follows is judged, too.
      bytes[1], bytes[2], bytes[3], bytes[4] = "\24", "\0", "\0", "\0"
      local raw = links.raw(a:address()):read():send(table.concat(bytes))
      raw:wait_ended()
      raw:close()
    end
    assert.equal(30, a:status().bad_frame)
    assert_serves(a)
    a:close()
  end)

  for _, size in ipairs({ 0, 23, 1025, 1 << 20, 1 << 31, (1 << 32) - 1 }) do
    it("closes at once on a first frame of " .. size .. " bytes", function()
      local a = links.node { id = "n1" }
      local raw = links.raw(a:address()):read():send(("<I4"):pack(size))
      raw:wait_ended()
      assert.equal(1, a:status().bad_frame)
      assert.equal(0, a:status().pending)
      raw:close()
      a:close()
    end)
  end

  it("closes on a frame that is no hello", function()
    local a = links.node { id = "n1" }
    local raw = links.raw(a:address()):read():send(core.ping())
    raw:wait_ended()
    assert.equal(1, a:status().bad_frame)
    raw:close()
    a:close()
  end)

  it("closes on a damaged hello", function()
    local a = links.node { id = "n1" }
    local bytes = core.hello_encode(hello_of())
    local raw = links.raw(a:address()):read()
    raw:send(bytes:sub(1, -2) .. string.char(bytes:byte(-1) ~ 1))
    raw:wait_ended()
    assert.equal("", raw.got)
    assert.equal(1, a:status().bad_frame)
    raw:close()
    a:close()
  end)

  it("takes a hello that comes byte by byte", function()
    local a = links.node { id = "n1" }
    local raw = links.raw(a:address()):read()
    raw.stream:nodelay(true)
    for byte in core.hello_encode(hello_of()):gmatch(".") do raw:send(byte) end
    wait_until(function() return #raw.got > 0 end)
    for byte in core.ping():gmatch(".") do raw:send(byte) end
    wait_until(function() return a.transport:has("n2") end)
    raw:close()
    a:close()
  end)

  it("hands up what follows the greeting, byte by byte the same", function()
    local a = links.node { id = "n1" }
    local raw = links.raw(a:address()):read()
    raw:send(core.hello_encode(hello_of()))
    wait_until(function() return #raw.got > 0 end)
    raw:send(core.ping() .. "the rest")
    wait_until(function() return a.received.n2 == "the rest" end)
    raw:close()
    a:close()
  end)

  it("hands up nothing more when the owner closes the link", function()
    local a = links.node { id = "n1", on = {
      open = function(link) link:close("not now") end } }
    local raw = links.raw(a:address()):read()
    raw:send(core.hello_encode(hello_of()))
    wait_until(function() return #raw.got > 0 end)
    raw:send(core.ping() .. "the rest")
    raw:wait_ended()
    assert.is_nil(a.received.n2)
    assert.same({ "closed n2" }, a.events)
    raw:close()
    a:close()
  end)

  it("does not open before the other end has accepted", function()
    local a = links.node { id = "n1" }
    local raw = links.raw(a:address()):read()
    raw:send(core.hello_encode(hello_of()))
    wait_until(function() return #raw.got > 0 end)
    assert.is_false(a.transport:has("n2"))
    raw:send(core.refusal_encode("cluster_mismatch", "not mine"))
    wait_until(function() return #a.refusals > 0 end)
    assert.same({ peer = "n2", code = "cluster_mismatch", text = "not mine" },
      a.refusals[1])
    assert.same({}, a.events)
    raw:close()
    a:close()
  end)

  it("takes a refusal with a code it does not know", function()
    local a = links.node { id = "n1" }
    local raw = links.raw(a:address()):read()
    raw:send(core.hello_encode(hello_of()))
    wait_until(function() return #raw.got > 0 end)
    raw:send(core.refusal_encode("from_later_days", "no"))
    wait_until(function() return #a.refusals > 0 end)
    assert.same({ peer = "n2", code = "unsupported",
      text = "from_later_days: no" }, a.refusals[1])
    raw:close()
    a:close()
  end)

  it("does not open on anything but a ping", function()
    local a = links.node { id = "n1" }
    local raw = links.raw(a:address()):read()
    local hello = core.hello_encode(hello_of())
    raw:send(hello)
    wait_until(function() return #raw.got > 0 end)
    raw:send(hello)
    raw:wait_ended()
    assert.same({}, a.events)
    assert.equal(1, a:status().bad_frame)
    raw:close()
    a:close()
  end)

  it("drops who does not greet in time", function()
    local a = links.node { id = "n1", limits = { hello_ms = 40 } }
    local silent = links.raw(a:address()):read()
    local slow = links.raw(a:address()):read():send(("<I4"):pack(600))
    local half = links.raw(a:address()):read()
    half:send(core.hello_encode(hello_of()))  -- and never a ping
    for _, raw in ipairs({ silent, slow, half }) do
      raw:wait_ended()
      raw:close()
    end
    assert.equal(3, a:status().peer_timeout)
    assert_serves(a)
    a:close()
  end)

  it("bounds those that do not greet, and drops the oldest", function()
    local a = links.node { id = "n1", limits = { pending_max = 16 } }
    local raws = {}
    for i = 1, 200 do
      raws[i] = links.raw(a:address()):read()
      assert.is_true(a:status().pending <= 16)
    end
    wait_until(function() return a:status().pending_dropped == 184 end)
    wait_until(function() return raws[184].is_ended end)
    assert.is_true(raws[1].is_ended)
    assert.is_false(raws[185].is_ended)
    assert.equal(16, a:status().pending)
    assert_serves(a)
    for _, raw in ipairs(raws) do raw:close() end
    a:close()
  end)

  it("writes one line per address in a while", function()
    local a = links.node { id = "n1" }
    for _ = 1, 20 do
      local raw = links.raw(a:address()):read():send(("x"):rep(100))
      raw:wait_ended()
      raw:close()
    end
    assert.equal(20, a:status().bad_frame)
    local lines = a:said("bad frame in a greeting")
    assert.equal(1, #lines)
    assert.truthy(lines[1].fields.address:find("^127%.0%.0%.1:%d+$"))
    a:close()
  end)

  it("refuses a greeting for somebody else", function()
    local a = links.node { id = "n1" }
    local raw = links.raw(a:address()):read()
    raw:send(core.hello_encode(hello_of({ to = "n7" })))
    raw:wait_ended()
    local code, text = core.refusal_decode(raw.got)
    assert.equal("cluster_mismatch", code)
    assert.truthy(text:find("n7", 1, true))
    assert.equal(1, a:status().misdirected)
    raw:close()
    a:close()
  end)

  it("refuses who answers at another's address", function()
    local b = links.node { id = "n3" }
    local a = links.node { id = "n1" }
    a.transport:peers({ n2 = b:address() })
    wait_until(function() return #a.refusals > 0 end)
    assert.equal("n2", a.refusals[1].peer)
    assert.equal("cluster_mismatch", a.refusals[1].code)
    assert.is_true(b:status().misdirected > 0)
    assert.is_false(a.transport:has("n3"))
    links.close(a, b)
  end)

  it("checks the id of who answers, whatever the other end thinks", function()
    local a = links.node { id = "n1" }
    local server, got = assert(uv.new_tcp()), ""
    assert(server:bind("127.0.0.1", 0))
    local stream
    assert(server:listen(1, function()
      if stream then return end
      stream = uv.new_tcp()
      server:accept(stream)
      stream:write(core.hello_encode(hello_of({ id = "n5" })))
      stream:read_start(function(_, chunk) got = got .. (chunk or "") end)
    end))
    local port = server:getsockname().port // 1 | 0
    a.transport:peers({ n2 = "127.0.0.1:" .. port })
    wait_until(function() return a:status().misdirected > 0 end)
    wait_until(function() return got:find("n5", 1, true) end, nil, "a refusal")
    assert.is_false(a.transport:has("n2"))
    assert.is_false(a.transport:has("n5"))
    a:close()
    server:close()
    stream:close()
  end)

  it("tells a refused peer why, and both ends stay apart", function()
    local a = links.node { id = "n1", hello = { cluster = "bank" } }
    local b = links.node { id = "n2", judge = function(hello)
      if hello.cluster == "shop" then return true end
      return false, { code = "cluster_mismatch",
        text = hello.cluster .. " is not shop" }
    end }
    links.introduce(a, b)
    wait_until(function() return #a.refusals >= 2 end)
    for _, refusal in ipairs(a.refusals) do
      assert.same({ peer = "n2", code = "cluster_mismatch",
        text = "bank is not shop" }, refusal)
    end
    assert.same({}, a.events)
    assert.same({}, b.events)
    assert.is_true(b:status().refused >= 2)
    assert.is_true(a:status().refused_by_peer >= 2)
    assert.is_true(#b:said("refused a peer") == 1)
    links.close(a, b)
  end)

  it("refuses a frame of another version in words", function()
    local a = links.node { id = "n1" }
    local frame = core.hello_encode(hello_of())
    frame = frame:sub(1, 8) .. "\2" .. frame:sub(10)
    local crc = crc32c(frame:sub(1, 4) .. frame:sub(9))
    local raw = links.raw(a:address()):read()
    raw:send(frame:sub(1, 4) .. ("<I4"):pack(crc) .. frame:sub(9))
    raw:wait_ended()
    assert.equal("unsupported", (core.refusal_decode(raw.got)))
    assert.equal(0, a:status().bad_frame)
    raw:close()
    a:close()
  end)

  it("keeps what the judge raised inside the guard", function()
    local a = links.node { id = "n1", judge = function() error("oops") end }
    local raw = links.raw(a:address()):read()
    raw:send(core.hello_encode(hello_of()))
    wait_until(function() return #a:said("transport raised") > 0 end)
    assert.truthy(a:said("transport raised")[1].fields.what:find("oops"))
    raw:close()
    a:close()
  end)
end)
