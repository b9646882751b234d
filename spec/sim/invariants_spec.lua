-- Every invariant of the simulation can fail: made-up nodes that break one.
local Invariants = require "raft.sim.invariants"
local Marks = require "raft.sim.marks"
local Trace = require "raft.sim.trace"
local World = require "raft.sim.world"
local logs = require "raft.sim.invariants.logs"
local raft_sim = require "raft.sim"

local function counter()
  local total = 0
  return { apply = function(n) total = total + tonumber(n) return total end }
end

-- A node with this log (array of { term, command }) and these numbers.
local function member(id, fields)
  local log = fields.log or {}
  local m = { id = id, boot = fields.boot or 1, last_index = 0,
    rotten_last = fields.rotten_last or 0, lost = fields.lost or {},
    incarnation = fields.incarnation or 1, decided_index = 0 }
  local numbers = {
    role = fields.role or "follower", term = fields.term or 1,
    commit = fields.commit or 0, applied = fields.applied or 0,
    last = #log, stored = fields.stored or #log, memory_first = 1,
    first = fields.first or 1, snapshot = fields.snapshot or 0, peers = {},
    config_index = fields.config_index or 0,
    memory_bytes = fields.memory_bytes or 0,
    pending_bytes = fields.pending_bytes or 0,
  }
  m.driver = {
    config = fields.config or false, peers = { links = fields.links or {} },
    is_closed = false, has_turns = true, acknowledged = fields.told or 0,
    applied = numbers.applied,
    options = { max_pending_bytes = 100, max_command_bytes = 10 },
    core = {
      status = function(_, t)
        t = t or {}
        for name, value in pairs(numbers) do t[name] = value end
        return t
      end,
      term_at = function(_, index) return log[index] and log[index][1] end,
      entry = function(_, index)
        return log[index][3] or "command", log[index][1], 0, log[index][2]
      end,
      check = function() return fields.broken == nil, fields.broken end,
    },
  }
  function m.stored() return numbers.stored end
  function m.is_lost() return m.lost[m.incarnation] ~= nil end
  m.numbers = numbers
  return m
end

local function cluster(list)
  local world = World.new(1)
  local sim = { ids = {}, members = {}, world = world, marks = Marks.new(),
    options = { may_diverge = false },
    trace = Trace.new(world, false) }
  for _, m in ipairs(list) do
    sim.ids[#sim.ids + 1] = m.id
    sim.members[m.id] = m
  end
  local invariants = Invariants.new(sim)
  for _, m in ipairs(list) do invariants:look(m) end
  return invariants
end

local A <const> = { { 1, "first" }, { 1, "a" }, { 2, "b" } }

describe("the invariants", function()
  it("have nothing against a cluster that is well", function()
    local invariants = cluster {
      member("n1", { log = A, role = "leader", term = 2, commit = 3,
        applied = 3 }),
      member("n2", { log = A, term = 2, commit = 3, applied = 2 }),
      member("n3", { log = { A[1], A[2] }, term = 2, commit = 2 }),
    }
    assert.is_nil(invariants.broken)
  end)

  it("let one lead late that was elected before others committed", function()
    local invariants = cluster {
      member("n1", { log = A, term = 4, commit = 3 }),
      member("n2", { log = A, term = 4, commit = 3 }),
      member("n3", { log = { A[1] }, role = "leader", term = 3 }),
    }
    assert.is_nil(invariants.broken)
  end)

  local function breaks(what, words, list, act)
    it("see " .. what, function()
      local invariants = cluster(list)
      if act then act(invariants, list) end
      assert.matches(words, invariants.broken or "nothing broken", 1, true)
    end)
  end

  breaks("two leaders of one term",
    "election safety: n1/1 and n2/1 lead term 2",
    { member("n1", { role = "leader", term = 2 }),
      member("n2", { role = "leader", term = 2 }) })

  breaks("a leader that leads its old term after a restart", "election safety",
    { member("n1", { role = "leader", term = 2 }) },
    function(invariants, list)
      list[1].boot = 2
      invariants:look(list[1])
    end)

  breaks("another entry at one index and term",
    "log matching: entry 2 of term 1",
    { member("n1", { log = A }),
      member("n2", { log = { A[1], { 1, "other" } } }) })

  breaks("another entry before the same one", "log matching: entry 3 of term 2",
    { member("n1", { log = A }),
      member("n2", { log = { A[1], { 2, "x" }, A[3] } }) })

  breaks("a leader without a committed entry", "leader completeness",
    { member("n1", { log = A, commit = 3, stored = 3 }),
      member("n2", { log = A, commit = 3 }),
      member("n3", { log = { A[1] }, role = "leader", term = 3 }) })

  breaks("another entry committed at one index",
    "state machine safety: entry 3",
    { member("n1", { log = A, commit = 3 }), member("n2", { log = A }),
      member("n3", { log = { A[1], A[2], { 1, "c" } }, commit = 3 }) })

  breaks("a commit that is on no quorum of disks",
    "commit: entry 3 of term 2 is on 1 of 3 disks",
    { member("n3", { log = { A[1] } }), member("n2", { log = A, stored = 2 }),
      member("n1", { log = A, commit = 3 }) })

  -- A configuration of voters; with `new` a joint one of two halves.
  local function config_of(old, new)
    local members = {}
    for i = 1, 5 do
      local id = "n" .. i
      members[id] = { incarnation = 1, role = old:find(id) and "voter",
        next_role = new and (new:find(id) and "voter" or false) or nil }
    end
    return { members = members, joint = new ~= nil }
  end

  local B <const> = { { 1, "first", "config" }, { 1, "x", "config" } }

  local function five(config, has)
    local list = {}
    for i = 5, 1, -1 do
      local is_there = has:find("n" .. i) ~= nil
      list[#list + 1] = member("n" .. i, { log = is_there and B or { B[1] },
        role = i == 1 and "leader" or nil, commit = i == 1 and 2 or 0,
        config = is_there and config or config_of "n1 n2 n3",
        config_index = is_there and 2 or 1 })
    end
    return list
  end

  local JOINT <const> = config_of("n1 n2 n3", "n3 n4 n5")

  it("have nothing against a commit of both halves", function()
    assert.is_nil(cluster(five(JOINT, "n1 n2 n3 n4")).broken)
  end)

  breaks("a commit that the old half alone counted",
    "commit: entry 2 of term 1 is on 2 of 5 disks", five(JOINT, "n1 n2"))

  breaks("a commit that the new half alone counted",
    "commit: entry 2 of term 1 is on 3 of 5 disks", five(JOINT, "n1 n4 n5"))

  breaks("another directory that counts", "commit: entry 2 of term 1 is on 2",
    five(config_of "n1 n2 n3", "n1 n2"), function(invariants, list)
      invariants.commit, invariants.views = 0, {}
      list[4].incarnation = 2  -- that of n2
      invariants:look(list[5])
    end)

  it("count a directory that is gone, for who counts it", function()
    local list = five(config_of "n1 n2 n3", "n1")
    list[4].lost, list[4].incarnation = { 2 }, 0  -- the first had entry 2
    assert.is_nil(cluster(list).broken)
  end)

  breaks("a committed configuration that is not in force",
    "configuration: entry 2 is committed, and that of entry 1 is in force",
    { member("n1", { log = B, commit = 2, config_index = 2 }),
      member("n2", { log = B, commit = 2, config_index = 1 }) })

  breaks("a log that begins behind its snapshot",
    "order: the log begins at 3, the snapshot ends at 1",
    { member("n1", { log = A, first = 3, snapshot = 1 }) })

  breaks("a lost directory that leads", "directories: one that is lost leads",
    { member("n1", { role = "leader", lost = { 5 } }) })

  breaks("a lost directory that is let in",
    "directories: one that is lost is let in by n2",
    { member("n1", { lost = { 5 }, links = { n2 = { phase = "open" } } }) })

  breaks("a false alarm of results that differ",
    "a false alarm: results are said to differ at 32",
    { member("n1", {}) }, function(invariants, list)
      invariants:diverged(list[1], { index = 32 })
    end)

  it("count the disk of a node that fails, dies and starts again", function()
    local s <close> = raft_sim.new { seed = 1, nodes = 3, node = counter,
      may_fail = true }
    s:run(function()
      assert(s:client():propose("1"))
      local id = s:leader()
      local failing = s.members[id]
      local stored = failing:stored()
      s:fail_disk(id, "write")
      s:client():propose("1", { timeout = 3000 })
      assert.equal("failed", failing.state)
      for _, what in ipairs { "failed", "restarted", "dead" } do
        assert.is_true(logs.is_stored(failing, stored, 1), what)
        if what == "failed" then s:restart(id) else s:crash(id) end
      end
    end)
  end)

  for _, name in ipairs { "term", "commit", "applied" } do
    breaks(name .. " that goes back", name .. " went back from 3 to 2",
      { member("n1", { log = A, term = 3, commit = 3, applied = 3 }) },
      function(invariants, list)
        list[1].numbers[name] = 2
        invariants:look(list[1])
      end)
  end

  breaks("applied beyond commit", "order: applied 3, commit 2",
    { member("n1", { log = A, commit = 2, applied = 3 }) })

  breaks("commit beyond the log", "order: applied 0, commit 4, last 3",
    { member("n1", { log = A, commit = 4 }) })

  breaks("too much memory", "bytes of log in memory",
    { member("n1", { log = A, memory_bytes = 1 << 30 }) })

  breaks("too much pending", "bytes pending",
    { member("n1", { role = "leader", pending_bytes = 1000 }) })

  breaks("what the core says of itself", "core: stored above last",
    { member("n1", { broken = "stored above last" }) })

  breaks("another command applied", "applied another command",
    { member("n1", { log = A, commit = 3 }), member("n2", { log = A }) },
    function(invariants, list)
      invariants:applied(list[1], 3, "c", true, 1)
    end)

  breaks("another result of apply", "divergence: apply gave another result",
    { member("n1", { log = A, commit = 3 }), member("n2", { log = A }) },
    function(invariants, list)
      invariants:applied(list[1], 3, "b", true, 1)
      invariants:applied(list[2], 3, "b", true, 2)
    end)

  breaks("an apply that fails on one node only", "divergence",
    { member("n1", { log = A, commit = 3 }), member("n2", { log = A }) },
    function(invariants, list)
      invariants:applied(list[1], 3, "b", true, nil)
      invariants:applied(list[2], 3, "b", false)
    end)

  breaks("an answer given before a quorum had it", "acknowledged: entry 3",
    { member("n1", { log = A, commit = 3, told = 3 }),
      member("n2", { log = A }), member("n3", { log = { A[1] } }) },
    function(invariants, list)
      list[2].numbers.stored = 2
      invariants:told(list[1])
    end)

  breaks("a stale read", "fresh: a read was answered at 2, and 3",
    { member("n1", { log = A, commit = 2, applied = 2 }) },
    function(invariants, list) invariants:read_answered(list[1], 3) end)
end)
