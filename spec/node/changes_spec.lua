-- Requests to change the cluster, with a driver and a core made for it: every
-- answer that a leader can give.
local Changes = require "raft.node.changes"

local function member(i, changes)
  local m = { address = "h:" .. i, role = "voter", goal = "voter",
    priority = 0, incarnation = 100 + i }
  for name, value in pairs(changes or {}) do m[name] = value end
  return m
end

local function three(changes)
  local members = { n1 = member(1), n2 = member(2), n3 = member(3) }
  for id, value in pairs(changes or {}) do members[id] = value or nil end
  return { election_min_ms = 50, leases = false, joint = false,
    members = members }
end

local Core = {}
Core.__index = Core

function Core:change(_, token, target, based_on, is_forced)
  self.asked[#self.asked + 1] = { token = token, target = target,
    based_on = based_on, is_forced = is_forced }
  return table.unpack(self.answer, 1, 3)
end

function Core:status() return { commit = self.commit } end
function Core:term_at(index) return self.terms[index] or 0 end

-- n1, which follows n2 in term 5 under configuration 1.
local function new_driver()
  local driver = {
    id = "n1", role = "follower", leader = "n2", term = 5, formed = true,
    options = { heartbeat = 10, election_timeout = { min = 50, max = 100 } },
    config = three(), config_index = 1, time = 1000, is_up = true,
    core = setmetatable({ asked = {}, answer = { 0 }, commit = 9,
      terms = { [9] = 5 } }, Core),
  }
  function driver.now() return driver.time end
  function driver.step() end
  function driver.wants_flush() end
  function driver.reaches() return driver.is_up end
  function driver.why_no_leader() return "no leader is known" end
  function driver.warn(_, err) driver.warned = err.message end
  driver.reads = { submit = function(_, read) read.answer(nil) end }
  driver.changes = Changes.new(driver)
  return driver
end

-- Asks for n4; what is answered stands in the table that comes back.
local function add(driver, options)
  local answers = {}
  local waiter = {
    asked = { members = { n4 = { address = "h:4", role = "voter",
      priority = 0 } } },
    is_forced = false, deadline = false,
    answer = function(err, result)
      answers[#answers + 1] = err or { result = result }
    end,
  }
  for name, value in pairs(options or {}) do waiter[name] = value end
  driver.changes:submit(waiter)
  driver.changes:dispatch()
  return answers
end

local function in_force(driver, index, config)
  driver.config, driver.config_index = config, index
  driver.changes:dispatch()
end

-- The leader answers the newest question.
local function answered(driver, verdict, index, term, missing)
  local asked = driver.core.asked
  assert.is_true(driver.changes:forwarded(asked[#asked].token, verdict,
    index or 0, term or 0, missing or 0))
  driver.changes:dispatch()
end

-- Time goes on.
local function later(driver, ms)
  driver.time = driver.time + ms
  driver.changes:sweep(driver.time)
  driver.changes:dispatch()
end

local ADDING <const> = member(4, { role = "learner", goal = "voter" })

describe("changes", function()
  it("are asked of the leader, and answered once settled", function()
    local driver = new_driver()
    local answers = add(driver)
    local asked = driver.core.asked[1]
    assert.equal(1, asked.based_on)
    assert.equal("h:4", asked.target.members.n4.address)
    assert.is_false(asked.is_forced)
    answered(driver, true, 10, 5)
    driver.core.terms[10] = 5
    in_force(driver, 10, three { n4 = ADDING })
    driver.core.commit = 10
    driver.changes:dispatch()
    in_force(driver, 12, three { n4 = member(4) })
    assert.same({}, answers)  -- not committed
    driver.core.commit = 12
    driver.changes:dispatch()
    assert.same({ { result = true } }, answers)
    assert.equal(1, #driver.core.asked)
  end)

  it("are asked of the own core where it leads", function()
    local driver = new_driver()
    driver.role, driver.core.answer = "leader", { 10 }
    driver.core.terms[10] = 5
    local answers = add(driver, { is_forced = true })
    assert.is_true(driver.core.asked[1].is_forced)
    driver.core.commit = 11
    in_force(driver, 11, three { n4 = member(4) })
    assert.same({ { result = true } }, answers)
  end)

  it("are done at once when there is nothing to do", function()
    local driver = new_driver()
    in_force(driver, 1, three { n4 = member(4) })
    assert.same({ { result = true } }, add(driver))
    assert.equal(0, #driver.core.asked)
  end)

  -- A follower that had not heard of the newest configuration said that all
  -- was as asked, or could not be.
  it("wait for a read before what is known here counts", function()
    for _, asked in ipairs { { n4 = false }, { n4 = { role = "learner" } } } do
      local driver, reads = new_driver(), {}
      driver.reads.submit = function(_, read) reads[#reads + 1] = read end
      local answers = add(driver, { asked = { members = asked } })
      driver.changes:dispatch()
      assert.equal(1, #reads)
      assert.same({}, answers)
      reads[1].answer({ code = "timeout" })  -- as if nobody had been asked
      driver.changes:dispatch()
      assert.equal(2, #reads)
      driver.config, driver.config_index = three { n4 = member(4) }, 2
      reads[2].answer(nil)
      driver.changes:dispatch()
      assert.equal(1, #driver.core.asked)
      assert.equal(2, driver.core.asked[1].based_on)
    end
  end)

  it("to remove who is no member need nothing, and say so", function()
    local driver = new_driver()
    local answers = add(driver, { asked = { members = { n4 = false } },
      call = "remove", id = "n4" })
    assert.same({ { result = true } }, answers)
    assert.equal("node:remove: n4 is no member: there are n1, n2, n3",
      driver.warned)
  end)

  it("to add who is there elsewhere are refused", function()
    local driver = new_driver()
    local answers = add(driver, { call = "add", id = "n3",
      asked = { members = { n3 = { address = "h:4", role = "voter",
        priority = false } } } })
    assert.equal("bad_membership", answers[1].code)
    assert.equal("n3 is a member already, at h:3: node:change tells that it "
      .. "has moved", answers[1].message)
    assert.equal(0, #driver.core.asked)
  end)

  -- A follower lost its link, asked again, and was told busy by its own change.
  it("wait where the leader is busy with what they asked for", function()
    local driver = new_driver()
    local answers = add(driver)
    driver.changes:ask_again()
    driver.config = three { n4 = member(4, { role = "learner" }) }
    driver.config_index = 9
    driver.changes:dispatch()
    for _ = 1, 5 do
      answered(driver, "busy")
      later(driver, 200)
    end
    assert.same({}, answers)
    in_force(driver, 9, three { n4 = member(4) })
    assert.same({ { result = true } }, answers)
  end)

  it("wait for a cluster, and for a leader that can be reached", function()
    for _, lack in ipairs { { formed = false }, { leader = false },
      { is_up = false } } do
      local driver = new_driver()
      for name, value in pairs(lack) do driver[name] = value end
      local answers = add(driver)
      assert.equal(0, #driver.core.asked)
      driver.formed, driver.leader, driver.is_up = true, "n2", true
      driver.changes:dispatch()
      assert.equal(1, #driver.core.asked)
      assert.same({}, answers)
    end
  end)

  it("are asked anew under the configuration in force", function()
    local driver = new_driver()
    local answers = add(driver)
    answered(driver, "changed")
    assert.equal(1, #driver.core.asked)
    in_force(driver, 4, three { n3 = false })
    later(driver, 10)
    assert.equal(2, #driver.core.asked)
    assert.equal(4, driver.core.asked[2].based_on)
    assert.is_nil(driver.core.asked[2].target.members.n3)
    assert.same({}, answers)
  end)

  it("are asked anew of another leader", function()
    for _, code in ipairs { "not_leader", "no_leader" } do
      local driver = new_driver()
      local answers = add(driver)
      answered(driver, code)
      later(driver, 10)
      assert.equal(2, #driver.core.asked)
      assert.same({}, answers)
    end
  end)

  it("are asked anew when the role or the link changes", function()
    local driver = new_driver()
    add(driver)
    driver.changes:ask_again()
    driver.changes:dispatch()
    assert.equal(2, #driver.core.asked)
    assert.is_not_equal(driver.core.asked[1].token, driver.core.asked[2].token)
  end)

  it("are asked anew when no answer comes", function()
    local driver = new_driver()
    add(driver)
    later(driver, 199)
    assert.equal(1, #driver.core.asked)
    later(driver, 1)
    assert.equal(2, #driver.core.asked)
  end)

  it("leave the answers to others alone", function()
    local driver = new_driver()
    add(driver)
    assert.is_false(driver.changes:forwarded(1, true, 10, 5, 0))
    assert.is_false(driver.changes:forwarded(-1, true, 10, 5, 0))
  end)

  -- The leader that had it is gone, and so is its entry: [Raft 5.4.2]
  it("are asked anew when the entry was lost", function()
    for _, state in ipairs {
      { commit = 10, terms = { [10] = 6 } },        -- another one is there
      { commit = 9, terms = { [9] = 6 } } } do      -- the log is shorter now
      local driver = new_driver()
      local answers = add(driver)
      answered(driver, true, 10, 5)
      assert.equal(1, #driver.core.asked)
      driver.core.commit, driver.core.terms = state.commit, state.terms
      driver.changes:dispatch()
      assert.equal(2, #driver.core.asked)
      assert.same({}, answers)
    end
  end)

  it("are waited for while the entry may still come", function()
    local driver = new_driver()
    add(driver)
    answered(driver, true, 10, 5)
    driver.changes:dispatch()
    later(driver, 1000)
    assert.equal(1, #driver.core.asked)
  end)

  it("are refused when another one took them back", function()
    local driver = new_driver()
    local answers = add(driver)
    answered(driver, true, 10, 5)
    driver.core.terms = { [10] = 5, [11] = 5 }
    in_force(driver, 10, three { n4 = ADDING })
    assert.same({}, answers)
    driver.core.commit = 11
    in_force(driver, 11, three())
    assert.equal("refused", answers[1].code)
    assert.equal("none", answers[1].outcome)
  end)

  it("are answered busy while another one is under way", function()
    local driver = new_driver()
    driver.config = three { n5 = member(5, { role = "learner",
      goal = "voter" }) }
    local answers = add(driver)
    answered(driver, "busy")
    assert.equal("busy", answers[1].code)
    assert.equal("another change is under way: n5 is to become a voter",
      answers[1].message)
    assert.is_true(answers[1].retry)
  end)

  it("have patience with a step that is not committed", function()
    local driver = new_driver()
    driver.config_index, driver.config = 10, three { n4 = ADDING }
    local answers = add(driver, { asked = { members = { n4 = false } } })
    answered(driver, "busy")
    assert.same({}, answers)
    driver.core.commit = 10
    later(driver, 10)
    assert.equal(2, #driver.core.asked)
  end)

  it("have patience with a new leader", function()
    local driver = new_driver()
    local answers = add(driver)
    answered(driver, "busy")
    assert.same({}, answers)
    later(driver, 10)
    assert.equal(2, #driver.core.asked)
    answered(driver, "busy")
    later(driver, 200)
    answered(driver, "busy")
    assert.equal("busy", answers[1].code)
  end)

  it("are refused in words when they break a rule", function()
    local driver = new_driver()
    local answers = add(driver, { asked = { members = { n1 = false,
      n2 = false, n3 = false } } })
    assert.equal("bad_membership", answers[1].code)
    assert.equal("members: a cluster needs a voter", answers[1].message)
    answers = add(driver)
    answered(driver, "bad_config")
    assert.equal("bad_membership", answers[1].code)
  end)

  -- positions go by the ids, which are hashes of the names
  it("say who is missing from a quorum, and what that means", function()
    local raft_core = require "raft.core"
    local driver = new_driver()
    local answers = add(driver)
    local names = { "n1", "n2", "n3", "n4" }
    table.sort(names, function(a, b)
      return math.ult(raft_core.id_of(a), raft_core.id_of(b))
    end)
    local mask = 0
    for i, name in ipairs(names) do
      if name == "n2" or name == "n4" then mask = mask | 1 << i - 1 end
    end
    answered(driver, "no_quorum", 0, 0, mask)
    assert.equal("no_quorum", answers[1].code)
    assert.equal("none", answers[1].outcome)
    assert.same({ "n2", "n4" }, answers[1].missing)
    assert.is_truthy(answers[1].message:find("n2, n4 cannot be reached, and "
      .. "without them the members n1, n2, n3, n4 could elect no leader or "
      .. "commit nothing", 1, true), answers[1].message)
  end)

  it("say why they are late", function()
    local driver = new_driver()
    local answers = add(driver, { deadline = 1500 })
    answered(driver, true, 10, 5)
    driver.core.terms[10] = 5
    in_force(driver, 10, three { n4 = ADDING })
    later(driver, 499)
    assert.same({}, answers)
    later(driver, 1)
    assert.equal("timeout", answers[1].code)
    assert.equal("not done in time: it has begun, and goes on: n4 is to become "
      .. "a voter", answers[1].message)
  end)

  it("of a member that leaves are done when it has left", function()
    local driver = new_driver()
    local answers = add(driver, { asked = { members = { n1 = false } } })
    answered(driver, true, 10, 5)
    driver.core.terms[10] = 5
    in_force(driver, 12, three { n1 = false })
    assert.same({ { result = true } }, answers)  -- it may never hear of commit
  end)

  it("are answered at the end, sent or not", function()
    local driver = new_driver()
    local sent = add(driver)
    driver.leader = false
    local unsent = add(driver)
    driver.changes:finish(function(is_sent) return { is_sent = is_sent } end)
    assert.same({ { is_sent = true } }, sent)
    assert.same({ { is_sent = false } }, unsent)
  end)
end)
