local raft = require "raft.core"

local OPTIONS <const> = { id = "n1", incarnation = 100, seed = 1,
  election_min_ms = 100, election_max_ms = 200, heartbeat_ms = 20,
  command_bytes_max = 600, pending_bytes_max = 4000, message_bytes_max = 256,
  inflight_bytes_max = 1024, memory_bytes_max = 4096 }

local function started()
  local core = raft.new(OPTIONS)
  assert.is_true(core:start(1000))
  return core
end

describe("a reader of raft.core", function()
  it("says nothing but its first error from then on", function()
    local core = started()
    local reader = core:reader("n2", 101)
    local frame = raft.hello_encode { id = "n2", cluster = "c", to = "n1" }
    local damaged = frame:sub(1, -2) .. "\1"
    assert.are.same({ nil, "corrupt" },
      { core:receive(1000, reader, damaged) })
    assert.are.same({ nil, "corrupt" },
      { core:receive(1000, reader, raft.ping()) })
    assert.is_true(core:receive(1000, core:reader("n2", 101), raft.ping()))
  end)

  it("does not go on after a half frame that was refused", function()
    local core = started()
    local reader, ping = core:reader("n2", 101), raft.ping()
    assert.is_true(core:receive(1000, reader, ping:sub(1, 9)))
    assert.are.same({ nil, "usage" },
      { core:receive(999, reader, ping:sub(10)) })
    assert.are.same({ nil, "usage" }, { core:receive(1000, reader, ping) })
  end)
end)
