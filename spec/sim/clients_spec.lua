-- Clients under faults of their own: spec/sim/clients.lua, which runs many
-- seeds by itself; and what scripts can do to a client.
local clients = require "spec.sim.clients"
local errors = require "raft.errors"
local sim = require "raft.sim"
local support = require "spec.support.helper"

local SEEDS <const>, MS <const> = 3, 10000

local function counter()
  local total = 0
  return {
    apply = function()
      total = total + 1
      return total
    end,
    query = function() return total end,
  }
end

local function on_cluster(fn)
  local s <close> = sim.new { seed = 1, nodes = 3, node = counter }
  s:run(function() fn(s) end)
  assert(s:check())
end

-- The code of an error, and what is known of the command.
local function refusal(result, err)
  assert.is_nil(result)
  return { err.code, err.outcome }
end

describe("clients under the swarm", function()
  it("do each command once, in call order, and read what is there", function()
    local first = support.seed()
    local report, err = clients.explore({ first, first + SEEDS - 1 }, MS,
      { shrink = false, say = function() end })
    assert.is_truthy(report, errors.text(err))
    assert.is_true((report.marks.counts.reconnected or 0) > 0)
  end)

  it("are dull where nothing happens to them", function()
    local report, err = clients.explore({ 1, 1 }, 1000, {
      faults = function() end, marks = clients.MARKS, say = function() end })
    assert.is_nil(report)
    assert.matches("too dull: never met client_cut, client_pause",
      err.message)
  end)
end)

describe("a client of a script", function()
  it("is cut off by its name, one way or both", function()
    on_cluster(function(s)
      local c <close> = s:client("c")
      assert(c:propose("first"))
      for _, id in ipairs(s.ids) do s:cut("c", id, false) end
      assert.same({ "timeout", "unknown" },
        refusal(c:propose("lost", { timeout = 100 })))
      assert.equal(1, s:node(s:leader()):query(""))
      s:heal()
      for _, id in ipairs(s.ids) do s:cut(id, "c", false) end
      assert.same({ "timeout", "unknown" },
        refusal(c:propose("done", { timeout = 300 })))
      s:heal()
      assert.is_true(assert(c:propose("last", { timeout = 20000 })) >= 2)
      assert.is_true(s.marks.counts.client_cut >= 6)
    end)
  end)

  it("stands still by its name, and goes on", function()
    on_cluster(function(s)
      local c <close> = s:client("c")
      assert(c:propose("first"))
      s:pause("c")
      local task = s:spawn(function() return c:propose("second") end)
      s:sleep(2000)
      assert.is_false(task:is_done())
      s:resume("c")
      assert.equal(2, task:wait())
    end)
  end)

  -- Who has missed the newest rule of quorums does not judge by its own.
  it("is told of what the others know to be safe", function()
    local s <close> = sim.new { seed = 1, nodes = 5, node = counter }
    s:run(function()
      local c <close> = s:client("c")
      assert(c:propose("first"))
      local old = s:leader()
      if old == "n1" then
        assert(c:transfer("n2"))
        assert(s:wait(function() return s:leader() == "n2" end))
      end
      s:crash("n1")
      assert(c:change({}, { quorum = { election = 4, commit = 2 } }))
      local leader = s:leader()
      local others = {}
      for _, id in ipairs(s.ids) do
        if id ~= leader and id ~= "n1" then others[#others + 1] = id end
      end
      s:crash(others[1])
      s:crash(others[2])
      s:restart("n1")
      s:partition({ "n1" }, { leader, others[3] })
      local task = s:spawn(function() return c:propose("second") end)
      s:sleep(0.3)
      s:pause("c")
      s:sleep(200)
      assert.equal(2, s:node(leader):query("", { consistency = "stale" }))
      s:crash(leader)
      s:resume("c")
      assert.equal(2, task:wait { timeout = 30000 })
    end)
    assert(s:check())
  end)

  it("that nobody knows is no node", function()
    on_cluster(function(s)
      assert.has_error(function() s:cut("c", "n1") end,
        'raft.sim: s:cut: there is no node "c"')
    end)
  end)

  it("is known no more when it is closed", function()
    on_cluster(function(s)
      local c = s:client("c")
      c:close()
      assert.has_error(function() s:pause("c") end,
        'raft.sim: s:pause: there is no node "c"')
    end)
  end)
end)
