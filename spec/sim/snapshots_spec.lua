-- Snapshots in whole clusters, on virtual disks and wires: what was
-- acknowledged is never lost, whoever is brought up by which.
local sim = require "raft.sim"
local support = require "spec.support.helper"

local FILLER <const> = ("x"):rep(2000)

-- A machine that counts commands, of which each has a number of its own.
local function machine(mode, restored)
  return function(id)
    local seen, count = {}, 0
    return {
      apply = function(command)
        local number = command:match("^%d+")
        assert(not seen[number], "applied twice")
        seen[number], count = true, count + 1
        return count
      end,
      query = function(number)
        return number and (seen[number] or false) or count
      end,
      save = function(write)
        local numbers = {}
        for number in pairs(seen) do numbers[#numbers + 1] = number end
        table.sort(numbers)
        for _, number in ipairs(numbers) do write(number .. " ") end
      end,
      load = function(read)
        local pieces = {}
        for piece in read do pieces[#pieces + 1] = piece end
        seen, count = {}, 0
        for number in table.concat(pieces):gmatch("%d+") do
          seen[number], count = true, count + 1
        end
        restored[id] = (restored[id] or 0) + 1
      end,
      snapshot_mode = mode,
      snapshot_bytes = 20000,
    }
  end
end

local function new(mode, options)
  local restored = {}
  options = options or {}
  options.seed = options.seed or support.seed()
  options.nodes = options.nodes or 3
  options.node = machine(mode or "inline", restored)
  return sim.new(options), restored
end

local function propose_some(s, c, from, to)
  for i = from, to do
    assert(c:propose(("%d %s"):format(i, FILLER)))
    if i % 20 == 0 then s:sleep(50) end
  end
end

-- The same where a node may go down in between, or be a witness, which takes
-- none: how many are known to be there.
local function try_some(s, c, from, to)
  local count = 0
  for i = from, to do
    local result, err = c:propose(("%d %s"):format(i, FILLER))
    assert(result or err.outcome == "unknown" or err.code == "unsupported",
      tostring(err))
    count = count + (result and 1 or 0)
    if i % 20 == 0 then s:sleep(50) end
  end
  return count
end

local function snapshot_of(s, id)
  return s:node(id):status().snapshot
end

describe("a simulated cluster", function()
  for _, mode in ipairs { "inline", "fork" } do
    it("lets its log go and brings up who was away, " .. mode, function()
      local s <close>, restored = new(mode)
      s:run(function()
        local c = s:client()
        propose_some(s, c, 1, 5)
        local leader = s:leader()
        local away = leader == "n1" and "n2" or "n1"
        s:crash(away)
        propose_some(s, c, 6, 120)
        s:wait(function()
          return s:node(s:leader()):status().first > 20
        end, 60000)
        s:restart(away)
        s:wait(function()
          return s:node(away):status().applied
            == s:node(s:leader()):status().applied
        end, 60000)
        assert.is_true((restored[away] or 0) >= 1)
        assert.is_true(snapshot_of(s, away) > 0)
        assert.equal(120, assert(c:query()))
      end)
      assert(s:check())
    end)

    it("goes on from snapshots after a power cut of all, " .. mode, function()
      local s <close>, restored = new(mode)
      s:run(function()
        local c = s:client()
        propose_some(s, c, 1, 60)
        for _, id in ipairs(s.ids) do s:crash(id, "power") end
        for _, id in ipairs(s.ids) do s:restart(id) end
        assert.equal(60, assert(c:query()))
        assert.is_true(next(restored) ~= nil)
        propose_some(s, c, 61, 70)
        assert.equal(70, assert(c:query()))
      end)
      assert(s:check())
    end)
  end

  it("takes a snapshot where a script asks a node for one", function()
    local s <close> = new("inline")
    s:run(function()
      local c = s:client()
      propose_some(s, c, 1, 3)
      local info = assert(s:node(s:leader()):take_snapshot())
      assert.equal(info.index, snapshot_of(s, s:leader()))
      assert.equal("inline", info.mode)
    end)
    assert(s:check())
  end)

  local function answers_nothing(node)
    for _, consistency in ipairs { "linearizable", "lease", "stale" } do
      local value, err = node:query(nil, { consistency = consistency })
      assert.is_nil(value)
      assert.equal("unsupported", err.code)
    end
  end

  -- n4 is to be a witness, and is away while the log goes: it is sent the place
  -- of the snapshot, and lives on with that. Once removed it cannot come back
  -- as a voter in the same directory: its own snapshots have no state either.
  it("sends a witness no state, and it never becomes a voter by that",
    function()
      local s <close>, restored = new("inline", { nodes = 4, initial = 3 })
      local address = s.members.n4.address
      local LONG <const> = { timeout = 60000 }
      local function applied_as_leader(id)
        s:wait(function()
          local leader = s:leader()
          return leader and s:node(id):status().applied
            == s:node(leader):status().applied
        end, 60000)
      end
      s:run(function()
        local c = s:client()
        s:crash("n4")
        local count = try_some(s, c, 1, 3)
        local added = false
        s:spawn(function()
          assert(s:node(s:leader()):add("n4", address,
            { role = "witness", force = true, timeout = 120000 }))
          added = true
        end)
        count = count + try_some(s, c, 4, 120)
        s:wait(function()
          return s:node(s:leader()):status().first > 20
        end, 60000)
        s:restart("n4")
        s:wait(function() return added end, 60000)
        applied_as_leader("n4")
        assert.is_true(s:node("n4"):status().snapshot > 0)
        s:crash("n4", "power")  -- its own snapshots, too, have no state
        s:restart("n4")
        count = count + try_some(s, c, 121, 260)
        applied_as_leader("n4")
        assert.is_nil(restored.n4)

        assert(s:node(s:leader()):remove("n4", LONG))
        local _, err = s:node(s:leader()):add("n4", address,
          { timeout = 3000 })
        assert.equal("timeout", err.code)
        local roles = s:node(s:leader()):members()
        assert.equal("learner", roles.n4.role)
        assert(s:node("n4"):ready())
        answers_nothing(s:node("n4"))
        assert.is_true(assert(s:node(s:leader()):query()) >= count)
      end)
      assert(s:check())
    end)

  -- What it lacks is in no log any more: it is told by a snapshot, though it is
  -- no member now that anybody keeps a link with.
  it("tells who was removed while away, by a snapshot", function()
    local s <close>, restored = new("inline", { nodes = 4 })
    s:run(function()
      local c = s:client()
      propose_some(s, c, 1, 3)
      local away = s:leader() == "n4" and "n3" or "n4"
      s:crash(away)
      propose_some(s, c, 4, 100)
      assert(s:node(s:leader()):remove(away, { timeout = 60000 }))
      propose_some(s, c, 101, 160)
      s:wait(function()
        return s:node(s:leader()):status().first > 100
      end, 60000)
      s:restart(away)
      assert(s:wait(function()
        local _, err = s:node(away):propose("0", { timeout = 500 })
        return err and err.message:find("was removed") ~= nil
      end, 60000))
      assert(s:wait(function() return restored[away] end, 60000))
    end)
    assert(s:check())
  end)
end)
