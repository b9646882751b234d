local Recorder = require "raft.node.recorder"
local raft = require "raft"
local raft_core = require "raft.core"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local OPTIONS <const> = { id = "n1", incarnation = 11, seed = 7,
  election_min_ms = 100, election_max_ms = 200, heartbeat_ms = 20,
  command_bytes_max = 1000, pending_bytes_max = 10000,
  message_bytes_max = 10000, inflight_bytes_max = 10000,
  memory_bytes_max = 10000 }

-- Everything is durable and applied at once.
local function turn(recorder, core, now)
  local kinds = {}
  repeat
    local stored, applied = false, false
    for kind, _, a, b in core:effects() do
      kinds[kind] = { a, b }
      if kind == "store" then stored = a end
      if kind == "apply" then applied = b end
      if kind == "install" then applied = a end
    end
    if stored then core:stored(now, stored) end
    if applied then core:applied(now, applied) end
    recorder:flush()
  until not stored and not applied
  return kinds
end

local function life(path, members, fn)
  local recorder = Recorder.open { uv = uv, host = {}, path = path,
    library = "test", complain = error }
  local core = recorder:stand_before(raft_core.new(OPTIONS), OPTIONS)
  core:wall(1000000)
  assert(core:start(5000))
  assert(core:form(5000, { election_min_ms = 100, identity = ("i"):rep(16),
    members = members }))
  turn(recorder, core, 5000)
  fn(core, function(now) return turn(recorder, core, now) end)
  local digest = core:digest()
  recorder:finish()
  core:close()
  local lines = {}
  local result = assert(raft.replay(path, {
    trace = function(line) lines[#lines + 1] = line end }))
  assert.equal(digest, result.digest)
  assert.is_true(result.has_ended)
  return table.concat(lines, "\n"), result
end

local function says(text, words)
  assert.truthy(text:find(words, 1, true), words .. "\nis not in\n" .. text)
end

describe("replay: snapshots", function()
  local dir
  before_each(function() dir = tmpdir.new() end)
  after_each(function() dir:remove() end)

  local ALONE <const> = { n1 = { address = "h:1", incarnation = 11 } }
  local THREE <const> = { n1 = { address = "h:1", incarnation = 11 },
    n2 = { address = "h:2", incarnation = 12 },
    n3 = { address = "h:3", incarnation = 13 } }

  it("that were made are run again, and what went then", function()
    local text, result = life(dir:join("made"), ALONE, function(core, go_on)
      core:tick(5300)
      go_on(5300)
      assert(core:propose(5310, "a"))
      go_on(5310)
      local meta = assert(core:snapshot_meta())
      assert.equal(3, meta.index)
      assert.is_true(core:snapshot_made(5320, meta))
      local kinds = go_on(5320)
      assert.same({ 3 }, kinds.compact)
      assert.is_true(core:compacted(5330, 2))
      assert.same({ nil, "usage" }, { core:compacted(5330, 4) })
      assert.is_true(core:shipped(5340, "n2", 3, false))  -- nobody asked
      assert.equal(3, core:status().snapshot)
      assert.equal(3, core:status().first)
    end)
    says(text, "n1 has made a snapshot of 3/t2")
    says(text, "a snapshot of 3/t2 is there")
    says(text, "n1 may let go of all up to 3")
    says(text, "n1 lets go of all up to 2")
    says(text, "n1 lets go of all up to 4: refused, usage")
    says(text, "n1 has shipped its snapshot of 3 to n2: failed")
    assert.equal(3, result.status.first)
  end)

  it("that were received are run again", function()
    local text = life(dir:join("received"), THREE, function(core, go_on)
      local config = raft_core.config_encode((core:config()))
      local t = { index = 9, term = 4, time = 77, config_index = 1,
        config = config, path = "/not/for/the/core" }
      assert.equal(9, core:snapshot_received(5100, t))
      local kinds = go_on(5100)
      assert.same({ 9, 4 }, kinds.install)
      assert.is_true(core:snapshot_received(5110, t))  -- again: nothing
      assert.same({ "busy" }, { select(2, raft_core.new(OPTIONS)
        :snapshot_meta()) })
      local meta = core:snapshot_meta()
      assert.same({ 9, 4, 77, 1, config }, { meta.index, meta.term, meta.time,
        meta.config_index, meta.config })
      t.config = "none"
      t.index = 12
      assert.same({ nil, "corrupt" }, { core:snapshot_received(5120, t) })
    end)
    says(text, "n1 has received a snapshot of 9/t4, and takes it")
    says(text, "a snapshot of 9/t4 is all it has")
    says(text, "n1 installs the snapshot of 9/t4")
    says(text, "n1 has received a snapshot of 12/t4: refused, corrupt")
  end)

  it("that a core starts from are run again", function()
    local config = raft_core.config_encode { election_min_ms = 100,
      identity = ("i"):rep(16), members = ALONE }
    local t = { index = 9, term = 4, time = 77, config_index = 1,
      config = config }
    local path = dir:join("start")
    local recorder = Recorder.open { uv = uv, host = {}, path = path,
      library = "test", complain = error }
    local fields = { term = 4, vote = 0, commit = 9, base_index = 9,
      base_term = 4, last = 9, terms = {}, tail_first = 10, last_time = 0,
      tail = "", lost_last = 0, lost_term = 0 }
    local core = recorder:stand_before(raft_core.new(OPTIONS), OPTIONS)
    assert.same({ nil, "corrupt" },
      { core:start(5000, raft_core.recovery(fields)) })
    assert.is_true(core:start(5000, raft_core.recovery(fields), t))
    assert.equal(9, core:status().applied)
    assert.equal("n1", next(core:config().members))
    local digest = core:digest()
    recorder:finish()
    core:close()
    assert.equal(digest, assert(raft.replay(path)).digest)
  end)
end)
