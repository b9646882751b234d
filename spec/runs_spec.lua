-- Commands go into a core in lists, and come out of it in runs.
local raft = require "raft.core"

local session_entry = require "raft.session_entry"

local TERM <const> = 2  -- of the one that leads

local function leader()
  local core = raft.new { id = "n1", incarnation = 100, seed = 1,
    election_min_ms = 100, election_max_ms = 200, heartbeat_ms = 20,
    command_bytes_max = 100000, pending_bytes_max = 1 << 20,
    message_bytes_max = 1 << 20, inflight_bytes_max = 1 << 20,
    memory_bytes_max = 1 << 20 }
  core:start(1000)
  core:form(1000, { election_min_ms = 100,
    members = { n1 = { address = "h:1" } } })
  for _ = 1, 4 do
    core:tick(2000)
    for kind, _, seq in core:effects() do
      if kind == "store" then core:stored(2000, seq) end
    end
  end
  assert.equal("leader", core:status().role)
  return core
end

local function numbered(from, to)
  local list = {}
  for i = from, to do list[#list + 1] = "c" .. i end
  return list
end

describe("core:propose", function()
  it("takes a list as it takes each by itself", function()
    local one, other = leader(), leader()
    assert.equal(3, one:propose(2000, table.unpack(numbered(3, 40))))
    assert.equal(3, other:propose(2000, numbered(3, 99), 38))
    assert.equal(one:digest(), other:digest())
    assert.equal(41, one:propose_session(2000, "x", "y"))
    assert.equal(41, other:propose_session(2000, { "x", "y" }, 2))
    assert.equal(one:digest(), other:digest())
  end)

  it("says what is no list of commands", function()
    local core = leader()
    local function raises(words, ...)
      local ok, err = pcall(core.propose, core, 2000, ...)
      assert.is_false(ok)
      assert.matches(words, err, 1, true)
    end
    raises("number expected", { "a" })
    raises("how many?", { "a" }, 0)
    raises("how many?", { "a" }, -1)
    raises("a command is no string", { "a" }, 2)
    raises("a command is no string", { "a", 7 }, 2)
    assert.equal(2, core:status().last)
  end)

  it("takes all of a list or nothing", function()
    local core = leader()
    assert.same({ nil, "too_large" },
      { core:propose(2000, { "a", ("x"):rep(100001), "b" }, 3) })
    assert.equal(2, core:status().last)
  end)
end)

describe("core:run", function()
  local core
  before_each(function() core = leader() end)

  it("says the entries in a row that have all but the payload in common",
    function()
    core:wall(7000)
    core:propose(2000, numbered(3, 12), 10)
    local count, kind, term, time, payloads = core:run(3, 100)
    assert.same({ 10, "command", TERM, 7000 }, { count, kind, term, time })
    assert.same(numbered(3, 12), payloads)
    for i, payload in ipairs(payloads) do
      assert.same({ "command", TERM, 7000, payload }, { core:entry(i + 2) })
    end
    assert.same(numbered(5, 6), (select(5, core:run(5, 6))))
    assert.equal(1, (core:run(12, 12)))
  end)

  it("ends where kind or time change", function()
    core:wall(7000)
    core:propose(2000, { "a", "b" }, 2)
    core:propose_session(2000, "s", "t", "u")
    core:wall(7001)
    core:propose_session(2000, "v")
    assert.equal(1, (core:run(2, 9)))  -- the no-op before them
    assert.equal(2, (core:run(3, 9)))
    assert.same({ 3, "session", TERM, 7000, { "s", "t", "u" } },
      { core:run(5, 9) })
    assert.same({ 1, "session", TERM, 7001, { "v" } }, { core:run(8, 9) })
  end)

  it("holds no more bytes than fit into a slice, but one at least", function()
    local large = ("x"):rep(60000)
    core:propose(2000, { "a", large, large, ("y"):rep(100000), "b" }, 5)
    assert.equal(2, (core:run(3, 9)))
    assert.equal(1, (core:run(5, 9)))
    local count, _, _, _, payloads = core:run(6, 9)
    assert.same({ 1, 100000 }, { count, #payloads[1] })
    assert.equal(1, (core:run(7, 9)))
  end)

  it("says nothing of what is not there", function()
    assert.equal(0, select("#", core:run(0, 9)))
    assert.equal(0, select("#", core:run(3, 9)))
    local ok, err = pcall(core.run, core, 2, 1)
    assert.is_false(ok)
    assert.matches("it ends before it begins", err)
  end)
end)

describe("core:requests", function()
  local core
  before_each(function()
    core = leader()
    core:wall(7000)
  end)

  local function request(changes)
    local all = { op = "command", session = 5, sequence = 1, floor = 1,
      command = "c" }
    for name, value in pairs(changes) do all[name] = value end
    all.command = all.command .. all.sequence
    return session_entry.encode(all)
  end

  -- Sequences from the first one on, with these floors.
  local function several(first, floors)
    local list = {}
    for i, floor in ipairs(floors) do
      list[i] = request { sequence = first + i - 1, floor = floor }
    end
    return list
  end

  it("says the commands of one session that follow one another", function()
    local list = several(4, { 2, 4, 3, 5, 1 })
    core:propose_session(2000, list, #list)
    assert.same({ 5, { "c4", "c5", "c6", "c7", "c8" }, { 2, 4, 4, 5, 5 }, TERM,
      7000, 5, 4, 3 }, { core:requests(3, 99) })
    assert.same({ 2, { "c5", "c6" }, { 4, 4 }, TERM, 7000, 5, 5, 2 },
      { core:requests(4, 5) })
    assert.equal(0, select("#", core:requests(7, 99)))  -- a single one
    assert.equal(0, select("#", core:requests(3, 3)))
  end)

  it("ends before whatever is not the next command of that session",
    function()
    local two = several(1, { 1, 1 })
    for _, other in ipairs { request { session = 6, sequence = 3 },
      request { sequence = 4 }, request { sequence = 2 }, "garbage",
      request { sequence = 3, floor = 4 },
      request { op = "keep", sequence = 3 }, ("\2"):rep(40), "" } do
      local at = core:propose_session(2000, two[1], two[2], other)
      assert.equal(2, (core:requests(at, at + 2)))
      assert.equal(0, select("#", core:requests(at + 1, at + 2)))
      assert.equal(0, select("#", core:requests(at + 2, at + 2)))
    end
    local at = core:propose_session(2000, two, 2)
    core:propose(2000, request { sequence = 3 })
    assert.equal(2, (core:requests(at, at + 9)))
    core:wall(7001)
    at = core:propose_session(2000, two[1])
    core:wall(7002)
    core:propose_session(2000, two[2])
    assert.equal(0, select("#", core:requests(at, at + 1)))
    assert.equal(0, select("#", core:requests(2, 99)))  -- a no-op
    assert.equal(0, select("#", core:requests(at + 2, at + 9)))  -- nothing
  end)

  it("holds no more bytes than a run", function()
    local list = {}
    for i = 1, 4 do
      list[i] = request { sequence = i, command = ("x"):rep(30000) }
    end
    core:propose_session(2000, list, 4)
    assert.equal(2, (core:requests(3, 99)))
  end)
end)
