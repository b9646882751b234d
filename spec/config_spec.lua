-- Configurations as Lua tables, and raft.core's functions of them.
local core = require "raft.core"

local function golden(name)
  local file = assert(io.open("spec/golden/" .. name .. ".hex"))
  local text = file:read("a"):gsub("#[^\n]*", ""):gsub("%s", "")
  file:close()
  return (text:gsub("..", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- The configuration of spec/golden/config_three.hex, with some changes.
local function three(changes)
  local config = { election_min_ms = 500, members = {
    n1 = { address = "127.0.0.1:7101" },
    n2 = { address = "127.0.0.1:7102" },
    n3 = { address = "127.0.0.1:7103" },
  } }
  for key, value in pairs(changes or {}) do config[key] = value end
  return config
end

-- n1, n2, n3 with some changes to n2.
local function with_n2(changes)
  local config = three()
  for key, value in pairs(changes) do config.members.n2[key] = value end
  return config
end

local function assert_raises(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, pattern)
  assert.matches(pattern, err)
end

describe("raft.core: a configuration", function()
  it("is written in the bytes of the format", function()
    assert.equal(golden("config_three"), core.config_encode(three()))
  end)

  it("comes back in full", function()
    local got = core.config_decode(golden("config_three"))
    local function member(name, port)
      return { id = core.id_of(name), address = "127.0.0.1:" .. port,
        role = "voter", goal = "voter", priority = 0, incarnation = 0 }
    end
    assert.same({ election_min_ms = 500, leases = false, joint = false,
      members = { n1 = member("n1", 7101), n2 = member("n2", 7102),
        n3 = member("n3", 7103) } }, got)
  end)

  it("shows both halves of a joint one", function()
    local got = core.config_decode(golden("config_joint"))
    assert.is_true(got.joint)
    assert.is_true(got.leases)
    assert.equal(16, #got.identity)
    assert.equal("voter", got.members.n1.role)
    assert.is_false(got.members.n1.next_role)
    assert.is_false(got.members.n1.goal)
    assert.is_false(got.members.n4.role)
    assert.equal("voter", got.members.n4.next_role)
    assert.equal("learner", got.members.n5.role)
    assert.equal("witness", got.members.n5.next_role)
    assert.equal(7, got.members.n4.priority)
    assert.equal(0xfedcba9876543210 | 0, got.members.n3.incarnation)
    assert.same({ election = 3, commit = 2 }, got.quorum)
    assert.equal(2, #got.next_quorum.election)
  end)

  it("survives the way through a table", function()
    for _, name in ipairs { "config_three", "config_joint" } do
      local bytes = golden(name)
      assert.equal(bytes, core.config_encode(core.config_decode(bytes)))
    end
  end)

  it("takes quorum sizes, and sets by name", function()
    local sizes = { election = 3, commit = 1 }
    local got = core.config_decode(core.config_encode(three {
      quorum = sizes }))
    assert.same(sizes, got.quorum)
    local sets = { election = { { "n1" } }, commit = { { "n1" } } }
    got = core.config_decode(core.config_encode(three { quorum = sets }))
    assert.same(sets, got.quorum)
  end)

  it("says what it is to become", function()
    local config = three { next_quorum = { election = 2, commit = 1 } }
    config.members.n1.goal = false
    config.members.n2.goal = "witness"
    assert.is_nil(select(2, core.config_check(three())))
    local _, why = core.config_check(config)
    assert.matches("witnesses alone may commit", why) -- n2, of two
    config.next_quorum.commit = 2
    local got = core.config_decode(core.config_encode(config))
    assert.is_false(got.joint)
    assert.is_false(got.members.n1.goal)
    assert.equal("voter", got.members.n1.role)
    assert.equal("witness", got.members.n2.goal)
    assert.is_nil(got.quorum)
    assert.same({ election = 2, commit = 2 }, got.next_quorum)
    local bytes = core.config_encode(got)
    got.next_quorum, got.quorum = false, got.next_quorum -- and a majority again
    got = core.config_decode(core.config_encode(got))
    assert.is_false(got.next_quorum)
    assert.same({ election = 2, commit = 2 }, got.quorum)
    assert.not_equal(bytes, core.config_encode(got))
  end)

  it("is not touched", function()
    local config = three()
    core.config_encode(config)
    assert.same(three(), config)
  end)

  it("is refused after a cut, in another version, or broken", function()
    local bytes = golden("config_three")
    local function code_of(b) return select(2, core.config_decode(b)) end
    assert.equal("more", code_of(bytes:sub(1, -2)))
    assert.equal("corrupt", code_of(bytes .. "\0"))
    assert.equal("version", code_of("\2" .. bytes:sub(2)))
    assert.equal("bad_config", code_of(bytes:sub(1, 4) .. "\0\0\0\0"
      .. bytes:sub(9)))
  end)

  it("raises with the path of what is no configuration", function()
    local cases = {
      { three { members = 5 }, "config%.members: expected a table, got num" },
      { three { members = { "n1" } }, "config%.members: a name is a string" },
      { three { members = { n1 = 1 } }, "members%.n1: expected a table" },
      { with_n2 { address = false },
        "members%.n2%.address: expected a string, got boolean" },
      { with_n2 { role = "boss" },
        "members%.n2%.role: expected voter, learner, witness or false" },
      { with_n2 { role = true }, "members%.n2%.role: expected voter" },
      { with_n2 { priority = 256 }, "members%.n2%.priority: expected 0" },
      { with_n2 { incarnation = "x" }, "members%.n2%.incarnation: expected" },
      { with_n2 { next_role = "voter" }, "next_role: expected nil where" },
      { with_n2 { address = ("x"):rep(300) }, "address: at most %d+ bytes" },
      { three { leases = 1 }, "config%.leases: expected a boolean" },
      { three { election_min_ms = -1 }, "election_min_ms: expected 0" },
      { three { identity = "x" }, "config%.identity: expected 16 bytes" },
      { three { quorum = 2 }, "config%.quorum: expected a table, false or" },
      { three { quorum = { election = "2", commit = 2 } },
        "quorum%.election: expected an integer, got string" },
      { three { quorum = { election = {}, commit = 1 } },
        "quorum%.commit: expected a list of sets" },
      { three { quorum = { election = { { "n9" } }, commit = {} } },
        "quorum%.election: expected names of members" },
    }
    for _, case in ipairs(cases) do
      assert_raises(case[2], core.config_check, case[1])
    end
    assert_raises("table expected", core.config_check, "x")
  end)

  it("holds no more members than the core can", function()
    local members = {}
    for i = 1, 40 do members["m" .. i] = { address = "h:1" } end
    assert_raises("config%.members: at most %d+", core.config_check,
      three { members = members })
  end)
end)

describe("raft.core: config_check", function()
  it("passes what keeps the rules", function()
    assert.is_true(core.config_check(three()))
  end)

  it("names the rule that is broken", function()
    local cases = {
      { three { election_min_ms = 0 }, "the election timeout is 0" },
      { three { members = {} }, "there is no voter" },
      { with_n2 { address = "" }, "address is empty" },
      { three { members = { ["n 1"] = { address = "h:1" } } }, "name is not" },
      { with_n2 { role = false }, "neither half" },
    }
    for _, case in ipairs(cases) do
      local ok, reason = core.config_check(case[1])
      assert.is_nil(ok)
      assert.matches(case[2], reason)
    end
  end)

  -- Each check alone lets one of these through.
  it("makes both intersection checks", function()
    local five = three()
    five.members.n4 = { address = "h:4" }
    five.members.n5 = { address = "h:5" }
    five.quorum = { election = 2, commit = 4 }
    assert.is_nil((core.config_check(five)))
    five.quorum = { election = 3, commit = 2 }
    assert.is_nil((core.config_check(five)))
    five.quorum = { election = 4, commit = 2 }
    assert.is_true(core.config_check(five))
  end)

  it("is asked before anything is made of a configuration", function()
    local broken = three { election_min_ms = 0 }
    assert_raises("config: the election", core.config_encode, broken)
    assert_raises("config: the election", core.config_plan, broken)
    assert_raises("config: the election", core.config_identity, broken, "c")
  end)
end)

describe("raft.core: fingerprints", function()
  it("an id is the hash of a name", function()
    assert.equal(0xaf63dc4c8601ec8c | 0, core.id_of("a"))
  end)

  it("the plan does not depend on incarnations", function()
    assert.equal(core.config_plan(three()),
      core.config_plan(with_n2 { incarnation = 5 }))
    assert.not_equal(core.config_plan(three()),
      core.config_plan(with_n2 { address = "h:1" }))
  end)

  it("the identity is kept for ever", function()
    local config = core.config_decode(golden("config_joint"))
    assert.equal(golden("config_identity"),
      core.config_identity(config, "default"))
  end)

  it("the identity depends on incarnations and on the cluster", function()
    local identity = core.config_identity(three(), "c")
    assert.equal(16, #identity)
    assert.not_equal(identity, core.config_identity(three(), "d"))
    assert.not_equal(identity,
      core.config_identity(with_n2 { incarnation = 5 }, "c"))
  end)
end)
