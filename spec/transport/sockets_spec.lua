-- What a write becomes, on a uv that takes as many bytes as it is told.
local Sockets = require "raft.transport.sockets"

local LARGE <const> = (64 << 10) + 1

-- @param takes how many bytes go at once; or nil: it says so with EAGAIN
local function new_uv(takes)
  local uv = { at_once = {}, queued = {} }
  function uv.try_write(_, bytes)
    if not takes then return nil, "EAGAIN: try again", "EAGAIN" end
    uv.at_once[#uv.at_once + 1] = bytes:sub(1, takes)
    return math.min(takes, #bytes)
  end
  function uv.write(_, bytes, on_written)
    uv.queued[#uv.queued + 1] = bytes
    return { on_written = on_written }
  end
  return uv
end

local function send(uv, bytes)
  local sockets = Sockets.new(uv, function(fn) return fn end)
  local result = sockets:send("stream", bytes, print)
  return result, table.concat(uv.at_once), table.concat(uv.queued)
end

describe("sockets send", function()
  it("what the system takes at once, and nobody waits", function()
    assert.same({ true, "abc", "" }, { send(new_uv(5), "abc") })
    assert.same({ true, "abc", "" }, { send(new_uv(3), "abc") })
  end)

  it("the rest later, in order, and say how that ended", function()
    local result, first, rest = send(new_uv(2), "abc")
    assert.same({ "ab", "c" }, { first, rest })
    assert.equal(print, result.on_written)
    assert.same({ "", "abc" }, { select(2, send(new_uv(0), "abc")) })
  end)

  it("all of it later, where something waits or is broken", function()
    local result, first, rest = send(new_uv(nil), "abc")
    assert.same({ "", "abc" }, { first, rest })
    assert.equal(print, result.on_written)
  end)

  it("what is large without a second copy", function()
    local _, first, rest = send(new_uv(5), ("x"):rep(LARGE))
    assert.same({ 0, LARGE }, { #first, #rest })
  end)
end)
