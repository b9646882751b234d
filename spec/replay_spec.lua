local Recorder = require "raft.node.recorder"
local format = require "raft.replay.format"
local raft = require "raft"
local raft_core = require "raft.core"
local recording = require "spec.support.recording"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local bodies_of = recording.bodies_of
local events_of = recording.events_of
local find_event = recording.find_event
local read_file = recording.read_file
local write_bodies = recording.write_bodies
local write_events = recording.write_events
local write_file = recording.write_file

---------------------------------------------------------------- a short life --

local TRACE <const> = "spec/golden/replay.txt"  -- `make traces` rewrites it

local CORE_OPTIONS <const> = { id = "n1", incarnation = 11, seed = 7,
  election_min_ms = 100, election_max_ms = 200, heartbeat_ms = 20,
  command_bytes_max = 1000, pending_bytes_max = 10000,
  message_bytes_max = 10000, inflight_bytes_max = 10000,
  memory_bytes_max = 10000 }

local CONFIG <const> = { election_min_ms = 100, identity = ("i"):rep(16),
  members = { n1 = { address = "h:1", incarnation = 11 },
    n2 = { address = "h:2", incarnation = 12 },
    n3 = { address = "h:3", incarnation = 13 } } }

-- Takes the effects; what is stored is durable at once.
local function turn(recorder, core, now)
  local seqs = {}
  for kind, _, seq in core:effects() do
    if kind == "store" then seqs[#seqs + 1] = seq end
  end
  for _, seq in ipairs(seqs) do core:stored(now, seq) end
  recorder:flush()
end

-- The strings that a core of the same cluster sends to n1 when asked for
-- votes; made by real cores, so that nothing here knows their bytes.
local function answers_of(name, frames)
  local options = {}
  for key, value in pairs(CORE_OPTIONS) do options[key] = value end
  options.id, options.incarnation = name, CONFIG.members[name].incarnation
  local core = raft_core.new(options)
  assert(core:start(5000))
  assert(core:form(5000, CONFIG))
  local reader, answers, seqs = core:reader("n1", 11), {}, {}
  local function collect()
    for kind, _, a, b in core:effects() do
      if kind == "send" then answers[#answers + 1] = b end
      if kind == "store" then seqs[#seqs + 1] = a end
    end
    for _, seq in ipairs(seqs) do core:stored(5300, seq) end
  end
  collect()
  for _, frame in ipairs(frames) do
    assert(core:receive(5300, reader, frame))
    collect()
  end
  return answers
end

-- What n1 sends to n2, without the pings.
local function sends_of(core, to)
  local sends, seqs = {}, {}
  for kind, _, a, b in core:effects() do
    if kind == "send" and a == to then sends[#sends + 1] = b end
    if kind == "store" then seqs[#seqs + 1] = a end
  end
  return sends, seqs
end

-- One node that forms, wins an election and is given commands.
local function record_life(path)
  local recorder = Recorder.open { uv = uv, host = {}, path = path,
    library = "test", complain = error }
  local core = recorder:stand_before(raft_core.new(CORE_OPTIONS), CORE_OPTIONS)
  local sent = {}
  local function exchange(now)  -- n1's frames to n2, and n2's answers back
    local sends, seqs = sends_of(core, "n2")
    for _, seq in ipairs(seqs) do core:stored(now, seq) end
    recorder:flush()
    for _, frame in ipairs(sends) do sent[#sent + 1] = frame end
    return answers_of("n2", sent)
  end
  core:wall(1000000)
  assert(core:start(5000))
  assert(core:form(5000, CONFIG))
  local reader = core:reader("n2", 12)
  turn(recorder, core, 5000)
  core:tick(5300)
  local heard = 0
  for _ = 1, 3 do
    local answers = exchange(5300)
    for i = heard + 1, #answers do
      core:receive(5300, reader, answers[i]:sub(1, 10))
      core:receive(5300, reader, answers[i]:sub(11))
    end
    heard = #answers
  end
  core:propose(5310, "a", "b")
  core:propose(5310, ("x"):rep(2000))  -- too large
  core:read(5310, 1)
  core:unreachable(5320, "n3")
  local target = raft_core.config_decode(raft_core.config_encode(CONFIG))
  target.members.n4 = { address = "h:4", role = "learner" }
  core:change(5320, 9, target, 1)
  target.members.n4.role = "boss"
  pcall(core.change, core, 5320, 10, target, 1) -- raises, and is not noted
  target.members = { n1 = { address = "" } }
  core:change(5320, 11, target, 1) -- breaks a rule
  core:space(5320, false)
  core:space(5321, true)
  turn(recorder, core, 5330)
  local digest, status = core:digest(), core:status()
  recorder:finish()
  core:close()
  return digest, status
end

describe("replay: a short life", function()
  local dir, path, digest, status

  before_each(function()
    dir = tmpdir.new()
    path = dir:join("life")
    digest, status = record_life(path)
  end)

  after_each(function() dir:remove() end)

  it("is run again to the same digest", function()
    local result = assert(raft.replay(path))
    assert.equal(digest, result.digest)
    assert.same(status, result.status)
    assert.equal("leader", result.status.role)
    assert.equal("n1", result.id)
    assert.equal("test", result.version)
    assert.equal(#events_of(read_file(path)), result.events)
    assert.is_true(result.has_ended)
    assert.equal(0, result.cut_bytes)
  end)

  it("is told in words", function()
    local lines = {}
    assert(raft.replay(path, { trace = function(line)
      lines[#lines + 1] = line
    end }))
    -- The digest covers fields that nobody sees; the trace does not.
    local text = (table.concat(lines, "\n"):gsub(digest, "...")) .. "\n"
    if os.getenv("WRITE_TRACES") then write_file(TRACE, text) end
    assert.equal(read_file(TRACE), text)
  end)

  it("is found changed, whichever byte it was", function()
    local bytes = read_file(path)
    for i = 1, #bytes do
      local changed = bytes:sub(1, i - 1) .. string.char(bytes:byte(i) ~ 0x10)
        .. bytes:sub(i + 1)
      write_file(path, changed)
      local result, err = raft.replay(path)
      assert.is_nil(result, "byte " .. i)
      assert.equal("corrupt", err.code)
      assert.equal(path, err.file)
    end
  end)

  it("is run to its last whole record when it was cut, wherever", function()
    local bytes = read_file(path)
    local ends = { [64] = 0 }  -- of records -> events up to there
    local offset, count = 64, 0
    for _, body in ipairs(bodies_of(bytes)) do
      offset, count = offset + 12 + #body, count + #events_of(
        bytes:sub(1, 64) .. ("\0"):rep(8) .. ("<I4"):pack(#body) .. body)
      ends[offset] = count
    end
    local whole = 64
    for size = 0, #bytes - 1 do
      if ends[size] then whole = size end
      write_file(path, bytes:sub(1, size))
      local result, err = raft.replay(path)
      if size < 64 or ends[whole] == 0 then
        assert.equal("corrupt", err.code)
      else
        assert.equal(ends[whole], result.events)
        assert.equal(size - whole, result.cut_bytes)
        assert.is_false(result.has_ended)
      end
    end
    assert.equal(count, ends[#bytes])
  end)

  describe("that went otherwise", function()
    -- Replays with one event changed: the error.
    local function replay_changed(kind, change, from)
      local events = events_of(read_file(path))
      local number, event = find_event(events, kind, from)
      change(event)
      write_events(path, events)
      local result, err = raft.replay(path)
      assert.is_nil(result)
      assert.equal("diverged", err.code)
      return err, number
    end

    it("goes the same way when nothing is changed", function()
      write_events(path, events_of(read_file(path)))
      assert.equal(digest, assert(raft.replay(path)).digest)
    end)

    it("names the event when the core has another seed", function()
      local first_take = find_event(events_of(read_file(path)), "take")
      local err = replay_changed("new", function(event)
        local options = raft.codec.decode(event.options)
        options.seed = 8
        event[1] = raft.codec.encode(options)
      end)
      assert.equal(first_take, err.event)
      assert.equal("take", err.kind)
      assert.truthy(err.message:find("event " .. first_take
        .. " (take): the deadline was ", 1, true), err.message)
    end)

    it("names the event when an answer differs", function()
      local err, number = replay_changed("propose", function(event)
        event.answer = "9"
      end)
      assert.equal(number, err.event)
      assert.truthy(err.message:find("the answer was 9, and is", 1, true))
    end)

    it("names the event when a digest differs", function()
      local err, number = replay_changed("finish", function(event)
        event[1] = ("0"):rep(32)
      end)
      assert.equal(number, err.event)
      assert.truthy(err.message:find("the digest was 000", 1, true))
    end)

    it("sees by the digest that a byte of a command was another", function()
      local err = replay_changed("propose", function(event)
        event[2] = format.join("a", "c")
      end)
      assert.equal("finish", err.kind)
    end)
  end)

  it("refuses whole records that no recorder writes, by event", function()
    local events = events_of(read_file(path))
    local new = format.pack("new", "", events[1].options)
    local cases = {
      { new, "\99\0" }, { new, "\5" }, { format.pack("tick", "", 1) },
      { format.pack("new", "", "no options") },
      { new, format.pack("receive", "", 5000, 3, "bytes") },
      { new, format.pack("start", "", 5000, raft.codec.encode {}, "") },
      { new, format.pack("form", "", 5000, "no configuration") },
      { new, format.pack("propose", "", 5000, "\9\0\0\0a") },
      { new, format.pack("tick", "", -1) },
    }
    for i, case in ipairs(cases) do
      write_bodies(path, table.unpack(case))
      local result, err = raft.replay(path)
      assert.is_nil(result)
      assert.equal("corrupt", err.code, "case " .. i)
      assert.equal(#case, err.event, "case " .. i)
    end
  end)

  it("tells what it cannot read apart", function()
    write_file(path, format.head("9.9"))
    local _, err = raft.replay(path)
    assert.truthy(err.message:find("without an event", 1, true))
    local rest = ("<I4c48"):pack(2, "9.9")
    write_file(path, ("<c8I4"):pack("raftrec\0", raft_core.crc32c(rest))
      .. rest)
    _, err = raft.replay(path)
    assert.equal("format_version", err.code)
    assert.same({ 2, 1 }, { err.found, err.supported })
    _, err = raft.replay(dir:join("nowhere"))
    assert.equal("io_error", err.code)
    assert.has_error(function() raft.replay() end,
      "raft.replay: expected the path of a recording, got nil")
    assert.has_error(function() raft.replay(path, { trace = 1 }) end)
  end)
end)

------------------------------------------------------------------ the format --

describe("replay: the format", function()
  it("is that of the golden bytes", function()
    local golden = read_file("spec/golden/recording.hex"):gsub("#[^\n]*", "")
      :gsub("%s", ""):gsub("%x%x", function(hex)
        return string.char(tonumber(hex, 16))
      end)
    local body = table.concat {
      format.pack("wall", "", 1700000000000),
      format.pack("reader", "", "n2", -2),
      format.pack("receive", "", 5300, 1, "xyz"),
      format.pack("propose", "12", 5310, format.join("a", "bc")),
      format.pack("transfer", "unsupported", 5310, "", 0),
      format.pack("take", "", -1),
    }
    assert.equal(golden, format.head("0.1.0") .. format.record_head(body)
      .. body)
    assert.equal("0.1.0", format.check_head(golden, "golden"))
    local events = events_of(golden)
    assert.equal(6, #events)
    assert.same({ "n2", -2 }, { events[2].peer, events[2].incarnation })
    assert.same({ "a", "bc" }, format.split(events[4].commands))
    assert.equal("12", events[4].answer)
  end)
end)

---------------------------------------------------------------- the recorder --

describe("recorder", function()
  it("ends, and says so once, when the core is out of memory", function()
    local dir <close> = tmpdir.new()
    local path, complaints = dir:join("r"), {}
    local recorder = Recorder.open { uv = uv, host = {}, path = path,
      library = "test", complain = function(err)
        complaints[#complaints + 1] = err
      end }
    local core = recorder:stand_before(raft_core.new(CORE_OPTIONS),
      CORE_OPTIONS)
    assert(core:start(5000))
    recorder:flush()
    core.core = { tick = function() return nil, "no_memory" end }
    assert.same({ nil, "no_memory" }, { core:tick(5001) })
    core:tick(5002)
    recorder:flush()
    recorder:finish()
    assert.equal(1, #complaints)
    assert.truthy(tostring(complaints[1]):find("the recording ends here", 1,
      true))
    local result = assert(raft.replay(path))
    assert.equal(2, result.events)
    assert.is_false(result.has_ended)
  end)

  it("keeps the recording before it", function()
    local dir <close> = tmpdir.new()
    local path = dir:join("life")
    record_life(path)
    local first = read_file(path)
    record_life(path)
    assert.equal(first, read_file(path .. ".old"))
    assert.equal(first, read_file(path))  -- the same life, the same bytes
  end)
end)

------------------------------------------------------------------ recoveries --

describe("core.recovery", function()
  it("makes the same recovery of the fields of one", function()
    local fields = raft_core.wal_new(1, 0, 0):recovery():fields()
    assert.same(fields, raft_core.recovery(fields):fields())
    local more = { term = 5, vote = -3, commit = 2, base_index = 0,
      base_term = 0, last = 2, tail_first = 3, last_time = 9, tail = "",
      terms = { 1, 1, 2, 4 }, runs = 2,
      config = { index = 1, payload = "abc" } }
    assert.same(more, raft_core.recovery(more):fields())
    collectgarbage()
    assert.same(more, raft_core.recovery(raft_core.recovery(more):fields())
      :fields())
  end)

  it("refuses fields that are none", function()
    local function refused(name, value)
      local fields = raft_core.wal_new(1, 0, 0):recovery():fields()
      fields[name] = value
      assert.is_false((pcall(raft_core.recovery, fields)), name)
    end
    refused("term", "1")
    refused("term", 1.5)
    refused("tail", false)
    refused("terms", 1)
    refused("terms", { 1, "x" })
    refused("config", {})
    refused("config", { index = 1, payload = 2 })
  end)

  it("is refused by a core when it does not fit together", function()
    local fields = raft_core.wal_new(1, 0, 0):recovery():fields()
    fields.last = 7  -- without a term
    local core <close> = raft_core.new(CORE_OPTIONS)
    assert.same({ nil, "corrupt" },
      { core:start(5000, raft_core.recovery(fields)) })
  end)
end)
