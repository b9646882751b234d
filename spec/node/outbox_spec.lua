-- Proposals and what sends them, with a driver and a core made for it: every
-- answer a leader can give, in every order.
local epochs = require "raft.node.epochs"
local errors = require "raft.errors"
local proposals = require "raft.node.proposals"

local Core = {}
Core.__index = Core

function Core:propose(_, command)
  if self.refuses then return nil, self.refuses end
  self.log[#self.log + 1] = command
  return #self.log
end

function Core:forward(_, token, ...)
  if self.refuses then return nil, self.refuses end
  self.forwards[#self.forwards + 1] = { token = token, ... }
  return true
end

function Core:term_at() return self.applied_term end

function Core:status() return { pending_bytes = self.pending } end

-- A driver: `n2` leads, and a link with it is up.
local function new_driver()
  local driver = {
    options = { max_pending_bytes = 1000, heartbeat = 10,
      election_timeout = { min = 50, max = 100 } },
    core = setmetatable({ log = {}, forwards = {}, pending = 0,
      refuses = false, applied_term = 5 }, Core),
    role = "follower", term = 5, leader = "n2", applied = 0,
    links = { n2 = true, n3 = true },
    time = 0, acknowledged = 0, flushes = 0, events = {}, reports = {},
  }
  function driver.now() return driver.time end
  function driver.reaches(_, id) return driver.links[id] or false end
  function driver.leader_error() return errors.new("not_leader", "n2") end
  function driver.report(_, err) driver.reports[#driver.reports + 1] = err end
  function driver.acknowledge(_, index) driver.acknowledged = index end
  function driver.wants_flush() driver.flushes = driver.flushes + 1 end
  function driver.emit(_, name)
    driver.events[#driver.events + 1] = name
  end
  function driver.why_no_leader() return "no leader is known" end
  driver.proposals = proposals.new(driver)
  driver.outbox = driver.proposals.outbox
  return driver
end

-- Proposes; the answer is noted under the command: "ok 7", "lost", "unknown".
local function propose(driver, answers, command, options)
  local waiter = {
    command = command, can_forward = true, can_wait = false, deadline = false,
    is_alone = false, bytes = 0, order = 0, index = 0, term = 0,
    answer = function(err, result)
      assert(answers[command] == nil, "answered twice")
      answers[command] = err and err.code or "ok " .. tostring(result)
    end,
  }
  for name, value in pairs(options or {}) do waiter[name] = value end
  driver.proposals:submit(waiter)
end

local function apply(driver, index, term, result)
  driver.applied = index
  driver.proposals:applied(index, term, true, result)
end

local function sent(driver, i)
  local forward = driver.core.forwards[i]
  return forward and table.concat(forward, " ") or "none"
end

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

describe("proposals of a follower", function()
  local driver, answers
  before_each(function() driver, answers = new_driver(), {} end)

  local function go() driver.outbox:dispatch() end

  it("travel together, one forward at a time", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    go()
    assert.equal("a b", sent(driver, 1))
    propose(driver, answers, "c")
    go()
    assert.equal("none", sent(driver, 2))
    driver.outbox:forwarded(1, true, 10, 5)
    go()
    assert.equal("c", sent(driver, 2))
    assert.same({}, answers)
    apply(driver, 10, 5, "ra")
    apply(driver, 11, 5, "rb")
    assert.same({ a = "ok ra", b = "ok rb" }, answers)
    driver.outbox:forwarded(2, true, 12, 5)
    apply(driver, 12, 6, "another's")
    assert.equal("lost", answers.c)
    assert.equal(0, driver.outbox.bytes)
  end)

  it("are lost at once when their leader's term is over by now", function()
    propose(driver, answers, "a")
    go()
    apply(driver, 9, 6, "the next leader's")
    driver.core.applied_term = 6
    driver.outbox:forwarded(1, true, 10, 5)
    assert.same({ a = "lost" }, answers)
  end)

  it("wait for a leader and for a link with it", function()
    driver.leader = false
    propose(driver, answers, "a")
    go()
    driver.leader, driver.links.n2 = "n2", nil
    go()
    assert.equal("none", sent(driver, 1))
    driver.links.n2 = true
    go()
    assert.equal("a", sent(driver, 1))
  end)

  it("come back in order when who was asked does not lead", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    go()
    propose(driver, answers, "c")
    driver.outbox:forwarded(1, "not_leader")
    assert.same({}, answers)
    driver.leader, driver.term = "n3", 6
    go()
    assert.equal("a b c", sent(driver, 2))
  end)

  it("do not ask the same one again in that term", function()
    propose(driver, answers, "a")
    go()
    driver.outbox:forwarded(1, "not_leader")
    go()
    assert.equal("none", sent(driver, 2))
    driver.term = 6
    go()
    assert.equal("a", sent(driver, 2))
  end)

  it("are appended by us when we lead meanwhile, but never before the answer",
    function()
      propose(driver, answers, "a")
      go()
      propose(driver, answers, "b")
      driver.role, driver.leader, driver.term = "leader", "n1", 6
      go()
      assert.same({}, driver.core.log)
      driver.outbox:forwarded(1, "not_leader")
      go()
      assert.same({ "a", "b" }, driver.core.log)
    end)

  it("stay where the core knows of another role than the driver", function()
    for _, code in ipairs { "no_leader", "usage" } do
      driver.core.refuses = code
      propose(driver, answers, code)
      go()
    end
    assert.same({}, answers)
    driver.core.refuses = false
    go()
    assert.equal("no_leader usage", sent(driver, 1))
  end)

  it("are unknown when the answer is lost, and stop nothing", function()
    propose(driver, answers, "a")
    go()
    propose(driver, answers, "b")
    driver.time = 199
    driver.proposals:sweep(199)
    go()
    assert.same({}, answers)
    driver.time = driver.proposals.soonest
    driver.proposals:sweep(driver.time)
    go()
    assert.same({ a = "unknown" }, answers)
    assert.equal("b", sent(driver, 2))
    driver.outbox:forwarded(1, "not_leader")  -- too late to be told
    assert.equal("none", sent(driver, 3))
    assert.equal(64 + 1, driver.outbox.bytes)
  end)

  it("are not waited for when their time is over", function()
    propose(driver, answers, "a", { deadline = 30 })
    go()
    propose(driver, answers, "b")
    driver.time = 30
    driver.proposals:sweep(30)
    go()
    assert.same({ a = "timeout" }, answers)
    assert.equal("b", sent(driver, 2))
  end)

  it("are sent again in time, whatever else was due before", function()
    propose(driver, answers, "a", { can_wait = true })
    go()
    driver.outbox:forwarded(1, "busy")
    propose(driver, answers, "b", { deadline = 5 })
    driver.time = 5
    driver.proposals:sweep(5)
    assert.equal(10, driver.proposals.soonest)
  end)

  it("are unknown when the link breaks, and are not sent again", function()
    propose(driver, answers, "a")
    go()
    propose(driver, answers, "b")
    driver.outbox:link_lost("n3")
    assert.same({}, answers)
    driver.outbox:link_lost("n2")
    assert.same({ a = "unknown" }, answers)
    go()
    assert.equal("b", sent(driver, 2))
    driver.outbox:forwarded(1, true, 10, 5)  -- too late to be told
    apply(driver, 10, 5, "x")
    assert.equal("unknown", answers.a)
  end)

  it("are unknown when they were applied before the answer came", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    go()
    driver.applied = 10
    driver.outbox:forwarded(1, true, 10, 5)
    assert.same({ a = "unknown" }, answers)
    apply(driver, 11, 5, "rb")
    assert.equal("ok rb", answers.b)
  end)

  it("wake nobody once the pause is over, though no leader is known", function()
    propose(driver, answers, "a", { can_wait = true })
    driver.outbox:dispatch()
    driver.outbox:forwarded(1, "busy")
    assert.equal(10, driver.proposals.soonest)
    driver.leader, driver.time = false, 10
    driver.proposals:sweep(10)
    driver.outbox:dispatch()
    assert.is_false(driver.proposals.soonest)  -- who leads is heard of
  end)

  it("are busy when the leader has no room; coroutines come again", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b", { can_wait = true })
    go()
    driver.outbox:forwarded(1, "busy")
    assert.same({ a = "busy" }, answers)
    go()
    assert.equal("none", sent(driver, 2))  -- not at once
    assert.equal(10, driver.proposals.soonest)
    driver.time = 10
    driver.proposals:sweep(10)
    go()
    assert.equal("b", sent(driver, 2))
  end)

  it("are sent one by one when one of them is too large", function()
    for _, command in ipairs { "a", "BIG", "c" } do
      propose(driver, answers, command)
    end
    go()
    driver.outbox:forwarded(1, "too_large")
    assert.same({}, answers)
    go()
    assert.equal("a", sent(driver, 2))
    driver.outbox:forwarded(2, true, 1, 5)
    go()
    assert.equal("BIG", sent(driver, 3))
    driver.outbox:forwarded(3, "too_large")
    go()
    assert.equal("c", sent(driver, 4))
    assert.same({ BIG = "too_large" }, answers)
  end)

  it("are refused with forward = false, in their turn", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b", { can_forward = false })
    propose(driver, answers, "c")
    go()
    assert.equal("a", sent(driver, 1))
    assert.same({}, answers)
    driver.outbox:forwarded(1, true, 1, 5)
    go()
    assert.same({ b = "not_leader" }, answers)
    assert.equal("c", sent(driver, 2))
  end)

  it("are bounded, those under way too", function()
    local big = ("x"):rep(500)
    propose(driver, answers, big .. 1)
    go()
    propose(driver, answers, big .. 2)
    assert.equal("busy", answers[big .. 2])
    propose(driver, answers, big .. 3, { can_wait = true })
    assert.is_nil(answers[big .. 3])
    driver.outbox:forwarded(1, true, 1, 5)
    go()
    driver.outbox:look_for_room()
    assert.same({}, driver.events)  -- more than half is under way
    driver.outbox:forwarded(2, true, 2, 5)
    driver.outbox:look_for_room()
    assert.same({ "drain" }, driver.events)
  end)

  it("do not travel in frames of any size", function()
    driver.options.max_pending_bytes = 1 << 30
    local half = ("x"):rep(600000)
    propose(driver, answers, half .. 1)
    propose(driver, answers, half .. 2)
    for i = 1, 2500 do propose(driver, answers, "s" .. i) end
    local counts = {}
    for i = 1, 5 do
      go()
      counts[i] = driver.core.forwards[i] and #driver.core.forwards[i] or 0
      driver.outbox:forwarded(i, true, 1 + i * 10000, 5)
    end
    assert.same({ 1, 1000, 1000, 501, 0 }, counts)
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
    driver.outbox:forwarded(1, true, 2, 5)
    driver.outbox:link_lost("n2")
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
