-- sim.explore: finds, shrinks, tells; and finds nothing where nothing is.
local World = require "raft.sim.world"
local errors = require "raft.errors"
local plans = require "raft.sim.plan"
local sim = require "raft.sim"
local swarm = require "raft.sim.swarm"

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

-- A counter that counts one too many from its third start on. (One start more
-- each of them has at the end of a run, when all is healed.)
local function forgetful(_, ctx)
  local total = ctx.boot >= 3 and 1 or 0
  return {
    apply = function(command)
      total = total + tonumber(command)
      return total
    end,
  }
end

local function propose_some(s)
  local client <close> = s:client()
  for _ = 1, 20 do
    client:propose("1", { timeout = 1000 })
    s:sleep(100)
  end
end

local function explore(options)
  local lines = {}
  options.workload = options.workload or propose_some
  options.duration_ms = options.duration_ms or 4000
  options.nodes = options.nodes or 3
  options.seeds = options.seeds or { 1, 20 }
  options.say = function(line) lines[#lines + 1] = line end
  local report, err = sim.explore(options)
  return report, err, table.concat(lines, "\n")
end

describe("sim.explore", function()
  it("finds nothing in a service that is right", function()
    local report, err = explore { node = counter, seeds = { 1, 8 } }
    assert.is_truthy(report, tostring(err))
    assert.equal(8, report.seeds)
    assert.is_true(report.ms >= 8 * 4000)
  end)

  it("shrinks what the swarm did to the one crash that matters", function()
    local _, err, text = explore { node = forgetful }
    assert.matches("divergence", err.broken)
    assert.matches("SEED=" .. err.seed, text, 1, true)
    local kinds = {}
    for _, event in ipairs(err.plan) do kinds[#kinds + 1] = event.kind end
    assert.is_true(#kinds <= 2, table.concat(kinds, " "))
    assert.matches("crash n%d", text)
  end)

  it("gives the same seed the same end", function()
    local _, one = explore { node = forgetful, shrink = false }
    local _, two = explore { node = forgetful, shrink = false }
    assert.equal(one.seed, two.seed)
    assert.equal(one.digest, two.digest)
  end)

  it("takes faults of one's own, and shrinks them too", function()
    local _, err, text = explore {
      node = forgetful, seeds = { 1, 1 },
      faults = function(s, random)
        for _ = 1, 10 do
          s:sleep(random:between(50, 150))
          s:cut("n1", "n2")
          s:heal()
        end
        for _ = 1, 2 do
          s:crash("n2", "process")
          s:restart("n2")
          s:sleep(500)
        end
      end,
    }
    assert.matches("divergence", err.broken)
    assert.is_true(#err.plan <= 3, text)
    assert.matches("restart%(n2%)", text)
  end)

  it("fails by what check says", function()
    local _, err = explore { node = counter, seeds = { 1, 1 },
      check = function() return nil, "not as I like it" end }
    assert.equal("not as I like it", err.broken)
  end)

  it("fails by what the workload raises", function()
    local _, err = explore { node = counter, seeds = { 1, 1 }, shrink = false,
      workload = function() error("broken workload") end }
    assert.matches("broken workload", err.broken)
  end)

  it("calls a batch dull that never met a mark", function()
    local report, err = explore { node = counter, seeds = { 1, 1 },
      faults = function() end, marks = { "partition" } }
    assert.is_nil(report)
    assert.same({ "partition" }, err.missing)
  end)

  it("ends when nothing is ever written", function()
    local function silence(s)
      local nobody = setmetatable({ propose = function(_, _, opts)
        s:sleep(opts.timeout)
        return nil, errors.new("timeout", "no answer in time")
      end }, { __close = function() end })
      s.client = function() return nobody end
    end
    local _, err = explore { node = counter, seeds = { 1, 1 }, shrink = false,
      workload = silence }
    assert.matches("liveness: no write", err.broken)
  end)

  it("has words for every fault of the swarm", function()
    local on = {}
    for _, class in ipairs(swarm.CLASSES) do on[class] = 1 end
    local plan = swarm.plan(on, World.new(1):random("plan"), { "n1", "n2" },
      60000)
    local kinds = {}
    for _, event in ipairs(plan) do
      kinds[event.kind] = true
      local words = plans.words { event }
      assert.is_nil(words:find("%", 1, true), words)
      assert.is_nil(words:find("nil", 1, true), words)
    end
    for _, kind in ipairs { "crash_at", "restart", "partition", "pause" } do
      assert.is_true(kinds[kind] or false, kind)
    end
  end)
end)
