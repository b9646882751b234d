-- The frames on the connection of a snapshot, as raft.core gives them to Lua.
local core = require "raft.core"

-- The bytes kept in spec/golden for ever.
local function golden(name)
  local file = assert(io.open("spec/golden/" .. name .. ".hex"))
  local text = file:read("a"):gsub("#[^\n]*", ""):gsub("%s", "")
  file:close()
  return (text:gsub("..", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function offer_of(changes)
  local offer = { index = 0x0102030405060708, term = 7, time = 1700000000123,
    config_index = 3, size = 0x1112131415161718,
    checksum = 0xf1f2f3f4f5f6f7f8 | 0,
    config = golden("ship_offer"):sub(77) }
  for key, value in pairs(changes or {}) do offer[key] = value end
  return offer
end

local function raises(text, fn, ...)
  local ok, what = pcall(fn, ...)
  assert.is_false(ok, "it did not raise")
  assert.truthy(tostring(what):find(text, 1, true), tostring(what))
end

describe("raft.core: the frames of a snapshot", function()
  it("come back with every field", function()
    local kind, term, offer = core.ship_decode(golden "ship_offer")
    assert.same({ "offer", 9 }, { kind, term })
    assert.same(offer_of(), offer)
    assert.same({ "taken", 9, 0x2122232425262728 },
      { core.ship_decode(golden "ship_taken") })
    assert.same({ "chunk", 9, 0x3132333435363738, "some bytes" },
      { core.ship_decode(golden "ship_chunk") })
    assert.same({ "verdict", 9, "no_space", "the disk is full" },
      { core.ship_decode(golden "ship_verdict") })
  end)

  it("are written in the bytes of the format", function()
    assert.equal(golden "ship_taken", core.ship_taken(9, 0x2122232425262728))
    assert.equal(golden "ship_chunk",
      core.ship_chunk(9, 0x3132333435363738, "some bytes"))
    assert.equal(golden "ship_verdict",
      core.ship_verdict(9, "no_space", "the disk is full"))
    local frame = core.ship_offer(9, offer_of())
    assert.same({ "offer", 9, offer_of() }, { core.ship_decode(frame) })
  end)

  it("have their size in their first four bytes", function()
    local frame = golden "ship_chunk"
    assert.equal(0, core.ship_size(frame:sub(1, 3)))
    assert.equal(#frame, core.ship_size(frame:sub(1, 4)))
    assert.same({ nil, "too_large" }, { core.ship_size("\0\0\0\1") })
    assert.same({ nil, "corrupt" }, { core.ship_size("\1\0\0\0") })
  end)

  it("carry as much of a file as is said", function()
    local bytes = ("x"):rep(core.SHIP_CHUNK_BYTES)
    local frame = core.ship_chunk(1, 0, bytes)
    assert.equal(#frame, core.ship_size(frame))
    assert.equal(bytes, select(4, core.ship_decode(frame)))
    raises("ship.bytes", core.ship_chunk, 1, 0, bytes .. "x")
    raises("ship.bytes", core.ship_chunk, 1, 0, "")
  end)

  it("name each verdict", function()
    for _, word in ipairs { "done", "have", "busy", "stale", "no_space",
      "damaged", "failed" } do
      assert.same({ "verdict", 2, word, "" },
        { core.ship_decode(core.ship_verdict(2, word, "")) })
    end
    raises("no such verdict", core.ship_verdict, 2, "perhaps", "")
    raises("no such verdict", core.ship_verdict, 2, "donee", "")
  end)

  it("cut a text that is too long, and make it one line", function()
    local function told(text)
      return select(4, core.ship_decode(core.ship_verdict(1, "failed", text)))
    end
    assert.equal("a b c", told "a\nb\0c")
    assert.equal(("x"):rep(255), told(("x"):rep(300)))
    assert.equal(("x"):rep(254), told(("x"):rep(254) .. "ä"))
  end)

  it("are refused when damaged, and dropped when optional", function()
    local frame = golden "ship_chunk"
    local broken = frame:sub(1, -2) .. "\0"
    assert.same({ nil, "corrupt" }, { core.ship_decode(broken) })
    assert.same({ nil, "corrupt" }, { core.ship_decode("") })
    assert.same({ nil, "corrupt" }, { core.ship_decode(
      core.hello_encode { id = "n1", to = "n2", cluster = "c" }) })
    assert.same({ "other" }, { core.ship_decode(core.ping()) })
  end)

  it("say what of an offer is wrong", function()
    raises("offer.index: expected an integer", core.ship_offer, 1,
      offer_of { index = "x" })
    raises("ship.index", core.ship_offer, 9, offer_of { index = 0 })
    raises("ship.term", core.ship_offer, 6, offer_of())
    raises("ship.config", core.ship_offer, 9, offer_of { config = "" })
    raises("offer.config: expected a string", core.ship_offer, 9,
      offer_of { config = false })
    raises("out of range", core.ship_taken, -1, 0)
  end)
end)
