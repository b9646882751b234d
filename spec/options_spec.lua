local options = require "raft.options"

local service = require "raft.service"

local function apply() end

local counter = service.new { name = "counter",
  init = function() return { n = 0 } end }
local stateless = service.new { name = "none", init = apply }
local faulty = service.new { name = "faulty",
  init = function() error("boom", 0) end }

-- The least that makes a node, with some options changed. `none` takes one
-- away.
local none = {}
local function given(changes)
  local t = { id = "n1", dir = "d", apply = apply, members = {
    n1 = "127.0.0.1:7101", n2 = "127.0.0.1:7102", n3 = "127.0.0.1:7103" } }
  for name, value in pairs(changes or {}) do
    if value == none then t[name] = nil else t[name] = value end
  end
  return t
end

-- Stands for raft.node, so that the level is that of real use.
local function node(t)
  local opts = options.node(t)
  return opts
end

local function accepted(changes)
  return node(given(changes))
end

local function refusal(changes)
  local ok, why = pcall(function() node(given(changes)) end)
  assert.is_false(ok)
  local text, count = why:gsub("^[^:]*options_spec.lua:%d+: raft.node: ", "")
  assert.equal(1, count, why)
  return text
end

describe("options of a node", function()
  it("are complete when they come out", function()
    assert.same({
      id = "n1", cluster = "default", join = false, ids = { "n1", "n2", "n3" },
      members = {
        n1 = { address = "127.0.0.1:7101", role = "voter", priority = 0 },
        n2 = { address = "127.0.0.1:7102", role = "voter", priority = 0 },
        n3 = { address = "127.0.0.1:7103", role = "voter", priority = 0 },
      },
      listen = "127.0.0.1:7101", dir = "d", volatile = false, apply = apply,
      service = false, services = false, query = false, snapshot = false,
      restore = false, save = false, load = false, snapshot_mode = "auto",
      snapshot_bytes = 67108864, election_timeout = { min = 500, max = 1000 },
      heartbeat = 100, quorum = false, leases = false,
      max_command_bytes = 1048576, max_pending_bytes = 67108864, log = "warn",
      on = {}, uv = false, host = false, compare_every = 1024,
      record = false, tls = false,
      http = false,
      given = { election_timeout = false, leases = false, quorum = false },
    }, accepted())
  end)

  it("make one list of services", function()
    local opts = accepted { apply = none, service = counter }
    assert.equal(1, #opts.services)
    assert.equal(counter, opts.services[1])
    assert.is_false(opts.apply)
  end)

  it("leave what was given unchanged", function()
    local on = { role = apply }
    local t = given { on = on, election_timeout = { 100, 200 } }
    local opts = node(t)
    assert.are_not.equal(t, opts)
    assert.are_not.equal(on, opts.on)
    assert.same({ 100, 200 }, t.election_timeout)
    assert.equal("127.0.0.1:7101", t.members.n1)
    assert.is_nil(t.cluster)
  end)

  it("blame the line that called raft.node", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, why = pcall(function() node { } end)
    assert.is_false(ok)
    assert.truthy(why:find("options_spec.lua:" .. line .. ": ", 1, true), why)
  end)

  it("say what to do about a missing id", function()
    assert.equal("id: expected this node's name (a script usually takes it "
      .. 'from its first argument: id = arg[1], started as "lua5.4 script.lua '
      .. 'n1"), got nil', refusal { id = none })
  end)

  it("guess a typo", function()
    assert.equal("electionTimeout: unknown option, did you mean "
      .. "election_timeout?", refusal { electionTimeout = 1 })
    assert.equal("hearbeat: unknown option, did you mean heartbeat?",
      refusal { hearbeat = 1 })
  end)

  -- option, value, what is said about it
  local name_rule = "expected a name of letters, digits and _ . - of up to "
    .. "64 bytes, got "
  local later = "not supported yet"
  local ms = "an integer from 2 to 3600000 (ms)"
  local refused = {
    { { id = 7 }, "id: " .. name_rule .. "7" },
    { { id = "a b" }, "id: " .. name_rule .. '"a b"' },
    { { cluster = "" }, "cluster: " .. name_rule .. '""' },
    { { dir = none }, "dir: expected a directory for the durable state, got "
      .. "nil (volatile = true does without: nothing survives)" },
    { { dir = "" }, 'dir: expected a string that is not empty, got ""' },
    { { volatile = true }, "volatile: a volatile node keeps nothing, so it "
      .. "takes no dir: give one of the two" },
    { { volatile = 1 }, "volatile: expected true or false, got 1" },
    { { apply = none }, "apply: expected a function(command, entry), got nil" },
    { { apply = "x" }, 'apply: expected a function, got "x"' },
    { { query = 1 }, "query: expected a function, got 1" },
    { { snapshot = apply },
      "restore: expected a function beside snapshot, got nil" },
    { { restore = apply },
      "snapshot: expected a function beside restore, got nil" },
    { { save = apply }, "load: expected a function beside save, got nil" },
    { { load = apply }, "save: expected a function beside load, got nil" },
    { { save = apply, load = apply, snapshot = apply, restore = apply },
      "save: snapshot and restore are there already: give one pair" },
    { { snapshot_mode = "x" },
      'snapshot_mode: expected "inline", "fork" or "auto", got "x"' },
    { { snapshot_bytes = 0 }, "snapshot_bytes: expected an integer from 1 to "
      .. "1125899906842624 (bytes), got 0" },
    { { election_timeout = "x" },
      'election_timeout: expected {min, max} in ms, or min alone, got "x"' },
    { { election_timeout = { 300, 300 } }, "election_timeout: the minimum must "
      .. "be below the maximum, got {300, 300}" },
    { { election_timeout = { 300, 150 } }, "election_timeout: the minimum must "
      .. "be below the maximum, got {300, 150}" },
    { { election_timeout = { 300 } },
      "election_timeout[2]: expected " .. ms .. ", got nil" },
    { { election_timeout = 1 },
      "election_timeout: expected " .. ms .. ", got 1" },
    { { election_timeout = { 1, 2, 3 } }, "election_timeout[3]: unknown field; "
      .. "known are 1 (min), 2 (max)" },
    { { heartbeat = 500 }, "heartbeat: must be below the minimum election "
      .. "time-out of 500 ms, got 500" },
    { { heartbeat = 0 }, "heartbeat: expected an integer from 1 to 3600000 "
      .. "(ms), got 0" },
    { { max_command_bytes = 67108865 }, "max_command_bytes: expected an "
      .. "integer from 1 to 67108864 (bytes), got 67108865" },
    { { max_pending_bytes = 10 }, "max_pending_bytes: must hold one command of "
      .. "max_command_bytes = 1048576, got 10" },
    { { log = "loud" }, 'log: expected "debug", "info", "warn", "error", false '
      .. 'or a function, got "loud"' },
    { { log = true }, 'log: expected "debug", "info", "warn", "error", false '
      .. "or a function, got true" },
    { { on = { leeder = apply } },
      "on.leeder: unknown event, did you mean leader?" },
    { { on = { leader = 1 } }, "on.leader: expected a function, got 1" },
    { { uv = "luv" }, 'uv: expected a table, got "luv"' },
    { { host = 1 }, "host: expected a table, got 1" },
    { { compare_every = 0 }, "compare_every: expected an integer from 1 to "
      .. "1048576 (entries), got 0" },
    { { listen = "x" }, 'listen: expected "host:port" (no host and port), got '
      .. '"x"' },
    { { listen = "::1:7101" }, 'listen: expected "host:port" (an IPv6 address '
      .. 'stands in brackets: [::1]:7101), got "::1:7101"' },
    -- not yet, but checked
    { { tls = {} }, "tls: " .. later },
    { { tls = "x" }, 'tls: expected a table, got "x"' },
    { { http = "h:1" }, "http: " .. later },
    { { http = "h" },
      'http: expected "host:port" (no host and port), got "h"' },
    { { service = {} },
      "service: expected a service of raft.service, got a table" },
    { { service = 1 }, "service: expected a service of raft.service, got 1" },
    { { services = { {} } },
      "services[1]: expected a service of raft.service, got a table" },
    { { services = {} }, "services: expected a list, got a table" },
    { { service = counter }, "apply: the state of a node with services is "
      .. "theirs: it takes no apply" },
    { { services = { counter }, apply = none, load = apply },
      "load: the state of a node with services is theirs: it takes no load" },
    { { services = { counter, counter }, apply = none },
      "services[2]: service counter is there already" },
    { { services = { counter }, service = counter, apply = none },
      "services: there is a service already: give one of the two" },
    { { services = { stateless }, apply = none }, "services[1]: init of "
      .. "service none: expected a table as the state, got nil" },
    { { service = faulty, apply = none }, "service: boom" },
    { { join = 1 }, 'join: expected true, or a list of "host:port" to ask, '
      .. "got 1" },
    { { leases = 1 }, "leases: expected true or false, got 1" },
  }
  for _, case in ipairs(refused) do
    it("refuse: " .. case[2], function()
      assert.equal(case[2], refusal(case[1]))
    end)
  end

  local fine = {
    { "cluster", "prod.eu-1" }, { "listen", "[::1]:0" },
    { "snapshot_mode", "fork" }, { "heartbeat", 499 }, { "log", false },
    { "log", apply }, { "log", "debug" }, { "max_command_bytes", 67108864 },
    { "query", apply }, { "uv", { run = apply } }, { "host", {} },
    { "leases", false }, { "leases", true },
    { "tls", false }, { "http", false },
  }
  for _, case in ipairs(fine) do
    it(("accept %s = %s"):format(case[1], tostring(case[2])), function()
      assert.same(case[2], accepted { [case[1]] = case[2] }[case[1]])
    end)
  end

  it("accept a volatile node without a directory", function()
    local opts = accepted { dir = none, volatile = true }
    assert.is_true(opts.volatile)
    assert.is_false(opts.dir)
  end)

  it("accept either pair for snapshots", function()
    accepted { snapshot = apply, restore = apply }
    accepted { save = apply, load = apply }
  end)

  it("derive the times from one another", function()
    local opts = accepted { election_timeout = 150 }
    assert.same({ min = 150, max = 300 }, opts.election_timeout)
    assert.equal(30, opts.heartbeat)
    assert.equal(1, accepted { election_timeout = { 2, 3 } }.heartbeat)
    assert.same({ min = 150, max = 300 },
      accepted { election_timeout = { 150.0, 300 } }.election_timeout)
  end)

  it("say who could do what under a quorum that is too small", function()
    assert.equal("quorum.election: two elections must have a voter in common: "
      .. "1 of 3 is too few: n1 could elect a leader, and n2 another",
      refusal { quorum = { election = 1, commit = 3 } })
    assert.equal("quorum.commit: expected a number of voters, got nil",
      refusal { quorum = { election = 2 } })
    assert.equal("quorum.elections: unknown option, did you mean election?",
      refusal { quorum = { elections = 2, commit = 2 } })
    assert.equal('quorum: expected "majority", a table or a formula, got 2',
      refusal { quorum = 2 })
  end)

  it("keep a quorum, and know a majority for what it is", function()
    local sizes = { election = 3, commit = 1 }
    assert.same(sizes, accepted { quorum = sizes }.quorum)
    assert.is_false(accepted { quorum = { election = 2, commit = 2 } }.quorum)
    assert.is_false(accepted { quorum = "majority" }.quorum)
    assert.same({ election = { { "n1", "n2" }, { "n1", "n3" } },
      commit = { { "n1" } } }, accepted { quorum = {
        election = "n1 and 1 of (n2, n3)", commit = "n1" } }.quorum)
  end)

  describe("of who joins", function()
    local function joining(changes)
      local t = { members = none, join = true, listen = "h:1" }
      for name, value in pairs(changes or {}) do t[name] = value end
      return t
    end

    it("have no members", function()
      local opts = accepted(joining())
      assert.is_true(opts.join)
      assert.same({}, opts.members)
      assert.same({}, opts.ids)
      assert.equal("members: who joins takes none: the cluster has it",
        refusal(joining { members = { n1 = "h:1" } }))
      assert.equal("quorum: who joins takes none: the cluster has it",
        refusal(joining { quorum = { election = 1, commit = 1 } }))
    end)

    -- Who was asked warned of it every half second, and the node waited.
    it("say a host that others can dial, where they ask to be added", function()
      for _, where in ipairs { "0.0.0.0:7104", "[::]:7104" } do
        assert.equal("listen: who is asked adds this address, and nobody could "
          .. "dial " .. where .. ": name the host",
          refusal(joining { listen = where, join = { "h:2" } }))
        assert.equal(where, accepted(joining { listen = where }).listen)
      end
    end)

    it("say where it listens", function()
      assert.equal('listen: expected "host:port", where the others reach this '
        .. "node, got nil", refusal(joining { listen = none }))
    end)

    it("name whom to ask", function()
      assert.same({ "h:2", "h:3" },
        accepted(joining { join = { "H:2", "h:3" } }).join)
      assert.equal('join[2]: expected "host:port" (no host and port), got "h"',
        refusal(joining { join = { "h:2", "h" } }))
      assert.equal('join: expected true, or a list of "host:port" to ask, got '
        .. "a table", refusal(joining { join = {} }))
    end)
  end)
end)

describe("members", function()
  local function said(members)
    return refusal { members = members }
  end

  it("take tables too", function()
    local opts = accepted { members = { n1 = { address = "H:1", priority = 3 },
      n2 = { address = "h:2", role = "voter" } } }
    assert.same({ n1 = { address = "h:1", role = "voter", priority = 3 },
      n2 = { address = "h:2", role = "voter", priority = 0 } }, opts.members)
  end)

  it("come with their ids sorted by bytes", function()
    local opts = accepted { members = { n10 = "h:1", n1 = "h:2", N2 = "h:3",
      n2 = "h:4" } }
    assert.same({ "N2", "n1", "n10", "n2" }, opts.ids)
  end)

  it("need an address each", function()
    assert.equal('members.n2.address: expected "host:port", got nil',
      said { n1 = "h:1", n2 = {} })
    assert.equal('members.n2: expected "host:port", got 7',
      said { n1 = "h:1", n2 = 7 })
    assert.equal('members.n2: expected "host:port" (a port is a number from 0 '
      .. 'to 65535), got "h:99999"', said { n1 = "h:1", n2 = "h:99999" })
  end)

  it("have addresses of their own", function()
    assert.equal('members.n2: "h:1" is the address of n1 too',
      said { n1 = "h:1", n2 = "H:01" })
  end)

  it("cannot be dialled at port 0", function()
    assert.equal("members.n1: port 0 is for a node alone: the others could "
      .. 'not dial "h:0"', said { n1 = "h:0", n2 = "h:1" })
    assert.equal("h:0", accepted { members = { n1 = "h:0" } }.listen)
  end)

  it("contain this node", function()
    assert.equal('members: expected this node "n1" among them, got n2, n3',
      said { n2 = "h:1", n3 = "h:2" })
  end)

  it("have names", function()
    assert.truthy(said { n1 = "h:1", ["n 2"] = "h:2" }:find(
      'members["n 2"]: expected a name of', 1, true))
    assert.equal('members: expected names as keys: n1 = "host:port"',
      said { "h:1" })
    assert.truthy(said { n1 = "h:1", [true] = "h:2" }:find(
      "members[true]: expected a name of", 1, true))
  end)

  it("are 1 to 32", function()
    local many = {}
    for i = 1, 33 do many["n" .. i] = "h:" .. i end
    assert.equal("members: expected 1 to 32 members, got 33", said(many))
    assert.equal("members: expected 1 to 32 members, got 0", said {})
    many.n33 = nil
    assert.equal(32, #accepted { members = many }.ids)
  end)

  it("are required", function()
    assert.equal("members: expected the initial voters: id = \"host:port\" "
      .. "(join = true waits to be added to a cluster that is there), got nil",
      said(none))
    assert.equal('members: expected a table: id = "host:port", got "h:1"',
      said("h:1"))
  end)

  it("have roles", function()
    local opts = accepted { members = { n1 = "h:1", n2 = "h:2",
      n3 = { address = "h:3", role = "witness" },
      n4 = { address = "h:4", role = "learner" } } }
    assert.equal("witness", opts.members.n3.role)
    assert.equal("learner", opts.members.n4.role)
    assert.equal('members.n2.role: expected "voter", "learner" or "witness", '
      .. 'got "boss"',
      said { n1 = "h:1", n2 = { address = "h:2", role = "boss" } })
  end)

  it("need a voter that keeps commands in every commit", function()
    local w = { address = "h:2", role = "witness" }
    assert.equal("quorum.commit: n2 and n3 could commit alone, and witnesses "
      .. "keep no commands", said { n1 = "h:1", n2 = w,
      n3 = { address = "h:3", role = "witness" } })
    assert.equal("members: a cluster needs a voter",
      said { n1 = { address = "h:1", role = "learner" } })
  end)

  it("have a priority of one byte", function()
    assert.equal("members.n1.priority: expected an integer from 0 to 255, got "
      .. "256", said { n1 = { address = "h:1", priority = 256 } })
  end)
end)
