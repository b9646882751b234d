-- Proposals of a follower: every answer a leader can give, in every order.
local errors = require "raft.errors"
local proposing = require "spec.support.proposing"
local raft_answers = require "raft.answers"
local session_entry = require "raft.session_entry"

local propose, apply, sent = proposing.propose, proposing.apply, proposing.sent

local function gap()
  return errors.new("busy", "gap", { reason = "gap" })
end

local function expired()
  return errors.new("session_expired", "expired", { reason = "expired" })
end

describe("proposals of a follower", function()
  local driver, answers
  before_each(function() driver, answers = proposing.driver(), {} end)

  local function go() driver.outbox:dispatch() end

  -- "session sequence" of each in a forward.
  local function places(i)
    local list = {}
    for n, request in ipairs(driver.core.forwards[i].requests) do
      local entry = session_entry.decode(request)
      list[n] = entry.session .. " " .. entry.sequence
    end
    return list
  end

  it("travel together, one forward at a time", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    go()
    assert.equal("a b", sent(driver, 1))
    propose(driver, answers, "c")
    go()
    assert.equal("none", sent(driver, 2))
    driver.forwarding:answered(1, true, 10, 5)
    go()
    assert.equal("c", sent(driver, 2))
    assert.same({}, answers)
    apply(driver, 10, 5, "ra")
    apply(driver, 11, 5, "rb")
    assert.same({ a = "ok ra", b = "ok rb" }, answers)
    driver.forwarding:answered(2, true, 12, 5)
    apply(driver, 12, 5, "rc")
    assert.equal("ok rc", answers.c)
    assert.equal(0, driver.outbox.bytes)
  end)

  it("go again when another leader's entry takes their place", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    go()
    driver.forwarding:answered(1, true, 10, 5)
    apply(driver, 10, 6, "another's")
    go()
    assert.equal("a b", sent(driver, 2))
    assert.same({}, answers)
  end)

  it("go again when their leader's term is over by now", function()
    propose(driver, answers, "a")
    go()
    apply(driver, 9, 6, "the next leader's")
    driver.core.applied_term = 6
    driver.forwarding:answered(1, true, 10, 5)
    go()
    assert.equal("a", sent(driver, 2))
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
    driver.forwarding:answered(1, "not_leader")
    assert.same({}, answers)
    driver.leader, driver.term = "n3", 6
    go()
    assert.equal("a b c", sent(driver, 2))
  end)

  it("do not ask the same one again in that term", function()
    propose(driver, answers, "a")
    go()
    driver.forwarding:answered(1, "not_leader")
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
      driver.forwarding:answered(1, "not_leader")
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

  it("go again when the answer is lost, with what waits behind", function()
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
    assert.same({}, answers)
    assert.equal("a b", sent(driver, 2))
    driver.forwarding:answered(1, "not_leader")  -- too late to be told
    assert.equal("none", sent(driver, 3))
    assert.equal(2 * (64 + 1), driver.outbox.bytes)
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
    driver.forwarding:answered(1, "busy")
    propose(driver, answers, "b", { deadline = 5 })
    driver.time = 5
    driver.proposals:sweep(5)
    assert.equal(10, driver.proposals.soonest)
  end)

  it("go again when the link breaks, under their old sequence", function()
    propose(driver, answers, "a")
    go()
    propose(driver, answers, "b")
    driver.forwarding:link_lost("n3")
    go()
    assert.equal("none", sent(driver, 2))
    driver.forwarding:link_lost("n2")
    go()
    assert.equal("a b", sent(driver, 2))
    assert.same({ "7 1", "7 2" }, places(2))
    driver.forwarding:answered(1, true, 10, 5)  -- too late to be told
    apply(driver, 10, 5, "x")
    assert.same({}, answers)
  end)

  it("go again when they were applied before the answer came", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    go()
    driver.applied = 10
    driver.forwarding:answered(1, true, 10, 5)
    apply(driver, 11, 5, "rb")
    assert.same({ b = "ok rb" }, answers)
    go()
    assert.equal("a", sent(driver, 2))
  end)

  it("wake nobody once the pause is over, though no leader is known", function()
    propose(driver, answers, "a", { can_wait = true })
    driver.outbox:dispatch()
    driver.forwarding:answered(1, "busy")
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
    driver.forwarding:answered(1, "busy")
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
    driver.forwarding:answered(1, "too_large")
    assert.same({}, answers)
    go()
    assert.equal("a", sent(driver, 2))
    driver.forwarding:answered(2, true, 1, 5)
    go()
    assert.equal("BIG", sent(driver, 3))
    driver.forwarding:answered(3, "too_large")
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
    driver.forwarding:answered(1, true, 1, 5)
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
    driver.forwarding:answered(1, true, 1, 5)
    go()
    driver.outbox:look_for_room()
    assert.same({}, driver.events)  -- more than half is under way
    driver.forwarding:answered(2, true, 2, 5)
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
      driver.forwarding:answered(i, true, 1 + i * 10000, 5)
      for n = 1, counts[i] do apply(driver, n + i * 10000, 5, "r") end
    end
    assert.same({ 1, 1000, 1000, 501, 0 }, counts)
  end)

  it("are no more at a time than a session keeps answers of", function()
    driver.options.max_pending_bytes = 1 << 30
    for i = 1, 1100 do propose(driver, answers, "s" .. i) end
    go()
    driver.forwarding:answered(1, true, 1, 5)
    go()
    driver.forwarding:answered(2, true, 1001, 5)
    go()
    assert.equal(24, #driver.core.forwards[2])
    assert.equal("none", sent(driver, 3))
    for index = 1, 10 do apply(driver, index, 5, "r") end
    go()
    assert.equal(10, #driver.core.forwards[3])
    driver.forwarding:answered(3, "not_leader")
    driver.role, driver.leader = "leader", "n1"
    go()
    assert.equal(10, #driver.core.log)
  end)

  it("come again where their session was full", function()
    propose(driver, answers, "a")
    go()
    driver.forwarding:answered(1, true, 10, 5)
    apply(driver, 10, 5, errors.new("busy", "full", { reason = "full" }))
    go()
    assert.equal("a", sent(driver, 2))
    assert.same({}, answers)
  end)

  it("that were given up leave no gap for long", function()
    propose(driver, answers, "a", { deadline = 30 })
    propose(driver, answers, "b")
    go()
    driver.time = 30
    driver.proposals:sweep(30)
    driver.forwarding:link_lost("n2")
    go()
    assert.equal("b", sent(driver, 2))
    assert.same({ a = "timeout" }, answers)
    local entry = session_entry.decode(driver.core.forwards[2].requests[1])
    assert.equal(2, entry.sequence)
    assert.equal(2, entry.floor)
  end)

  it("keep their order when we lead before all is known", function()
    propose(driver, answers, "a")
    go()
    driver.forwarding:answered(1, true, 10, 5)
    driver.role, driver.leader, driver.term = "leader", "n1", 6
    driver.core.first = 11
    propose(driver, answers, "b")
    assert.same({ "b" }, driver.core.log)  -- in the session: it can wait there
    apply(driver, 10, 6, "ours")
    go()
    assert.same({ "b", "a" }, driver.core.log)
    apply(driver, 11, 6, gap())
    go()
    assert.same({ "b", "a", "b" }, driver.core.log)
    assert.same({}, answers)
  end)
end)

-- What was sent before may be in a log, whatever becomes of the copy sent now.
describe("proposals of a follower that were sent before", function()
  local driver, answers, outcomes
  before_each(function()
    driver, answers, outcomes = proposing.driver(), {}, {}
  end)

  local function go() driver.outbox:dispatch() end

  -- Proposes, is sent, and the link breaks.
  local function send_in_vain(command, options)
    options = options or {}
    options.answer = function(err)
      outcomes[command] = err and err.code .. " " .. err.outcome or "ok"
    end
    propose(driver, answers, command, options)
    go()
    driver.forwarding:link_lost("n2")
  end

  it("wait for room, there", function()
    send_in_vain "a"
    go()
    driver.forwarding:answered(2, "busy")
    assert.same({}, outcomes)
    driver.time = 10
    go()
    assert.equal("a", sent(driver, 3))
  end)

  it("wait for room, here", function()
    send_in_vain "a"
    driver.role, driver.core.refuses = "leader", "busy"
    go()
    assert.same({}, outcomes)
    driver.core.refuses = false
    go()
    assert.same({ "a" }, driver.core.log)
  end)

  it("are refused with an outcome that nobody knows", function()
    send_in_vain "a"
    go()
    driver.forwarding:answered(2, "no_space")
    send_in_vain "b"
    driver.role, driver.core.refuses = "leader", "too_large"
    go()
    assert.same({ a = "no_space unknown", b = "too_large unknown" }, outcomes)
  end)

  it("are in doubt as long as one copy is, and others are not", function()
    send_in_vain "a"
    go()
    driver.forwarding:answered(2, "not_leader")
    driver.role, driver.core.refuses = "leader", "too_large"
    driver.proposals:sweep(0)
    go()
    assert.same({ a = "too_large unknown" }, outcomes)
    propose(driver, answers, "b")
    assert.same({ b = "too_large" }, answers)
  end)

  it("are unknown where we lead no more, with forward = false", function()
    propose(driver, answers, "other")
    go()
    driver.role, driver.leader = "leader", "n1"
    driver.forwarding:answered(1, true, 1, 5)  -- in a log: the session is used
    driver.core.first = 2
    local told
    propose(driver, answers, "a", { can_forward = false,
      answer = function(err) told = err.code .. " " .. err.outcome end })
    assert.same({ "a" }, driver.core.log)
    driver.role, driver.leader = "follower", "n2"
    driver.proposals:covered(2)
    go()
    driver.forwarding:answered(2, true, 9, 5)
    go()
    assert.equal("unknown unknown", told)
  end)
end)

describe("a forward that is too large for the core here", function()
  it("is sent one by one, and then refused", function()
    local driver, answers = proposing.driver(), {}
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    driver.core.refuses = "too_large"
    driver.outbox:dispatch()
    assert.same({}, answers)
    driver.outbox:dispatch()
    assert.same({ a = "too_large" }, answers)
    driver.core.refuses = false
    driver.outbox:dispatch()
    assert.equal("b", sent(driver, 1))
  end)
end)

describe("requests of clients that a node passes on", function()
  local driver
  before_each(function() driver = proposing.driver() end)

  -- A client's command, and what it is answered.
  local function pass(told)
    driver.proposals:submit { can_forward = true, can_wait = true,
      deadline = false, answer = function(_, bytes)
        told.ok, told.err = raft_answers.decode(bytes)
      end,
      request = session_entry.encode { op = "command", session = 3,
        sequence = 1, floor = 1, command = "a" } }
    driver.outbox:dispatch()
  end

  it("say that their session is gone, and whether they were sent twice",
    function()
      local told = {}
      pass(told)
      driver.forwarding:answered(1, true, 10, 5)
      apply(driver, 10, 5, expired())
      assert.equal("expired", told.err.reason)
      assert.is_nil(told.err.resent)
      pass(told)
      driver.forwarding:link_lost("n2")
      driver.outbox:dispatch()
      driver.forwarding:answered(3, true, 12, 5)  -- and it was applied as 11
      apply(driver, 12, 5, expired())
      assert.equal("expired", told.err.reason)
      assert.is_true(told.err.resent)
    end)
end)

describe("the session of a follower's proposals", function()
  local driver, answers
  local session

  before_each(function()
    driver, answers = proposing.driver(), {}
    session = driver.forwarding.session
    session:opened(false)
  end)

  local function go() driver.outbox:dispatch() end

  -- The request for one is applied at this index, which is its id.
  local function open(forward, index)
    assert.equal("open", sent(driver, forward))
    driver.forwarding:answered(forward, true, index, 5)
    driver.applied = index
    driver.proposals:applied(index, 5, true, index)
    go()
  end

  it("is opened first, once", function()
    propose(driver, answers, "a")
    go()
    propose(driver, answers, "b")
    go()
    open(1, 20)
    assert.equal("a b", sent(driver, 2))
    assert.equal(2, driver.proposals.open_count)
    assert.equal(20, session.id)
  end)

  it("is asked for again when that got lost", function()
    propose(driver, answers, "a")
    go()
    driver.forwarding:link_lost("n2")
    go()
    open(2, 20)
    assert.equal("a", sent(driver, 3))
  end)

  it("is asked for again after a pause where it was refused", function()
    propose(driver, answers, "a")
    go()
    driver.forwarding:answered(1, "no_space")
    go()
    assert.equal("none", sent(driver, 2))
    assert.equal(10, driver.proposals.soonest)
    driver.time = 10
    go()
    open(2, 20)
    assert.equal("a", sent(driver, 3))
  end)

  it("that ended is followed by another, for what was sent once", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    go()
    open(1, 20)
    driver.forwarding:link_lost("n2")  -- nobody knows of a and b
    go()
    propose(driver, answers, "c")
    driver.forwarding:answered(3, true, 30, 5)
    go()
    assert.equal("c", sent(driver, 4))
    driver.forwarding:answered(4, true, 32, 5)
    for index = 30, 32 do
      apply(driver, index, 5, expired())
    end
    assert.same({ a = "session_expired", b = "session_expired" }, answers)
    go()
    open(5, 40)
    assert.equal("c", sent(driver, 6))
    driver.forwarding:answered(6, true, 41, 5)
    apply(driver, 41, 5, "rc")
    assert.equal("ok rc", answers.c)
  end)

  it("that ended strands what may have happened, and nothing else", function()
    propose(driver, answers, "a")
    propose(driver, answers, "b")
    go()
    open(1, 20)
    driver.forwarding:answered(2, true, 21, 5)
    propose(driver, answers, "c")
    go()
    apply(driver, 21, 5, expired())
    apply(driver, 22, 6, "another's")  -- b is lost
    driver.forwarding:link_lost("n2")  -- and c is who knows where
    go()
    open(4, 30)
    assert.equal("a b", sent(driver, 5))
    driver.forwarding:answered(5, true, 31, 5)
    go()
    assert.same({ c = "session_expired" }, answers)
  end)

  it("is opened by a leader too, if that was asked for", function()
    propose(driver, answers, "a")
    driver.outbox:dispatch_one(driver.outbox.queue:peek())
    driver.role, driver.leader = "leader", "n1"
    go()
    assert.same({ "open", "a" }, driver.core.log)
    assert.equal(1, #driver.core.requests)
  end)
end)
