-- Groups of proposals, with a driver and a core made for them.
local answer_codec = require "raft.answers"
local errors = require "raft.errors"
local proposing = require "spec.support.proposing"
local session_entry = require "raft.session_entry"

local new_driver, propose = proposing.driver, proposing.propose

local PLAIN <const> = { timeout = false, forward = true }

-- The same table for the same options, as of who calls in a loop.
local options = {}
for _, timeout in ipairs { false, 100, 200, 300 } do
  options[timeout] = {
    [true] = { timeout = timeout, forward = true },
    [false] = { timeout = timeout, forward = false },
  }
end

-- What applying of so many came to: "r1", "r2" ...
local function slice(count, errs)
  local values = {}
  for i = 1, count do values[i] = "r" .. i end
  return { count = count, values = values, whys = {}, errors = errs or {} }
end

describe("a group of proposals", function()
  local driver, proposals, answers
  before_each(function()
    driver, answers = new_driver(), {}
    driver.role, driver.leader = "leader", "n1"
    proposals = driver.proposals
  end)

  -- As node:propose does.
  local function add(command, callback, given)
    given = options[given.timeout][given.forward]
    return proposals.group and proposals.group:add(command, given, callback)
      or proposals:begin_group(command, given, given, callback)
  end

  local function join(command, timeout, can_forward)
    return add(command, function(err, result)
      assert(answers[command] == nil, "answered twice")
      answers[command] = err and err.code or "ok " .. tostring(result)
    end, { timeout = timeout or false, forward = can_forward ~= false })
  end

  local function tell()
    local fns = driver.deferred
    driver.deferred = {}
    for _, fn in ipairs(fns) do fn() end
  end

  it("enters the log in one piece and is answered in slices", function()
    for _, command in ipairs { "a", "b", "c" } do
      assert.is_true(join(command))
    end
    assert.same({}, driver.core.log)
    assert.equal(3, proposals:count_open())
    driver.outbox:dispatch()
    assert.same({ "a", "b", "c" }, driver.core.log)
    local group = assert(proposals:group_at(1))
    assert.is_nil(proposals:group_at(2))
    proposals:applied_group(group, slice(2))
    assert.same({}, answers)  -- never inside of applying
    tell()
    assert.same({ a = "ok r1", b = "ok r2" }, answers)
    assert.equal(2, driver.acknowledged)
    assert.equal(group, proposals:group_at(3))
    proposals:applied_group(group, slice(1))
    tell()
    assert.equal("ok r1", answers.c)
    assert.equal(0, proposals:count_open())
    assert.is_false(proposals:are_waiting())
  end)

  it("tells errors and refusals, and those to the user that nobody waits for",
    function()
    join "a"
    join "b"
    assert.is_true(add("c", false, PLAIN))
    driver.outbox:dispatch()
    local result = slice(3, { errors.new("apply_error", "no") })
    result.values[2], result.whys[2] = nil, "not today"
    result.errors[3] = errors.new("apply_error", "neither")
    proposals:applied_group(proposals:group_at(1), result)
    tell()
    assert.same({ a = "apply_error", b = "refused" }, answers)
    assert.equal("neither", driver.reports[1].message)
  end)

  it("tells what a table was when its command was applied", function()
    local told = {}
    for _ = 1, 2 do
      add("a", function(err, t)
        told[#told + 1] = err and err.value or t
      end, PLAIN)
    end
    driver.outbox:dispatch()
    local state = { n = 1 }
    proposals:applied_group(proposals:group_at(1), { count = 1,
      values = { state }, whys = {}, errors = {} })
    state.n = 2
    proposals:applied_group(proposals:group_at(2), { count = 1,
      values = {}, whys = { state }, errors = {} })
    state.n = 3
    tell()
    assert.same({ { n = 1 }, { n = 2 } }, told)
  end)

  it("goes on with the next when a callback raises", function()
    add("a", function() error("of the user") end, PLAIN)
    join "b"
    driver.outbox:dispatch()
    proposals:applied_group(proposals:group_at(1), slice(2))
    tell()
    assert.same({ b = "ok r2" }, answers)
    assert.matches("of the user", driver.reports[1].message)
  end)

  it("keeps the order with those that go alone", function()
    join "a"
    propose(driver, answers, "b")
    join "c"
    driver.outbox:dispatch()
    assert.same({ "a", "b", "c" }, driver.core.log)
    proposals:applied_group(proposals:group_at(1), slice(1))
    assert.is_nil(proposals:group_at(2))
    proposing.apply(driver, 2, 5, "x")
    proposals:applied_group(proposals:group_at(3), slice(1))
    tell()
    assert.same({ a = "ok r1", b = "ok x", c = "ok r1" }, answers)
  end)

  it("is joined by who gives other options that mean the same", function()
    for i = 1, 3 do
      local given = { timeout = i < 3 and 100 or 200 }
      local function answer(err) answers[i] = err and err.code or "ok" end
      local checked = { timeout = given.timeout, forward = true }
      assert.is_false(proposals.group
        and proposals.group:add("c" .. i, given, answer))
      assert.is_true(proposals:begin_group("c" .. i, checked, given, answer))
    end
    assert.same({ "c1", "c2" }, driver.core.log)
    driver.outbox:dispatch()
    assert.equal(2, proposals:group_at(1).count)
  end)

  it("is of one kind: another time-out begins another", function()
    join("a", 100)
    join("b", 200)
    assert.same({ "a" }, driver.core.log)
    join("c", 200, false)
    assert.same({ "a", "b" }, driver.core.log)
    driver.outbox:dispatch()
    assert.same({ "a", "b", "c" }, driver.core.log)
    assert.equal(100, proposals.soonest)
  end)

  it("is bounded in bytes, as one that waits for room", function()
    join(("a"):rep(500))
    join(("b"):rep(500))
    assert.equal(1, #driver.core.log)
    driver.core.refuses = "busy"
    assert.is_false(join(("c"):rep(500)))  -- b goes first, alone
    driver.outbox:dispatch()
    tell()
    assert.same({ [("b"):rep(500)] = "busy" }, answers)
    assert.equal(1, #driver.core.log)
    assert.is_false(join "d")
  end)

  it("is none where something waits, or another leads", function()
    driver.core.refuses = "not_leader"
    propose(driver, answers, "a")
    assert.is_false(join "b")
    driver.role, driver.leader = "follower", "n2"
    assert.is_false(join "c")
    assert.equal(1, proposals:count_open())
  end)

  it("goes to another leader one by one, in order", function()
    join "a"
    join "b"
    driver.core.refuses = "not_leader"
    driver.outbox:dispatch()
    assert.equal(2, proposals:count_open())
    driver.core.refuses, driver.role, driver.leader = false, "follower", "n2"
    driver.outbox:dispatch()
    assert.equal("a b", proposing.sent(driver, 1))
  end)

  it("is lost where another entry is committed, from there on", function()
    for _, command in ipairs { "a", "b", "c" } do join(command) end
    driver.outbox:dispatch()
    proposals:applied_group(proposals:group_at(1), slice(1))
    proposing.apply(driver, 2, 6, "another's")
    tell()
    assert.same({ a = "ok r1", b = "lost", c = "lost" }, answers)
    assert.equal(0, proposals:count_open())
  end)

  it("times out one by one, what was applied before excepted", function()
    driver.time = 10
    join("a", 100)
    join("b", 100)
    driver.time = 20  -- a turn may be long; never sooner than was asked for
    driver.outbox:dispatch()
    proposals:applied_group(proposals:group_at(1), slice(1))
    proposals:sweep(119)
    tell()
    assert.same({ a = "ok r1" }, answers)
    proposals:sweep(120)
    tell()
    assert.same({ a = "ok r1", b = "timeout" }, answers)
    proposing.apply(driver, 2, 5, "x")
    assert.equal(0, proposals:count_open())
  end)

  it("waits on behind one whose time is over", function()
    join("a", 100)
    join("b", 300)
    driver.outbox:dispatch()
    proposals:sweep(100)
    assert.equal(300, proposals.soonest)
    proposing.apply(driver, 1, 5, "x")
    proposals:applied_group(proposals:group_at(2), slice(1))
    tell()
    assert.same({ a = "timeout", b = "ok r1" }, answers)
  end)

  describe("of requests", function()
    local function ask(request, can_forward)
      return proposals:join_request(request, can_forward ~= false,
        function(err, bytes, waiter, id, size)
          assert(answers[request] == nil, "answered twice")
          assert.same({ "id of " .. request, #request },
            { waiter and waiter.id or id, waiter and waiter.size or size })
          answers[request] = err and err.code
            or select(2, assert(answer_codec.decode(bytes)))
        end, "id of " .. request)
    end

    local function request(word)
      return session_entry.encode { op = "command", session = 9, sequence = 1,
        floor = 1, command = word }
    end

    it("enters the log in one piece, and each is answered when it is applied",
      function()
      local a, b = request "a", request "b"
      assert.is_true(ask(a))
      assert.is_true(ask(b))
      assert.equal(2, proposals:count_open())
      driver.outbox:dispatch()
      assert.same({ "a", "b" }, driver.core.log)
      local group = proposals:group_at(1)
      assert.is_true(group.is_session)
      proposals:applied_request(group, true, "x")
      assert.same({ [a] = "x" }, answers)
      assert.equal(1, driver.acknowledged)
      proposals:applied_request(group, true, "y")
      assert.equal("y", answers[b])
      assert.equal(0, proposals:count_open())
      assert.is_false(proposals:are_waiting())
    end)

    it("is none for commands, nor the other way round", function()
      join "a"
      ask(request "b")
      assert.same({ "a" }, driver.core.log)
      join "c"
      assert.same({ "a", "b" }, driver.core.log)
      driver.outbox:dispatch()
      assert.same({ "a", "b", "c" }, driver.core.log)
    end)

    it("is asked for again where another entry is committed", function()
      local a = request "a"
      ask(a)
      driver.outbox:dispatch()
      driver.role, driver.leader = "follower", "n2"
      proposing.apply(driver, 1, 6, "another's")
      assert.same({}, answers)
      driver.outbox:dispatch()
      assert.equal("a", proposing.sent(driver, 1))
    end)

    it("waits for room, as the ones that go alone", function()
      driver.core.refuses = "busy"
      local a = request "a"
      ask(a)
      driver.outbox:dispatch()
      assert.same({}, answers)
      driver.core.refuses = false
      driver.outbox:dispatch()
      assert.same({ "a" }, driver.core.log)
    end)
  end)

  it("is unknown behind a snapshot that came in", function()
    join "a"
    join "b"
    driver.outbox:dispatch()
    proposals:covered(1)
    tell()
    assert.same({ a = "unknown" }, answers)
    proposing.apply(driver, 2, 5, "x")
    tell()
    assert.same({ a = "unknown", b = "ok x" }, answers)
  end)

  it("is answered at the end, in the log or not", function()
    join "a"
    driver.outbox:dispatch()
    join "b"
    proposals:finish(function(is_sent)
      return errors.new(is_sent and "unknown" or "closed", "the end")
    end)
    tell()
    assert.same({ a = "unknown", b = "closed" }, answers)
    assert.equal(0, proposals:count_open())
  end)
end)
