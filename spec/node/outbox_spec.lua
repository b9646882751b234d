-- Proposals of a leader and of nobody, with a driver and a core made for it.
local epochs = require "raft.node.epochs"
local errors = require "raft.errors"
local proposing = require "spec.support.proposing"

local new_driver, propose = proposing.driver, proposing.propose
local apply, sent = proposing.apply, proposing.sent

describe("proposals of a leader", function()
  local driver, answers
  before_each(function()
    driver, answers = new_driver(), {}
    driver.role, driver.leader = "leader", "n1"
  end)

  it("are appended at once and answered when applied", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    assert.same({ "a", "b" }, driver.core.log)
    assert.equal(2, driver.proposals.open_count)
    assert.equal(0, driver.outbox.bytes)
    apply(driver, 1, 5, "x")
    assert.same({ a = "ok x" }, answers)
    apply(driver, 2, 5, false)
    assert.same({ a = "ok x", b = "ok false" }, answers)
    assert.equal(2, driver.acknowledged)
    assert.equal(0, driver.proposals.open_count)
    assert.is_false(driver.proposals:are_waiting())
  end)

  it("are lost when another entry is committed in their place", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    apply(driver, 1, 4, "an older one's")
    assert.same({ a = "lost" }, answers)  -- b may still come true
    apply(driver, 2, 6)
    assert.same({ a = "lost", b = "lost" }, answers)
  end)

  it("are lost at once when a later term commits before them", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    apply(driver, 1, 6, "another's")
    assert.same({ a = "lost", b = "lost" }, answers)
    assert.is_false(driver.proposals:are_waiting())
  end)

  it("wait while the core does not lead any more", function()
    driver.core.refuses = "not_leader"
    propose(driver, answers, "a")
    assert.same({}, answers)
    driver.core.refuses, driver.role, driver.leader = false, "follower", "n2"
    driver.outbox:dispatch()
    assert.equal("a", sent(driver, 1))
  end)

  it("of coroutines wait for room, and nothing overtakes them", function()
    driver.core.refuses = "busy"
    propose(driver, answers, "a", { can_wait = true })
    propose(driver, answers, "b")
    propose(driver, answers, "c", { can_wait = true })
    assert.same({ b = "busy" }, answers)
    driver.core.refuses = false
    driver.outbox:dispatch()
    assert.same({ "a", "c" }, driver.core.log)
  end)

  it("are refused while the disk is full", function()
    driver.core.refuses = "no_space"
    propose(driver, answers, "a")
    assert.same({ a = "no_space" }, answers)
    assert.same({}, driver.core.log)
  end)

  it("say drain at half of the bound", function()
    driver.core.refuses = "busy"
    propose(driver, answers, "a")
    driver.core.refuses, driver.core.pending = false, 501
    driver.outbox:look_for_room()
    assert.same({}, driver.events)
    driver.core.pending = 500
    driver.outbox:look_for_room()
    driver.outbox:look_for_room()
    assert.same({ "drain" }, driver.events)
  end)
end)

describe("the end of proposals", function()
  local driver, answers
  before_each(function() driver, answers = new_driver(), {} end)

  -- One in a log, one under way, one that waits.
  local function three()
    driver.role = "leader"
    propose(driver, answers, "logged")
    driver.role = "follower"
    propose(driver, answers, "sent")
    driver.outbox:dispatch()
    propose(driver, answers, "queued")
  end

  it("by time: each at its own, in call order", function()
    local order = {}
    three()
    for i, name in ipairs { "x", "y" } do
      propose(driver, answers, name, { deadline = 10 * i, answer = function(err)
        order[#order + 1] = name .. " " .. err.code
      end })
    end
    driver.proposals:sweep(9)
    assert.same({}, order)
    driver.proposals:sweep(10)
    assert.same({ "x timeout" }, order)
    assert.equal(20, driver.proposals.soonest)
    driver.proposals:sweep(25)
    assert.same({ "x timeout", "y timeout" }, order)
    assert.equal(200, driver.proposals.soonest)  -- the forward's
    assert.equal(3, driver.proposals.open_count)
  end)

  it("by time: what is not sent lets go of its bytes", function()
    driver.leader = false
    for i = 1, 10 do propose(driver, answers, "c" .. i, { deadline = 5 }) end
    assert.truthy(driver.outbox.bytes > 0)
    driver.proposals:sweep(5)
    assert.equal(0, driver.outbox.bytes)
    assert.equal(0, driver.outbox.queue.count)
  end)

  it("by close: each knows whether it was sent", function()
    three()
    local order = {}
    driver.proposals:finish(function(is_sent)
      order[#order + 1] = is_sent
      return errors.new("closed", "x")
    end)
    assert.same({ true, true, false }, order)
    assert.same({ logged = "closed", sent = "closed", queued = "closed" },
      answers)
    apply(driver, 1, 5, "late")
    driver.forwarding:answered(1, true, 2, 5)
    driver.forwarding:link_lost("n2")
    assert.equal(0, driver.proposals.open_count)
  end)
end)

describe("epochs", function()
  local function add(list, name, index, term)
    list:add({ name = name, index = 0, term = 0 }, index, term)
  end

  local function take(list, index, term)
    local found, lost = list:take(index, term)
    local names = {}
    for _, waiter in ipairs(lost or {}) do names[#names + 1] = waiter.name end
    return found and found.name or "none", table.concat(names, " ")
  end

  it("find who waits for an entry", function()
    local list = epochs.new()
    add(list, "a", 3, 1)
    add(list, "b", 5, 1)
    assert.same({ "none", "" }, { take(list, 2, 1) })
    assert.same({ "a", "" }, { take(list, 3, 1) })
    assert.same({ "none", "" }, { take(list, 4, 1) })
    assert.same({ "b", "" }, { take(list, 5, 1) })
    assert.is_true(list:is_empty())
  end)

  it("tell who stood there in another term", function()
    local list = epochs.new()
    add(list, "a", 3, 1)
    add(list, "b", 4, 1)
    add(list, "c", 3, 2)
    add(list, "d", 4, 3)
    assert.same({ "c", "a b" }, { take(list, 3, 2) })
    assert.same({ "none", "d" }, { take(list, 4, 2) })
    assert.is_true(list:is_empty())
  end)

  it("tell whose place no committed entry will ever reach", function()
    local list = epochs.new()
    add(list, "a", 3, 1)
    add(list, "b", 90, 1)
    add(list, "c", 91, 2)
    assert.same({ "none", "a b" }, { take(list, 3, 2) })
    assert.same({ "none", "" }, { take(list, 4, 2) })
    assert.same({ "none", "c" }, { take(list, 5, 3) })
    assert.is_true(list:is_empty())
  end)

  it("take an older term that comes later", function()
    local list = epochs.new()
    add(list, "new", 8, 6)
    add(list, "old", 5, 5)
    local names = {}
    list:each(function(waiter) names[#names + 1] = waiter.name end)
    assert.same({ "new", "old" }, names)
    assert.same({ "old", "" }, { take(list, 5, 5) })
    assert.same({ "new", "" }, { take(list, 8, 6) })
    assert.is_true(list:is_empty())
  end)

  it("agree with a plain search, whatever comes", function()
    local seed = require("spec.support.helper").seed()
    local list, waiting = epochs.new(), {}
    local term, index, committed = 1, 0, 0
    for step = 1, 3000 do
      local dice = math.random(10)
      if dice <= 6 then
        index = index + 1
        local name = "w" .. step
        add(list, name, index, term)
        waiting[#waiting + 1] = { name = name, index = index, term = term }
      elseif dice == 7 then  -- another term, from some uncommitted index on
        term, index = term + 1, math.random(committed, index)
      elseif committed < index then
        committed = committed + 1
        local of = math.random(1, term)
        local want, lost, kept = "none", {}, {}
        for _, waiter in ipairs(waiting) do
          if waiter.index > committed and waiter.term >= of then
            kept[#kept + 1] = waiter
          elseif waiter.term == of then
            want = waiter.name
          else
            lost[#lost + 1] = waiter.name
          end
        end
        waiting = kept
        local found, names = take(list, committed, of)
        assert(found == want and names == table.concat(lost, " "),
          ("step %d, seed %d"):format(step, seed))
      end
    end
  end)
end)
