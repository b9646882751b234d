local Cutter = require "raft.cutter"
local core = require "raft.core"
local support = require "spec.support.helper"

describe("the cutter", function()
  local function frames()
    return { core.ship_taken(1, 5), core.ship_chunk(1, 5, ("x"):rep(3000)),
      core.ship_verdict(1, "done", ""), core.ship_chunk(2, 9, "y") }
  end

  local function feed(cutter, chunks)
    local got = {}
    for _, chunk in ipairs(chunks) do
      assert(cutter:feed(chunk, function(frame)
        got[#got + 1] = frame
        return true
      end))
    end
    return got
  end

  it("finds the frames, however the bytes come", function()
    support.seed()
    local all = table.concat(frames())
    for round = 1, 40 do
      local chunks, at = {}, 1
      while at <= #all do
        local size = round == 1 and 1 or math.random(1, 200)
        chunks[#chunks + 1] = all:sub(at, at + size - 1)
        at = at + size
      end
      assert.same(frames(), feed(Cutter.new(core.ship_size), chunks))
    end
    assert.same(frames(), feed(Cutter.new(core.ship_size), { all }))
  end)

  it("refuses a size before it keeps anything for it", function()
    local cutter = Cutter.new(core.ship_size)
    assert.same({ nil, "too_large" },
      { cutter:feed(("<I4"):pack(1 << 30) .. "x") })
    local other = Cutter.new(core.ship_size)
    assert.same({ nil, "corrupt" }, { other:feed("\0\0\0\0") })
  end)

  it("stops when it is told to", function()
    local count = 0
    assert(Cutter.new(core.ship_size):feed(table.concat(frames()), function()
      count = count + 1
      return count < 2
    end))
    assert.equal(2, count)
  end)
end)
