-- Every waiter is answered exactly once, however the node ends: of the calls
-- that wait longest. In virtual time.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"
local sim = require "raft.sim"

local WAIT <const> = { timeout = 20000 }

-- A cluster of three whose leader can do nothing, with one call of each kind
-- that waits on it: story(s, leader, answers).
local function stuck(story)
  local s <close> = sim.new { seed = 51, nodes = 4, initial = 3,
    may_fail = true, node = function()
      return {
        apply = function(command)
          if command == "end" then error("not enough memory", 0) end
          return true
        end,
        query = function() return 1 end,
        snapshot = function() return "state" end,
        restore = function() end,
      }
    end }
  s:run(function()
    assert(s:client():propose("x"))
    local leader = s:node(s:leader())
    assert(leader:ready(WAIT))
    s:partition({ leader.id })
    local answers, count = {}, 0
    local function waits(name, ...)
      local arguments = table.pack(...)
      arguments.n = arguments.n + 1
      arguments[arguments.n] = function(err, result)
        answers[name] = (answers[name] or 0) + 1
        answers[name .. " code"] = err and err.code .. " " .. err.outcome
          or result
      end
      count = count + 1
      leader[name](leader, table.unpack(arguments, 1, arguments.n))
    end
    local forever = { timeout = false }
    waits("add", "n4", s.members.n4.address, forever)
    waits("propose", "y", forever)
    waits("query", nil, forever)
    waits("read", forever)
    s:sleep(5)
    waits("transfer", forever)
    s:sleep(5)
    story(s, leader, answers)
    assert.equal(5, count)
  end)
end

local function check(s, answers, codes)
  s:sleep(3000)
  for name, code in pairs(codes) do
    assert.equal(1, answers[name], name)
    assert.equal(code, answers[name .. " code"], name)
  end
end

describe("who waits is answered once", function()
  it("when the node is closed: what is in a log may happen", function()
    stuck(function(s, leader, answers)
      leader:close()
      check(s, answers, { add = "closed unknown", propose = "closed unknown",
        query = "closed none", read = "closed none",
        transfer = "closed none" })
    end)
  end)

  it("when the node is stopped", function()
    stuck(function(s, leader, answers)
      leader:stop { timeout = 500 }
      check(s, answers, { add = "closed unknown", propose = "closed unknown",
        query = "closed none", read = "closed none",
        transfer = "closed none" })
      assert.is_truthy(s:leader())
    end)
  end)

  it("when it is over, and the others have another leader", function()
    stuck(function(s, leader, answers)
      s:sleep(5000)
      s:heal()
      assert(leader:ready(WAIT))
      s:sleep(3000)
      for _, name in ipairs { "propose", "query", "read", "transfer" } do
        assert.equal(1, answers[name], name)
      end
      assert.equal("lost none", answers["propose code"])
      assert.equal(1, answers["query code"])
      assert.is_true(answers["read code"])
      -- The change was lost with its entry, and asked for again.
      assert(s:wait(function() return answers.add end, 20000))
      assert.is_true(answers["add code"])
      assert.equal("voter", leader:members().n4.role)
    end)
  end)
end)

describe("what nobody waits for", function()
  it("goes to on.error", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    cluster:up()
    local node, heard = cluster:node("n1"), cluster.errors.n1
    for i, case in ipairs {
      { "take_snapshot", "unsupported" },
      { "transfer", "refused", "n9" },
      { "remove", "bad_membership", "n1" },
      { "change", "bad_membership", { n1 = false } },
    } do
      local arguments = { case[3] }
      arguments[#arguments + 1] = false
      node[case[1]](node, table.unpack(arguments))
      helper.wait_until(function() return heard[i] end, 5000, case[1])
      assert.is_true(raft.is_error(heard[i]))
      assert.equal(case[2], heard[i].code)
    end
  end)
end)
