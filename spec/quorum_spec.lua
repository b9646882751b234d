-- Who is enough, in words and as sets. [Raft 5.2] [Howard, Flexible Paxos]
local Dice = require "spec.support.dice"
local formula = require "raft.quorum.formula"
local helper = require "spec.support.helper"
local quorum = require "raft.quorum"
local raft_core = require "raft.core"

local function cluster(n, roles)
  local members = {}
  for i = 1, n do
    local id = "n" .. i
    members[id] = { role = roles and roles[id] or "voter" }
  end
  return members
end

local function resolved(rule, n, roles)
  return quorum.resolve(quorum.rule(rule, "quorum"), cluster(n, roles))
end

describe("a formula", function()
  local ids = { "n1", "n2", "n3", "n4", "n5" }

  local cases = {
    { "n1", { 1 } },
    { "n1 and n2", { 3 } },
    { "n1 or n2 and n3", { 1, 6 } },
    { "(n1 or n2) and n3", { 5, 6 } },
    { "2 of (n1, n2, n3)", { 3, 5, 6 } },
    { "majority of (n1, n2, n3)", { 3, 5, 6 } },
    { "all of (n1, n2)", { 3 } },
    { "any of (n1, n2)", { 1, 2 } },
    { "2 of (n1, n2) and 1 of (n4, n5)", { 11, 19 } },
    { "2 of (n1 and n2, n3, n4)", { 7, 11, 12 } },
    { "n1 or n1 and n2", { 1 } },            -- the smallest sets only
    { "3 of (n1, n1, n2, n3)", { 3, 5 } },   -- n1 weighs twice
  }
  for _, case in ipairs(cases) do
    it("stands for sets: " .. case[1], function()
      local masks = assert(formula.sets(case[1], ids))
      table.sort(masks)
      assert.same(case[2], masks)
    end)
  end

  local refused = {
    { "", "expected a name at its beginning, got its end" },
    { "n1 and", 'expected a name after "n1 and", got its end' },
    { "n1 n2", 'expected "and" or "or" after "n1", got "n2"' },
    { "2 of (n1, n2", 'expected ")" after "2 of ( n1 , n2", got its end' },
    { "2 of n1", 'expected "(" after "2 of", got "n1"' },
    { "n9", "n9 is no voter: there are n1, n2, n3, n4, n5" },
    { "3 of (n1, n2)", "3 of 2 is not possible" },
    { "0 of (n1, n2)", "0 of 2 is not possible" },
    { "most of (n1, n2)", "most of 2 is not possible" },
    { "n1 + n2", 'what is "+"?' },
    { ("("):rep(40) .. "n1", "too many brackets" },
  }
  for _, case in ipairs(refused) do
    it(("refuses %q"):format(case[1]:sub(1, 20)), function()
      local masks, why = formula.sets(case[1], ids)
      assert.is_nil(masks)
      assert.equal(case[2], why)
    end)
  end

  it("bounds its work", function()
    local many = {}
    for i = 1, 32 do many[i] = "n" .. i end
    local masks, why = formula.sets(("16 of (%s)"):format(
      table.concat(many, ", ")), many)
    assert.is_nil(masks)
    assert.equal("it stands for too many sets", why)
  end)

  -- The meaning of a formula, set by set, as its words say it.
  local function random_formula(roll, depth)
    local kind = depth == 0 and 1 or roll(1, 4)
    if kind == 1 then
      local i = roll(1, #ids)
      return ids[i], function(mask) return mask >> i - 1 & 1 == 1 end
    end
    local items, checks = {}, {}
    for i = 1, roll(2, 3) do
      items[i], checks[i] = random_formula(roll, depth - 1)
      items[i] = "(" .. items[i] .. ")"
    end
    local need = kind == 2 and #items or kind == 3 and 1 or roll(1, #items)
    local text = kind == 2 and table.concat(items, " and ")
      or kind == 3 and table.concat(items, " or ")
      or ("%d of (%s)"):format(need, table.concat(items, ", "))
    return text, function(mask)
      local count = 0
      for _, check in ipairs(checks) do
        if check(mask) then count = count + 1 end
      end
      return count >= need
    end
  end

  it("means what it says, whatever it is", function()
    local random = Dice.new(helper.seed(), 1)
    local function roll(a, b) return random:integer(a, b) end
    for _ = 1, 300 do
      local text, holds = random_formula(roll, 3)
      local masks = assert(formula.sets(text, ids))
      for mask = 0, (1 << #ids) - 1 do
        local is_in = false
        for _, set in ipairs(masks) do
          if set & mask == set then is_in = true end
        end
        assert.equal(holds(mask), is_in, text)
      end
    end
  end)
end)

describe("a quorum rule", function()
  it("is the majority by default", function()
    assert.is_false(quorum.rule("majority", "quorum"))
    assert.is_false(quorum.resolve(false, cluster(3)))
    assert.is_false(resolved({ election = 3, commit = 3 }, 4))
  end)

  it("keeps sizes that meet", function()
    assert.same({ election = 4, commit = 2 },
      resolved({ election = 4, commit = 2 }, 5))
  end)

  it("may be one formula for both", function()
    local sets = { { "n1", "n2" }, { "n1", "n3" }, { "n2", "n3" } }
    assert.same({ election = sets, commit = sets },
      resolved("2 of (n1, n2, n3)", 3))
  end)

  it("makes sets of a size beside a formula", function()
    assert.same({ election = { { "n1", "n2" } }, commit = { { "n1" } } },
      resolved({ election = 2, commit = "n1" }, 2))
  end)

  -- rule, voters, where, what is said
  local refused = {
    { { election = 2, commit = 4 }, 5, "election", "two elections must have a "
      .. "voter in common: 2 of 5 is too few: n1 and n2 could elect a leader, "
      .. "and n3 and n4 another" },
    { { election = 2, commit = 3 }, 4, "election", "two elections must have a "
      .. "voter in common: 2 of 4 is too few: n1 and n2 could elect a leader, "
      .. "and n3 and n4 another" },
    { { election = 3, commit = 2 }, 5, "", "an election and a commit must have "
      .. "a voter in common: 3 and 2 of 5 are too few: n1, n2 and n3 could "
      .. "elect a leader that lacks what n4 and n5 committed" },
    { { election = 6, commit = 2 }, 5, "election",
      "expected 1 to 5 voters, got 6" },
    { { election = "n1 or n2", commit = "n1 and n2" }, 2, "election",
      "two elections must have a voter in common: n1 could elect a leader, "
      .. "and n2 another" },
    { { election = "n1 and n2", commit = "n1 or n3" }, 3, "", "an election and "
      .. "a commit must have a voter in common: n1 and n2 could elect a leader "
      .. "that lacks what n3 committed" },
    { { election = { { "n1", "n9" } }, commit = { { "n1" } } }, 2, "election",
      "n9 is no voter: there are n1, n2" },
    { { election = "4 of (n1, n2, n3, n4, n5, n6, n7)", commit = 4 }, 7,
      "election", "stands for 35 sets, and there may be 16" },
  }
  for _, case in ipairs(refused) do
    it("refuses: " .. case[4]:sub(1, 50), function()
      local rule, where, words = resolved(case[1], case[2])
      assert.is_nil(rule)
      assert.equal(case[3], where)
      assert.equal(case[4], words)
    end)
  end

  it("wants a full member in every commit", function()
    local roles = { n2 = "witness", n3 = "witness" }
    local rule, where, words = resolved({ election = 3, commit = 2 }, 3, roles)
    assert.is_nil(rule)
    assert.equal("commit", where)
    assert.equal("n2 and n3 could commit alone, and witnesses keep no commands",
      words)
    assert.is_nil((resolved({ election = "n1 and n2", commit = "n2" }, 2,
      roles)))
    assert.is_table((resolved({ election = "n1", commit = "n1" }, 2, roles)))
  end)

  it("counts no learner", function()
    assert.is_nil((resolved({ election = 3, commit = 3 }, 3,
      { n3 = "learner" })))
  end)

  -- The core judges the same by brute force over masks (quorum_test.c).
  it("is judged as the core judges it", function()
    local random = Dice.new(helper.seed(), 1)
    local verdicts = { [true] = 0, [false] = 0 }
    for _ = 1, 2000 do
      local n = random:integer(1, 5)
      local members, rule = cluster(n), {}
      for id, member in pairs(members) do
        member.address = id .. ":1"
        member.role = ({ "voter", "voter", "voter", "witness",
          "learner" })[random:integer(1, 5)]
      end
      local is_sets = random:integer(1, 2) == 1
      for _, name in ipairs { "election", "commit" } do
        rule[name] = random:integer(1, 6)
        if is_sets then
          local sets = {}
          for i = 1, random:integer(1, 3) do
            local set = {}
            for k = 1, n do
              if random:integer(1, 2) == 1 then set[#set + 1] = "n" .. k end
            end
            if #set == 0 then set[1] = "n1" end
            sets[i] = set
          end
          rule[name] = sets
        end
      end
      local ours = quorum.resolve(rule, members) ~= nil
      local theirs = raft_core.config_check { members = members, quorum = rule,
        election_min_ms = 1 } == true
      assert.equal(theirs, ours)
      verdicts[ours] = verdicts[ours] + 1
    end
    assert.is_true(verdicts[true] > 50 and verdicts[false] > 50)
  end)
end)
