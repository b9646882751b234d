-- The battery `queue`: its commands one by one, and at random beside a list.
local Dice = require "spec.support.dice"
local one_service = require "spec.support.one_service"
local queue = require "raft.services.queue"
local support = require "spec.support.helper"

local function new(options) return one_service.new(queue(options or {})) end

local function lengths(it)
  local n = it:ask("length")
  return ("%d ready, %d leased, %d delayed, %d dead"):format(n.ready, n.leased,
    n.delayed, n.dead)
end

-- Pops: "id value attempt", or nil.
local function popped(it, lease_ms)
  local message = it:run("pop", lease_ms)
  return message and ("%d %s %d"):format(message.id, tostring(message.value),
    message.attempt)
end

describe("raft.services.queue", function()
  it("pops what was pushed, oldest first", function()
    local it = new()
    assert.is_nil((it:run("pop")))
    assert.equal(1, it:run("push", "a"))
    assert.equal(2, it:run("push", false))
    assert.same({ id = 1, value = "a", attempt = 1, until_ms = 31000 },
      (it:run("pop")))
    assert.equal("2 false 1", popped(it))
    assert.is_nil((it:run("pop")))
    assert.equal("0 ready, 2 leased, 0 delayed, 0 dead", lengths(it))
    assert.equal(3, it:run("push", "c"))
  end)

  it("forgets what was acknowledged", function()
    local it = new()
    it:run("push", "a")
    it:run("pop")
    assert.is_false(it:run("ack", 1, 2))
    assert.is_false(it:run("ack", 2, 1))
    assert.is_true(it:run("ack", 1, 1))
    assert.is_false(it:run("ack", 1, 1))
    assert.is_nil((it:ask("get", 1)))
    assert.equal("0 ready, 0 leased, 0 delayed, 0 dead", lengths(it))
  end)

  it("gives a message to somebody else when its lease ends", function()
    local it = new()
    it:run("push", "a")
    it:run("push", "b")
    assert.equal("1 a 1", popped(it, 100))
    it.time = 1099
    assert.equal("2 b 1", popped(it, 100))
    it.time = 1100
    assert.is_false(it:run("ack", 1, 1))
    assert.equal("1 a 2", popped(it, 100))
    assert.is_false(it:run("nack", 1, 1))
    assert.is_true(it:run("ack", 1, 2))
  end)

  it("takes a message back at once, or later", function()
    local it = new()
    it:run("push", "a")
    it:run("push", "b")
    it:run("pop")
    assert.is_true(it:run("nack", 1, 1))
    assert.equal("1 a 2", popped(it))
    assert.is_true(it:run("nack", 1, 2, 50))
    assert.equal("2 b 1", popped(it))
    assert.is_nil((it:run("pop")))
    it.time = 1050
    assert.equal("1 a 3", popped(it))
  end)

  it("extends a lease from now on", function()
    local it = new { lease_ms = 100 }
    it:run("push", "a")
    it:run("pop")
    it.time = 1060
    assert.equal(1160, it:run("extend", 1, 1))
    assert.equal(1065, it:run("extend", 1, 1, 5))
    assert.equal(2060, it:run("extend", 1, 1, 1000))
    assert.is_false(it:run("extend", 1, 2))
    it.time = 2059
    assert.is_nil((it:run("pop")))
    it.time = 2060
    assert.is_false(it:run("extend", 1, 1))
    assert.equal("1 a 2", popped(it))
  end)

  it("holds back what is delayed, and then it has its place", function()
    local it = new()
    it:run("push", "later", 100)
    it:run("push", "now", 0)
    assert.equal("1 ready, 0 leased, 1 delayed, 0 dead", lengths(it))
    it.time = 1100
    assert.equal("1 later 1", popped(it))
    assert.equal("2 now 1", popped(it))
  end)

  it("shows what is ready, and what became of a message", function()
    local it = new()
    for _, value in ipairs { "a", "b", "c" } do it:run("push", value) end
    it:run("pop")
    assert.same({ { id = 2, value = "b", attempts = 0, place = "ready" } },
      it:ask("peek"))
    assert.equal(2, #it:ask("peek", 9))
    assert.same({ id = 1, value = "a", attempts = 1, place = "leased",
      at = 31000 }, it:ask("get", 1))
    assert.is_nil((it:ask("get", 9)))
  end)

  it("drops what nobody has", function()
    local it = new()
    it:run("push", "a")
    it:run("push", "b", 50)
    it:run("push", "c")
    it:run("pop")
    assert.is_false(it:run("drop", 1))
    assert.is_true(it:run("drop", 2))
    assert.is_true(it:run("drop", 3))
    assert.is_false(it:run("drop", 3))
    assert.equal("0 ready, 1 leased, 0 delayed, 0 dead", lengths(it))
  end)

  it("refuses what it cannot keep", function()
    local it = new { length_max = 2, value_bytes_max = 10 }
    assert.equal("queue.push: value: expected a value, got nil",
      it:refusal("push"))
    assert.truthy(it:refusal("push", "123456789"))
    assert.truthy(it:refusal("push", 1, -1))
    assert.truthy(it:refusal("pop", 0))
    assert.truthy(it:refusal("pop", "x"))
    assert.truthy(it:refusal("ack", "x", 1))
    assert.truthy(it:refusal("ack", 1))
    assert.truthy(it:refusal("nack", 1, 1, 0.5))
    it:run("push", 1)
    it:run("push", 2)
    it:run("pop")
    assert.equal("there are 2 messages, which is length_max",
      it:refusal("push", 3))
    it:run("ack", 1, 1)
    assert.equal(3, it:run("push", 3))
  end)

  it("tells what is ready", function()
    local it = new()
    it:run("push", "a")
    it:run("push", "b", 50)
    it:run("pop", 100)
    it.time = 1100
    assert.equal("1 a 2", popped(it))
    assert.same({ { "ready", 1 }, { "ready", 1 }, { "ready", 2 } }, it:told())
  end)
end)

describe("raft.services.queue: dead letters", function()
  local function with_dead(options)
    local it = new(options)
    it:run("push", "a")
    for attempt = 1, options.attempts_max do
      it:run("pop", 100)
      assert.is_true(it:run("nack", 1, attempt))
    end
    return it
  end

  it("are what has failed too often, by nack or by time", function()
    local it = with_dead { attempts_max = 2 }
    assert.equal("0 ready, 0 leased, 0 delayed, 1 dead", lengths(it))
    it:run("push", "b")
    for _ = 1, 2 do
      assert.truthy(popped(it, 100))
      it.time = it.time + 100
    end
    assert.is_nil((it:run("pop")))
    assert.same({ items = {
      { id = 1, value = "a", attempts = 2, place = "dead", at = 1000 },
      { id = 2, value = "b", attempts = 2, place = "dead", at = 1200 } } },
      it:ask("dead"))
    assert.equal("dead", it:told()[3][1])
  end)

  it("are told page by page", function()
    local it = new { attempts_max = 1 }
    for i = 1, 5 do
      it:run("push", i)
      it:run("pop")
      it:run("nack", i, 1)
    end
    local page = it:ask("dead", nil, 2)
    assert.equal(2, page.next)
    page = it:ask("dead", page.next, 3)
    assert.is_nil(page.next)
    assert.equal(5, page.items[3].value)
  end)

  it("can be brought back, and dropped", function()
    local it = with_dead { attempts_max = 1 }
    assert.is_true(it:run("revive", 1))
    assert.is_false(it:run("revive", 1))
    assert.equal("1 a 1", popped(it))
    it:run("nack", 1, 1)
    assert.is_true(it:run("drop", 1))
    assert.is_false(it:run("revive", 1))
  end)

  it("come back only where there is room", function()
    local it = with_dead { attempts_max = 1, length_max = 1 }
    it:run("push", "b")
    assert.truthy(it:refusal("revive", 1))
  end)

  it("are dead_max, the newest of them", function()
    local it = new { attempts_max = 1, dead_max = 2 }
    for i = 1, 4 do
      it:run("push", i)
      it:run("pop")
      it:run("nack", i, 1)
    end
    local items = it:ask("dead").items
    assert.equal(2, #items)
    assert.equal(3, items[1].id)
    assert.is_nil((it:ask("get", 1)))
  end)

  it("are none with attempts_max = false", function()
    local it = new { attempts_max = false }
    it:run("push", "a")
    for attempt = 1, 50 do
      assert.equal("1 a " .. attempt, popped(it))
      it:run("nack", 1, attempt)
    end
  end)
end)

------------------------------------------------------------------ the model --

local MOST <const>, LENGTH_MAX <const> = 3, 12

-- Messages in the order of their ids, each with its place.
local function back(message, at)
  if message.attempts >= MOST then
    message.place, message.at = "dead", nil
  elseif at then
    message.place, message.at = "delayed", at
  else
    message.place, message.at = "ready", nil
  end
end

local function sweep(model, now)
  for _, message in ipairs(model) do
    local is_over = message.at and message.at <= now
    if is_over and message.place == "leased" then
      back(message)
    elseif is_over then
      message.place, message.at = "ready", nil
    end
  end
end

local function counts(model)
  local n = { ready = 0, leased = 0, delayed = 0, dead = 0, gone = 0 }
  for _, message in ipairs(model) do
    n[message.place] = n[message.place] + 1
  end
  n.all = n.ready + n.leased + n.delayed
  return n
end

local steps = {}

function steps.push(it, model, dice)
  local delay = dice:once_in(3) and dice:integer(1, 60) or nil
  local id, why = it:run("push", #model, delay)
  if counts(model).all >= LENGTH_MAX then return assert.truthy(why) end
  model[#model + 1] = { value = #model, attempts = 0,
    place = delay and "delayed" or "ready", at = delay and it.time + delay }
  assert.equal(#model, id)
end

function steps.pop(it, model, dice)
  local lease = dice:integer(1, 60)
  local answer = it:run("pop", lease)
  for id, message in ipairs(model) do
    if message.place == "ready" then
      message.place, message.at = "leased", it.time + lease
      message.attempts = message.attempts + 1
      return assert.same({ id = id, value = message.value,
        attempt = message.attempts, until_ms = message.at }, answer)
    end
  end
  assert.is_nil(answer)
end

-- A message, mostly one that is leased, and the number of an attempt.
local function picked(model, dice)
  local ids = {}
  for id, message in ipairs(model) do
    if message.place == "leased" then ids[#ids + 1] = id end
  end
  local id = #ids > 0 and dice:pick(ids) or dice:integer(1, #model + 1)
  local message = model[id] or { place = "gone", attempts = 0 }
  local attempt = message.attempts + (dice:once_in(4) and 1 or 0)
  return id, message, attempt,
    message.place == "leased" and attempt == message.attempts
end

function steps.ack(it, model, dice)
  local id, message, attempt, has_it = picked(model, dice)
  assert.equal(has_it, it:run("ack", id, attempt))
  if has_it then message.place, message.at = "gone", nil end
end

function steps.nack(it, model, dice)
  local id, message, attempt, has_it = picked(model, dice)
  local delay = dice:once_in(2) and dice:integer(1, 60) or nil
  assert.equal(has_it, it:run("nack", id, attempt, delay))
  if has_it then back(message, delay and it.time + delay) end
end

function steps.extend(it, model, dice)
  local id, message, attempt, has_it = picked(model, dice)
  local lease = dice:integer(1, 60)
  assert.equal(has_it and it.time + lease, it:run("extend", id, attempt, lease))
  if has_it then message.at = it.time + lease end
end

function steps.drop(it, model, dice)
  local id = dice:integer(1, #model + 1)
  local message = model[id] or { place = "gone" }
  local can = message.place ~= "leased" and message.place ~= "gone"
  assert.equal(can, it:run("drop", id))
  if can then message.place, message.at = "gone", nil end
end

function steps.revive(it, model, dice)
  local id = dice:integer(1, #model + 1)
  local is_dead = model[id] and model[id].place == "dead" or false
  local done, why = it:run("revive", id)
  if is_dead and counts(model).all >= LENGTH_MAX then
    return assert.truthy(why)
  end
  assert.equal(is_dead, done)
  if is_dead then
    model[id].place, model[id].at, model[id].attempts = "ready", nil, 0
  end
end

it("a queue is a list of messages with places", function()
  local dice = Dice.new(support.seed(), 4)
  local it, model = new { attempts_max = MOST, length_max = LENGTH_MAX }, {}
  local names = { "push", "push", "pop", "pop", "ack", "nack", "extend", "drop",
    "revive" }
  for _ = 1, 3000 do
    it.time = it.time + dice:integer(0, 10)
    sweep(model, it.time)
    steps[dice:pick(names)](it, model, dice)
    local n = counts(model)
    n.all, n.gone = nil, nil
    assert.same(n, it:ask("length"))
    if dice:once_in(50) then it:restart() end
  end
end)
