local Cutter = require "raft.cutter"
local core = require "raft.core"
local frames = require "raft.client.frames"

local KINDS <const> = { "head", "session", "query", "call", "result" }
local MAX <const> = 1000

-- What is read from these bytes, cut into chunks of `size`.
local function cut(bytes, size)
  local cutter, all = Cutter.new(frames.sizes(MAX)), {}
  for at = 1, #bytes, size do
    local why
    local ok, code = cutter:feed(bytes:sub(at, at + size - 1), function(frame)
      local kind, id, number, body = frames.decode(frame)
      if not kind then why = id end
      all[#all + 1] = { kind, id, number, body }
      return kind ~= nil
    end)
    if not ok or why then return nil, code or why end
  end
  return all
end

describe("frames of clients", function()
  it("are what was sent, however they arrive", function()
    local sent, bytes = {}, {}
    for i, kind in ipairs(KINDS) do
      sent[i] = { kind, i << 40, i << 50, ("b"):rep(i - 1) }
      bytes[i] = frames.encode(table.unpack(sent[i]))
    end
    table.insert(sent, 3, { "other" })
    table.insert(bytes, 3, core.ping())
    local all = table.concat(bytes)
    for size = 1, #all do assert.same(sent, cut(all, size)) end
  end)

  it("have the header of all frames", function()
    local frame = frames.encode("query", 7, 8, "body")
    assert.equal(#frame, core.frame_size(frame))
    assert.equal("unknown", core.frame_kind(frame))
  end)

  it("are refused when one bit is another", function()
    local good = frames.encode("query", 7, 8, "body")
    for bit = 0, 8 * #good - 1 do
      local at = bit // 8 + 1
      local byte = good:byte(at) ~ 1 << bit % 8
      local bad = good:sub(1, at - 1) .. string.char(byte) .. good:sub(at + 1)
      local all = cut(bad, #bad)
      local is_dropped = all and (#all == 0 or all[1][1] == "other")
      assert.is_true(not all or is_dropped)
    end
  end)

  it("are refused when they are of no size", function()
    local long = frames.encode("query", 7, 8, ("x"):rep(MAX + 1))
    assert.same({ nil, "too_large" }, { cut(long, 8) })
    assert.same({ nil, "corrupt" }, { cut(("\0"):rep(8), 8) })
    assert.same({ nil, "it is too short" }, { frames.decode "12345678" })
    assert.same({ nil, "it is too short" },
      { frames.decode(long:sub(1, frames.HEAD_BYTES - 1)) })
  end)
end)
