-- What a change makes of a configuration, and when it is done. [Raft 6]
local change = require "raft.change"
local configuration = require "raft.configuration"
local raft_core = require "raft.core"

local function member(i, changes)
  local m = { address = "h:" .. i, role = "voter", goal = "voter",
    priority = 0, incarnation = 100 + i, id = i }
  for name, value in pairs(changes or {}) do m[name] = value end
  return m
end

local function config_of(changes)
  local config = { election_min_ms = 500, leases = false, joint = false,
    identity = ("I"):rep(16),
    members = { n1 = member(1), n2 = member(2), n3 = member(3) } }
  for name, value in pairs(changes or {}) do config[name] = value end
  return config
end

local function wanted(address, role, priority)
  return { address = address or false, role = role or false,
    priority = priority or false }
end

local function target(config, members, settings)
  local asked = { members = members or {} }
  for name, value in pairs(settings or {}) do asked[name] = value end
  return change.target(config, asked)
end

describe("the target of a change", function()
  it("has a new member as a voter without an incarnation", function()
    local got = assert(target(config_of(), { n4 = wanted("h:4") }))
    assert.same({ address = "h:4", role = "voter", goal = "voter",
      priority = 0, incarnation = 0 }, got.members.n4)
    assert.equal(102, got.members.n2.incarnation)
    assert.equal(("I"):rep(16), got.identity)
    assert.is_false(got.joint)
    assert(raft_core.config_check(got))
  end)

  it("changes what is named, and nothing else", function()
    local got = assert(target(config_of(), { n1 = false,
      n2 = wanted("h:9", false, 7), n3 = wanted(nil, "learner") }))
    assert.is_nil(got.members.n1)
    assert.same({ address = "h:9", role = "voter", goal = "voter",
      priority = 7, incarnation = 102 }, got.members.n2)
    assert.same({ address = "h:3", role = "learner", goal = "learner",
      priority = 0, incarnation = 103 }, got.members.n3)
  end)

  it("goes on from the goals, not from the roles", function()
    local config = config_of()
    config.members.n4 = member(4, { role = "learner", goal = "voter" })
    config.members.n3.goal = false
    local got = assert(target(config, {}))
    assert.equal("voter", got.members.n4.role)
    assert.is_nil(got.members.n3)
  end)

  it("goes on to the rule that is to be reached", function()
    local sizes = { election = 3, commit = 1 }
    assert.same(sizes, assert(target(config_of { next_quorum = sizes },
      {})).quorum)
    assert.is_nil(assert(target(config_of { quorum = sizes,
      next_quorum = false }, {})).quorum)
  end)

  it("keeps the settings, and changes those that are asked for", function()
    local sizes = { election = 3, commit = 1 }
    local got = assert(target(config_of { leases = true, quorum = sizes }))
    assert.same({ sizes, true, 500 },
      { got.quorum, got.leases, got.election_min_ms })
    got = assert(target(config_of { leases = true, quorum = sizes }, {},
      { quorum = false, leases = false, election_min_ms = 90 }))
    assert.is_nil(got.quorum)
    assert.is_false(got.leases)
    assert.equal(90, got.election_min_ms)
    got = assert(target(config_of(), { n4 = wanted("h:4") },
      { quorum = { election = "3 of (n1, n2, n3)",
        commit = "1 of (n1, n2)" } }))
    assert.same({ { "n1" }, { "n2" } }, got.quorum.commit)
  end)

  local witness = { n3 = member(3, { role = "witness", goal = "witness" }),
    n1 = member(1), n2 = member(2) }
  local refused = {
    { {}, { n4 = wanted(nil, "voter") },
      'n4 is no member, so its address is needed: "host:port"' },
    { {}, { n4 = wanted("h:1") }, "h:1 is the address of n1 and of n4" },
    { {}, { n4 = wanted("h:0") }, "the others could not dial h:0" },
    { {}, { n1 = false, n2 = false, n3 = false },
      "members: a cluster needs a voter" },
    { { members = witness }, { n3 = wanted(nil, "voter") },
      "n3 is a witness and has no commands: remove it, empty its directory, "
      .. "and add it" },
    { {}, { n2 = wanted(nil, "witness"), n3 = wanted(nil, "witness") },
      "quorum.commit: n2 and n3 could commit alone, and witnesses keep no "
      .. "commands (opts.quorum changes the rule in the same step)" },
    { { quorum = { election = 3, commit = 1 } }, { n4 = wanted("h:4") },
      "quorum: an election and a commit must have a voter in common: 3 and 1 "
      .. "of 4 are too few: n1, n2 and n3 could elect a leader that lacks what "
      .. "n4 committed (opts.quorum changes the rule in the same step)" },
    { { quorum = { election = { { "n1" } }, commit = { { "n1" } } } },
      { n1 = false }, "quorum.election: n1 is no voter: there are n2, n3 "
      .. "(opts.quorum changes the rule in the same step)" },
  }
  for _, case in ipairs(refused) do
    it("is refused: " .. case[3]:sub(1, 60), function()
      local got, words = target(config_of(case[1]), case[2])
      assert.is_nil(got)
      assert.equal(case[3], words)
    end)
  end

  it("may bring back who was a witness, in an empty directory", function()
    local config = config_of { members = witness }
    assert(target(config, { n3 = false }))
  end)
end)

describe("a change is in force", function()
  local function holds(config, members, settings)
    local asked = { members = members or {} }
    for name, value in pairs(settings or {}) do asked[name] = value end
    return change.is_in_force(config, asked)
  end

  it("when each member is what was asked", function()
    local config = config_of()
    assert.is_true(holds(config, {}))
    assert.is_true(holds(config, { n2 = wanted("h:2", "voter", 0) }))
    assert.is_false(holds(config, { n2 = wanted("h:3") }))
    assert.is_false(holds(config, { n2 = wanted(nil, "learner") }))
    assert.is_false(holds(config, { n2 = wanted(nil, nil, 1) }))
    assert.is_false(holds(config, { n2 = false }))
    assert.is_true(holds(config, { n9 = false }))
    assert.is_false(holds(config, { n9 = wanted("h:9") }))
  end)

  it("not while a member is on its way", function()
    local config = config_of()
    config.members.n4 = member(4, { role = "learner", goal = "voter" })
    assert.is_false(holds(config, { n4 = wanted("h:4", "voter") }))
    config.members.n4 = member(4, { role = "learner", next_role = "voter" })
    assert.is_false(holds(config, { n4 = wanted("h:4", "voter") }))
    assert.is_false(configuration.is_settled(config))
    config.members.n4 = member(4, { role = false, next_role = "voter" })
    assert.is_false(holds(config, { n4 = wanted("h:4", "voter") }))
    config.members.n4 = member(4)
    assert.is_true(holds(config, { n4 = wanted("h:4", "voter") }))
    assert.is_true(configuration.is_settled(config))
  end)

  it("when the settings are", function()
    local sets = { election = { { "n1", "n2" } },
      commit = { { "n2", "n1" }, { "n1" } } }
    local config = config_of { quorum = sets, leases = true }
    assert.is_true(holds(config, {}, { quorum = { election = "n2 and n1",
      commit = { { "n1" }, { "n1", "n2" } } }, leases = true }))
    assert.is_false(holds(config, {}, { quorum = false }))
    assert.is_false(holds(config, {}, { leases = false }))
    assert.is_false(holds(config, {}, { election_min_ms = 1 }))
    assert.is_true(holds(config_of(), {}, { quorum = false,
      election_min_ms = 500 }))
  end)

  it("and is told in words while it is under way", function()
    local config = config_of()
    config.members.n4 = member(4, { role = "learner", goal = "voter" })
    config.members.n1.goal = false
    assert.equal("n1 is to leave, n4 is to become a voter",
      change.under_way(config))
    assert.equal("its settings change",
      change.under_way(config_of { next_quorum = false }))
    assert.is_false(configuration.is_settled(config_of {
      next_quorum = false }))
  end)
end)
