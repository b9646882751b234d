local errors = require "raft.errors"
local replica_state = require "raft.replica_state"
local session_entry = require "raft.session_entry"

local function entry(changes)
  local all = { op = "command", session = 1, sequence = 1, floor = 1,
    command = "c" }
  for name, value in pairs(changes) do all[name] = value end
  return session_entry.encode(all)
end

local OPEN <const> = { op = "open", session = 0, sequence = 60000, floor = 0,
  command = "" }

-- A state, and a log that is applied to it.
local function new_state()
  local log = { state = replica_state.new(), index = 0, ran = 0 }
  function log.apply(changes, run)
    log.index = log.index + 1
    return log.state:apply(log.index, 1000 + log.index, entry(changes), run
      or function(command)
        log.ran = log.ran + 1
        return true, command .. log.ran
      end)
  end
  return log
end

local function source(bytes, size)
  local at = 1
  return function()
    if at > #bytes then return nil end
    local piece = bytes:sub(at, at + size - 1)
    at = at + size
    return piece
  end
end

describe("the replica's own state", function()
  it("answers a repeated command with its first result", function()
    local log = new_state()
    assert.same({ true, 1 }, { log.apply(OPEN) })
    assert.same({ true, "c1" }, { log.apply {} })
    assert.same({ true, "c1" }, { log.apply {} })
    assert.equal(1, log.ran)
  end)

  it("answers a repeated command with its first error", function()
    local log = new_state()
    log.apply(OPEN)
    local function fail()
      return false, errors.new("apply_error", "apply: no", { value = "no" })
    end
    local _, first = log.apply({}, fail)
    local ok, again = log.apply({}, fail)
    assert.is_false(ok)
    assert.equal("no", again.value)
    assert.equal(tostring(first), tostring(again))
    assert.same({ true, [3] = "why" }, { log.apply({ sequence = 2 },
      function() return true, nil, "why" end) })
    assert.same({ true, [3] = "why" }, { log.apply { sequence = 2 } })
  end)

  it("says what is wrong with a request", function()
    local log = new_state()
    log.apply(OPEN)
    for _, one in ipairs {
      { { session = 9 }, "session_expired", "expired" },
      { { sequence = 3 }, "busy", "gap" },
    } do
      local ok, err = log.apply(one[1])
      assert.is_false(ok)
      assert.equal(one[2], err.code)
      assert.equal(one[3], err.reason)
    end
    local _, err = log.state:apply(9, 9, "garbage", print)
    assert.equal("bad_value", err.code)
    assert.equal(0, log.ran)
  end)

  it("stands in front of the user's state, however it is cut", function()
    local log = new_state()
    log.apply(OPEN)
    log.apply {}
    local pieces = {}
    log.state:save(function(piece) pieces[#pieces + 1] = piece end)
    local bytes = table.concat(pieces) .. "the user's"
    for size = 1, #bytes do
      local other, rest = replica_state.new(), {}
      for piece in other:load(source(bytes, size)) do
        rest[#rest + 1] = piece
      end
      assert.equal("the user's", table.concat(rest))
      assert.equal(log.state.sessions:encode(), other.sessions:encode())
    end
    for size = 0, #bytes - #"the user's" - 1 do
      local ok, err = pcall(function()
        replica_state.new():load(source(bytes:sub(1, size), 7))
      end)
      assert.is_false(ok)
      assert.equal("corrupt", err.code)
    end
  end)
end)
