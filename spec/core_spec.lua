local raft = require "raft.core"

local OPTIONS <const> = { id = "n1", incarnation = 100, seed = 1,
  election_min_ms = 100, election_max_ms = 200, heartbeat_ms = 20,
  command_bytes_max = 600, pending_bytes_max = 4000, message_bytes_max = 256,
  inflight_bytes_max = 1024, memory_bytes_max = 4096 }
local IDENTITY <const> = { sequence = 1, incarnation = 2, starts = 3,
  first_segment = 1, last_segment = 1, node = "n1", cluster = "c1" }
local SECTOR <const> = raft.WAL_SECTOR

local function with(t, key, value)
  local copy = {}
  for k, v in pairs(t) do copy[k] = v end
  copy[key] = value
  return copy
end

local function started()
  local core = raft.new(OPTIONS)
  assert.is_true(core:start(1000))
  return core
end

local function config(change)
  local c = { election_min_ms = 100,
    members = { n1 = { address = "h:1" }, n2 = { address = "h:2" } } }
  if change then change(c) end
  return c
end

-- Entries 1 and 2: a configuration of n1 alone, and the first no-op.
local function two_entries()
  local core, list = started(), {}
  core:form(1000, { election_min_ms = 100,
    members = { n1 = { address = "h:1" } } })
  for _ = 1, 4 do
    core:tick(2000)
    for kind, _, seq, bytes in core:effects() do
      if kind == "store" then
        if bytes ~= "" then list[#list + 1] = bytes end
        core:stored(2000, seq)
      end
    end
  end
  assert.are.equal(2, #list)
  return list
end

local function writer(sectors)
  local wal = raft.wal_new(1, 0, 0)
  wal:recovery()
  return wal, wal:segment(7, SECTOR * (sectors or 4))
end

local function raises(words, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(words, 1, true),
    ("expected %q, got %q"):format(words, tostring(err)))
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

  it("puts a frame together from any parts", function()
    local core, ping = started(), raft.ping()
    local reader = core:reader("n2", 101)
    for i = 1, #ping do
      assert.is_true(core:receive(1000, reader, ping:sub(i, i)))
    end
    assert.is_true(core:receive(1000, reader, ping:sub(1, 2)))
    assert.is_true(core:receive(1000, reader, ping:sub(3) .. ping
      .. ping:sub(1, 20)))
    assert.is_true(core:receive(1000, reader, ping:sub(21)))
    assert.are.equal(0, core:status().bad_frames)
  end)

  it("refuses a length that no frame has, at once or in parts", function()
    local core = started()
    assert.are.same({ nil, "too_large" }, { core:receive(1000,
      core:reader("n2", 101), "\255\255\255\255") })
    local reader = core:reader("n2", 101)
    assert.is_true(core:receive(1000, reader, "\1\0"))
    assert.are.same({ nil, "corrupt" },
      { core:receive(1000, reader, "\0\0" .. raft.ping()) })
  end)
end)

describe("a replica of raft.core", function()
  it("says which option it cannot take", function()
    raises("seed: expected an integer", raft.new, with(OPTIONS, "seed", "x"))
    raises("seed: out of range", raft.new, with(OPTIONS, "seed", 0.5))
    raises("heartbeat_ms: out of range", raft.new,
      with(OPTIONS, "heartbeat_ms", -1))
    raises("heartbeat_ms: out of range", raft.new,
      with(OPTIONS, "heartbeat_ms", 1 << 31))
    raises("options contradict", raft.new, with(OPTIONS, "heartbeat_ms", 100))
  end)

  it("is no more once it is closed", function()
    local core = started()
    core:close()
    raises("the replica is closed", core.tick, core, 2000)
    core:close()
  end)

  it("takes no negative time, and no proposal of nothing", function()
    local core = started()
    raises("a time is not negative", core.tick, core, -1)
    raises("a command is missing", core.propose, core, 1000)
    raises("string expected", core.propose, core, 1000, 7)
  end)

  it("has no entry before the first", function()
    local core = started()
    assert.are.equal(0, select("#", core:entry(0)))
    assert.are.equal(0, select("#", core:entry(-1)))
    assert.are.equal(0, select("#", core:entry(1)))
  end)

  it("says what it cannot do in codes", function()
    local core = started()
    assert.are.same({ nil, "not_leader" }, { core:propose(1000, "x") })
    assert.are.same({ nil, "no_leader" }, { core:forward(1000, 1, "x") })
    assert.are.same({ nil, "no_leader" }, { core:read(1000, 1) })
    assert.are.same({ nil, "not_leader" }, { core:transfer(1000) })
    assert.are.same({ nil, "usage" }, { core:stored(1000, 7) })
    assert.are.same({ nil, "usage" }, { core:results(1000, 1, 7) })
    assert.are.same({ nil, "bad_config" }, { core:form(1000,
      config(function(c) c.election_min_ms = 0 end)) })
  end)
end)

describe("core:change", function()
  local core, pending

  local function turn(now)
    for _ = 1, 6 do
      for kind, _, a, b, c, d, e in core:effects() do
        if kind == "store" then core:stored(now, a) end
        if kind == "forwarded" or kind == "config" then
          pending[#pending + 1] = { kind, a, b, c, d, e }
        end
      end
    end
  end

  before_each(function()
    core, pending = started(), {}
    core:form(1000, { election_min_ms = 100,
      members = { n1 = { address = "h:1" } } })
    turn(1000)
    core:tick(2000)
    turn(2000)
    assert.are.equal("leader", core:status().role)
  end)

  it("answers with the index of the first step", function()
    local index = core:config() and select(2, core:config())
    assert.is_true(core:status().is_settled)
    local target = config()
    assert.are.equal(3, core:change(2000, 1, target, index))
    assert.are.equal("learner", core:config().members.n2.role)
    assert.are.equal("voter", core:config().members.n2.goal)
    assert.are.equal(3, core:status().config_index)
    assert.is_false(core:status().is_settled)
    assert.is_false(core:status().peers.n2.is_leaving)
    turn(2000)
    assert.are.same({ nil, "changed", 0 },
      { core:change(2000, 2, target, index) })
    target.members.n1 = nil
    assert.are.same({ nil, "busy", 0 }, { core:change(2000, 2, target, 3) })
    target.members = { n1 = { address = "h:1" } } -- it is given up
    assert.are.equal(4, core:change(2000, 2, target, 3))
    turn(2000)
    assert.is_true(core:status().is_settled)
    assert.are.equal(4, core:change(2000, 2, target, 4)) -- nothing to do
  end)

  it("says who is missing, by place", function()
    local target = config(function(c) c.members.n2.role = "learner" end)
    assert.are.equal(3, core:change(2000, 1, target, 1))
    turn(2000)
    core:tick(2500)
    turn(2500)
    target.members.n2.role = "voter"
    local got, code, missing = core:change(2500, 2, target, 3)
    assert.is_nil(got)
    assert.are.equal("no_quorum", code)
    local is_first = math.ult(raft.id_of("n2"), raft.id_of("n1"))
    assert.are.equal(is_first and 1 or 2, missing)
    assert.are.equal(4, core:change(2500, 2, target, 3, true))
  end)

  it("raises what is no configuration, and refuses what breaks a rule",
    function()
      raises("expected a table", core.change, core, 2000, 1, {}, 1)
      local target = config(function(c) c.members.n1.role = "boss" end)
      raises("expected voter", core.change, core, 2000, 1, target, 1)
      target = config(function(c) c.election_min_ms = 0 end)
      assert.are.same({ nil, "bad_config", 0 },
        { core:change(2000, 1, target, 1) })
      core = started()
      assert.are.same({ nil, "no_leader", 0 },
        { core:change(2000, 1, config(), 0) })
    end)
end)

describe("a configuration of raft.core", function()
  local function bad(words, change)
    raises(words, raft.config_encode, config(change))
  end

  it("says which field it cannot take", function()
    bad("holds a zero byte", function(c) c.members.n1.address = "h\0" end)
    bad("a name is a string", function(c) c.members[7] = { address = "h" } end)
    bad("lists of names", function(c)
      c.quorum = { election = { 7 }, commit = {} }
    end)
    bad("names of members", function(c)
      c.quorum = { election = { { "n9" } }, commit = {} }
    end)
    bad("names of members", function(c)
      c.quorum = { election = { { 7 } }, commit = {} }
    end)
    bad("at most", function(c)
      local sets = {}
      for i = 1, 17 do sets[i] = { "n1", "n2" } end
      c.quorum = { election = sets, commit = sets }
    end)
  end)
end)

describe("a log of raft.core", function()
  it("is first read, then written", function()
    local wal = raft.wal_new(1, 0, 0)
    raises("not recovered yet", wal.position, wal)
    wal:recovery()
    raises("recovered already", wal.want, wal)
  end)

  it("bounds its numbers", function()
    raises("out of range", raft.wal_new, 0, 0, 0)
    raises("out of range", raft.wal_new, 1, -1, 0)
    raises("too many starts", raft.wal_new, 1, 1 << 24, 0)
    raises("out of range", raft.wal_batch_bytes, (1 << 30) + 1)
  end)

  it("is read in its order", function()
    local wal, head = raft.wal_new(1, 1, 0), select(2, writer())
    raises("wants nothing", wal.feed, wal, "")
    assert.is_true(wal:open(1, SECTOR * 4, true, head))
    raises("not between files", wal.open, wal, 2, SECTOR * 4, true, head)
    raises("not read to its end", wal.recovery, wal)
    while wal:want() do
      assert.is_true(wal:feed(("\0"):rep(select(2, wal:want()))))
    end
    assert.are.equal(0, select("#", wal:torn()))
    wal:recovery()
  end)

  it("takes only segments of whole sectors", function()
    local wal = writer()
    raises("not whole sectors", wal.segment, wal, 7, SECTOR * 2 + 1)
    raises("out of range", wal.segment, wal, 7, SECTOR)
  end)

  it("takes only entries that can come next", function()
    local wal, list = writer(), two_entries()
    local many = {}
    for i = 1, 65 do many[i] = "" end
    raises("too many strings", wal.batch, wal, "data", 1, 0, 0, many)
    raises("not a string", wal.batch, wal, "data", 1, 0, 0, { 7 })
    raises("not entries that", wal.batch, wal, "data", 1, 0, 0, { list[2] })
    raises("not entries that", wal.batch, wal, "data", 1, 0, 0, { "x" })
    raises("a mark has no entries", wal.batch, wal, "mark", 1, 0, 0, list)
    raises("invalid option", wal.batch, wal, "other", 1, 0, 0, {})
    local bytes, offset = wal:batch("data", 2, 0, 0, list)
    assert.are.equal(SECTOR, offset)
    assert.are.equal(SECTOR, #bytes)
    assert.is_true(wal:stored(bytes))
    assert.are.equal(2, select(4, wal:position()))
  end)

  it("knows what is no batch of its own", function()
    local wal = writer()
    local first = wal:batch("data", 1, 0, 0, {})
    local second = wal:batch("data", 1, 0, 0, {})
    raises("not the newest batch", wal.stored, wal, first)
    raises("not the newest batch", wal.stored, wal, "short")
    assert.is_true(wal:stored(second))
  end)

  it("ends with its segment", function()
    local wal = writer(2)
    wal:batch("data", 1, 0, 0, {})
    raises("no room in the segment", wal.batch, wal, "data", 1, 0, 0, {})
  end)

  it("judges what it is asked to cut", function()
    local list = two_entries()
    raises("before the first", raft.wal_cut, "", 1, SECTOR, 0, 3, 2, 9)
    raises("out of range", raft.wal_cut, "", 2, SECTOR, 0, 1, 2, 9)
    raises("out of range", raft.wal_cut, "", 1, SECTOR, 1 << 31, 1, 2, 9)
    assert.are.equal("corrupt",
      select(2, raft.wal_cut("short", 1, SECTOR, 5, 1, 2, 9)))
    raises("behind the end", raft.wal_entry, list[1], #list[1] + 1)
    raises("out of range", raft.wal_entry, list[1], 0)
    assert.are.same({ nil, "corrupt" }, { raft.wal_entry(("x"):rep(99), 1) })
    assert.are.same({ nil, "more" }, { raft.wal_entry(list[1]:sub(1, -2), 1) })
    local following, index, kind, term = raft.wal_entry(list[1] .. list[2], 1)
    assert.are.same({ #list[1] + 1, 1 }, { following, index })
    assert.are.equal("string", type(kind))
    assert.are.equal("integer", math.type(term))
    assert.are.equal(2, select(2, raft.wal_entry(list[1] .. list[2],
      following)))
    assert.are.same({ list[1], 1 },
      { raft.wal_cut(list[1], 1, SECTOR, #list[1], 1, 1, 9) })
  end)

  it("spans entries in a row", function()
    local list = two_entries()
    assert.are.same({ 1, 2 }, { raft.wal_span(list[1] .. list[2]) })
    assert.are.equal(0, select("#", raft.wal_span("")))
    raises("not an entry", raft.wal_span, "x")
    raises("not entries in a row", raft.wal_span, list[1] .. "x")
  end)
end)

describe("an identity of raft.core", function()
  it("says what it cannot take", function()
    local encode = raft.identity_encode
    raises("node is not a name", encode, with(IDENTITY, "node", ""))
    raises("node is not a name", encode, with(IDENTITY, "node", ("x"):rep(65)))
    raises("cluster is not a name", encode, with(IDENTITY, "cluster", "a\0b"))
    raises("expected 16 bytes", encode, with(IDENTITY, "identity", "short"))
    raises("wrong order", encode, with(IDENTITY, "first_segment", 3))
  end)
end)

describe("a refusal of raft.core", function()
  it("has a code, and a text of one line cut between characters", function()
    raises("an error code is made of", raft.refusal_encode, "Code", "")
    raises("an error code is made of", raft.refusal_encode, "", "")
    raises("an error code is made of", raft.refusal_encode, ("x"):rep(32), "")
    assert.are.same({ "code", "a b c" },
      { raft.refusal_decode(raft.refusal_encode("code", "a\nb\127c")) })
    local long = ("\u{e4}"):rep(200)
    local _, text = raft.refusal_decode(raft.refusal_encode("code", long))
    assert.are.equal(("\u{e4}"):rep(127), text)
    local bytes = ("\x80"):rep(300) -- not even UTF-8
    assert.are.equal("", select(2,
      raft.refusal_decode(raft.refusal_encode("code", bytes))))
  end)

  it("names every kind of frame", function()
    local ping = raft.ping()
    local names = { "hello", "refuse", "vote", "vote_reply", "append",
      "append_reply", "timeout_now", "propose", "propose_reply", "read",
      "read_reply" }
    for kind, name in ipairs(names) do
      assert.are.equal(name, raft.frame_kind(ping:sub(1, 9)
        .. string.char(kind) .. ping:sub(11)))
    end
    assert.are.equal("ping", raft.frame_kind(ping))
    for _, kind in ipairs { 0, 12 } do
      assert.are.equal("unknown", raft.frame_kind(ping:sub(1, 9)
        .. string.char(kind) .. ping:sub(11)))
    end
  end)
end)
