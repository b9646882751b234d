-- raft.sim as its users see it.
local errors = require "raft.errors"
local raft = require "raft"
local sim = require "raft.sim"

local function counter()
  local total = 0
  return {
    apply = function(command)
      total = total + tonumber(command)
      return total
    end,
    query = function() return total end,
  }
end

local function new(options)
  options = options or {}
  options.node = options.node or counter
  return sim.new(options)
end

local function followers(s)
  local leader, list = s:leader(), {}
  for _, id in ipairs(s.ids) do
    if id ~= leader then list[#list + 1] = id end
  end
  return list
end

describe("sim.new", function()
  local function complaint(options)
    local ok, err = pcall(sim.new, options)
    assert.is_false(ok)
    return tostring(err)
  end

  it("names the path of a wrong option", function()
    assert.matches("raft.sim.new: node: expected a function", complaint {}, 1,
      true)
    assert.matches("raft.sim.new: network.loss: expected a share",
      complaint { node = counter, network = { loss = 2 } }, 1, true)
    assert.matches("unknown option, did you mean seed?",
      complaint { node = counter, sed = 1 }, 1, true)
  end)

  it("refuses options of a node that the simulation gives", function()
    assert.matches('node("n1"): dir is given by the simulation',
      complaint { node = function() return { dir = "x" } end }, 1, true)
  end)

  it("calls node at every start, with who it is", function()
    local calls = {}
    local s <close> = new { nodes = 1, node = function(id, ctx)
      calls[#calls + 1] = { id, ctx.id, ctx.boot, ctx.random(1, 1),
        ctx.uv.now ~= nil }
      return counter()
    end }
    s:restart("n1")
    assert.same({ { "n1", "n1", 1, 1, true }, { "n1", "n1", 2, 1, true } },
      calls)
  end)
end)

describe("a simulation", function()
  it("keeps what was acknowledged when the leader dies", function()
    local s <close> = sim.new { seed = 42, nodes = 5, node = counter,
      network = { delay = { 1, 10 }, loss = 0.05, duplicate = 0.05 },
      disk = { sync = { 1, 5 }, torn = true } }
    s:run(function()
      local c = s:client()
      assert(c:propose("5"))
      s:crash(s:leader())
      assert.equal(5, assert(c:query("total")))
    end)
    assert(s:check())
  end)

  it("starts again from its disks after a power cut of all", function()
    local s <close> = new { nodes = 3 }
    s:run(function()
      local c = s:client()
      for _ = 1, 20 do assert(c:propose("1")) end
      for _, id in ipairs(s.ids) do s:crash(id, "power") end
      for _, id in ipairs(s.ids) do s:restart(id) end
      assert.equal(20, assert(c:query()))
    end)
  end)

  it("has no leader without a majority, and one again with it", function()
    local s <close> = new { nodes = 3, seed = 7 }
    s:run(function()
      local c = s:client()
      assert(c:propose("1"))
      local leader = s:leader()
      s:partition({ leader }, followers(s))
      local old = s:node(leader)
      local ok, err = old:propose("10", { timeout = 3000 })
      assert.is_nil(ok)
      assert.equal("unknown", err.outcome)
      assert.is_true(s:leader() ~= leader)
      s:heal()
      assert(s:wait(function() return s:is_settled() end))
      assert.equal(1, assert(c:query()))
    end)
  end)

  -- They had each stood alone, so nobody took over for ever.
  it("leaves those together who are in no group of a partition", function()
    local s <close> = new { nodes = 3, seed = 7 }
    s:run(function()
      assert(s:client():propose("1"))
      local leader = s:leader()
      s:partition({ leader })
      assert(s:wait(function()
        return s:leader() and s:leader() ~= leader
      end, 10000))
    end)
  end)

  it("takes lists of ids for a partition, and nothing else", function()
    local s <close> = new { nodes = 3 }
    local ok, why = pcall(s.partition, s, "n1", "n2")
    assert.is_false(ok)
    assert.equal('raft.sim: s:partition: expected lists of ids, got "n1"', why)
  end)

  it("cuts one way only where that is asked for", function()
    local s <close> = new { nodes = 3 }
    s:run(function()
      assert(s:client():propose("1"))
      local leader = s:leader()
      for _, id in ipairs(followers(s)) do s:cut(id, leader, false) end
      -- It can speak and not hear: it must notice.
      assert(s:wait(function()
        return s:leader() and s:leader() ~= leader
      end, 10000))
    end)
  end)

  it("answers who waits for a process that dies", function()
    local s <close> = new { nodes = 3 }
    s:run(function()
      assert(s:client():propose("1"))
      local leader, err = s:leader(), nil
      s:partition({ leader }, followers(s))
      s:node(leader):propose("1", function(e) err = e end)
      s:sleep(10)
      s:crash(leader)
      s:sleep(1)
      assert.equal("closed", err.code)
      assert.equal("unknown", err.outcome)
      local _, closed = s:node(leader):propose("1")
      assert.equal("none", closed.outcome)
    end)
  end)

  it("lets a stopped process miss its time, and go on", function()
    local s <close> = new { nodes = 3 }
    s:run(function()
      local c = s:client()
      assert(c:propose("1"))
      local leader = s:leader()
      s:pause(leader)
      assert(s:wait(function()
        return s:leader() and s:leader() ~= leader
      end, 20000))
      s:resume(leader)
      assert(s:wait(function()
        return not s:node(leader):is_leader()
      end, 20000))
      assert.equal(2, assert(c:propose("1")))
    end)
  end)

  it("has clocks that go apart, where asked for", function()
    local s <close> = new { nodes = 3, clock = { rate_ppm = 100000 } }
    s:run(function()
      assert(s:client():propose("1"))
      s:sleep(60000)
      assert.equal(2, assert(s:client():propose("1")))
    end)
  end)
end)

describe("s:run", function()
  it("hands on results", function()
    local s <close> = new { nodes = 1 }
    assert.same({ 1, nil, 3 }, { s:run(function() return 1, nil, 3 end) })
  end)

  it("hands on errors: text with a traceback, values as they are", function()
    local s <close> = new { nodes = 1 }
    local ok, err = pcall(s.run, s, function() error("oh") end)
    assert.is_false(ok)
    assert.matches("sim_spec.lua:%d+: oh\nstack traceback", err)
    local value = {}
    ok, err = pcall(s.run, s, function() error(value) end)
    assert.is_false(ok)
    assert.equal(value, err)
  end)

  it("lets virtual time pass, and no real time", function()
    local s <close> = new { nodes = 1 }
    local began = os.clock()
    s:run(3600000 / 2)
    assert.is_true(s:now() >= 1800000)
    assert.is_true(os.clock() - began < 60)
  end)

  it("has raft.sleep and raft.spawn use the simulated loop", function()
    local s <close> = new { nodes = 1 }
    s:run(function()
      local before = s:now()
      local task = raft.spawn(function()
        raft.sleep(500)
        return "slept"
      end)
      assert.equal("slept", assert(task:wait()))
      assert.equal(500, math.floor(s:now() - before))
    end)
  end)

  it("does not run inside itself", function()
    local s <close> = new { nodes = 1 }
    s:run(function()
      assert.has_error(function() s:run(function() end) end)
    end)
  end)

  it("gives up on what never ends", function()
    local s <close> = new { nodes = 1 }
    s.script.limit_ms = 5000
    assert.error_matches(function()
      s:run(function() s:sleep(10000) end)
    end, "not over after 5000 virtual ms")
  end)
end)

describe("s:wait", function()
  it("gives the value, or the error timeout", function()
    local s <close> = new { nodes = 1 }
    assert.equal("n1", s:wait(function() return s:leader() end))
    local value, err = s:wait(function() return false end, 100)
    assert.is_nil(value)
    assert.equal("timeout", err.code)
    assert.is_true(errors.is_error(err))
  end)
end)

describe("the code of a node", function()
  it("sees another order of pairs, other numbers, another time", function()
    local orders, numbers, times = {}, {}, {}
    local s <close> = new { nodes = 5, seed = 3, clock = { offset_ms = 100000 },
      node = function(id)
        local keys = {}
        for key in pairs { a = 1, b = 2, c = 3, d = 4, e = 5 } do
          keys[#keys + 1] = key
        end
        orders[#orders + 1] = table.concat(keys)
        numbers[#numbers + 1] = math.random(1 << 40)
        times[id] = os.time()
        return counter()
      end }
    local function distinct(list)
      local seen, count = {}, 0
      for _, value in ipairs(list) do
        if not seen[value] then count, seen[value] = count + 1, true end
      end
      return count
    end
    assert.is_true(distinct(orders) > 1)
    assert.equal(5, distinct(numbers))
    assert.is_true(times.n1 ~= times.n2 or times.n2 ~= times.n3)
    assert.equal(5, #orders[1])
    s:run(1)
  end)

  it("gets its globals back, also after an error", function()
    local raw_pairs, raw_time = pairs, os.time
    local s <close> = new { nodes = 1, node = function()
      return { apply = function() error("in apply") end }
    end }
    s:run(function()
      local _, err = s:client():propose("x")
      assert.equal("apply_error", err.code)
    end)
    assert.equal(raw_pairs, pairs)
    assert.equal(raw_time, os.time)
  end)

  it("that is not deterministic is found", function()
    local s <close> = new { nodes = 3, node = function()
      return { apply = function() return math.random(1 << 30) end }
    end }
    assert.error_matches(function()
      s:run(function()
        s:client():propose("x")
        s:sleep(2000)
      end)
    end, "divergence")
    local ok, err = s:check()
    assert.is_nil(ok)
    assert.equal("failed", err.code)
  end)
end)

describe("s:history", function()
  it("tells what clients asked for and what came of it", function()
    local s <close> = new { nodes = 1 }
    s:run(function()
      local c = s:client("ann")
      c:propose("5")
      c:query("total")
      local list = s:history()
      assert.equal(2, #list)
      assert.same({ "ann", "propose", "5", 5, "ok" }, { list[1].client,
        list[1].kind, list[1].input, list[1].output, list[1].outcome })
      assert.same({ "ann", "query", "total", 5, "ok" }, { list[2].client,
        list[2].kind, list[2].input, list[2].output, list[2].outcome })
      assert.is_true(list[1].back < list[2].call)
    end)
  end)
end)

describe("s:wipe", function()
  it("leaves a directory that a formed cluster does not count", function()
    local s <close> = new { nodes = 3, may_fail = true }
    s:run(function()
      assert(s:client():propose("1"))
      s:wipe("n3")
      s:restart("n3")
      s:sleep(5000)
      assert.is_false(s:node("n3"):is_leader())
      assert.equal(2, assert(s:client():propose("1")))
    end)
  end)
end)
