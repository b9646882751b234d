local frames = require "raft.client.frames"

local KINDS <const> = { "head", "session", "query", "call", "cancel", "result" }
local MAX <const> = 1000

-- What a cutter makes of these bytes, cut into chunks of `size`.
local function cut(bytes, size)
  local cutter, all = frames.cutter(MAX), {}
  for at = 1, #bytes, size do
    local ok, why = cutter:feed(bytes:sub(at, at + size - 1),
      function(kind, id, body) all[#all + 1] = { kind, id, body } end)
    if not ok then return nil, why end
  end
  return all
end

describe("frames of clients", function()
  it("are what was sent, however they arrive", function()
    local sent, bytes = {}, {}
    for i, kind in ipairs(KINDS) do
      sent[i] = { kind, i << 40, ("b"):rep(i - 1) }
      bytes[i] = frames.encode(table.unpack(sent[i]))
    end
    local all = table.concat(bytes)
    for size = 1, #all do assert.same(sent, cut(all, size)) end
  end)

  it("are refused when one bit is another", function()
    local good = frames.encode("query", 7, "body")
    for bit = 0, 8 * #good - 1 do
      local at = bit // 8 + 1
      local byte = good:byte(at) ~ 1 << bit % 8
      local bad = good:sub(1, at - 1) .. string.char(byte) .. good:sub(at + 1)
      local all = cut(bad, #bad)
      assert.is_true(not all or #all == 0)  -- a longer one has not arrived
    end
  end)

  it("are refused when they are of no size", function()
    local long = frames.encode("query", 7, ("x"):rep(MAX))
    local _, why = cut(long, 8)
    assert.equal("a frame too long", why)
    _, why = cut(("\0"):rep(8), 8)
    assert.equal("a frame too short", why)
  end)

  it("end where their taker says so", function()
    local bytes, count = frames.encode("head", 1, ""):rep(3), 0
    assert.is_true(frames.cutter(MAX):feed(bytes, function()
      count = count + 1
      return count < 2
    end))
    assert.equal(2, count)
  end)
end)
