-- Lab 3B of MIT 6.5840: the log. See spec/labs/harness.lua.
local lab = require("spec.labs.lab").define(it)
local labs = require "spec.labs.harness"

local expect = labs.expect
local ELECTION_MS <const> = labs.ELECTION_MS
local ROUNDS <const> = 50     -- of Backup3B, each way
local TRIES <const> = 5       -- where an election may come between

local function expect_committed(t, index, n)
  local count = t:committed(index)
  expect(count == n, "index %d is on %d servers, expected %d", index, count, n)
end

-- Starts a command at a server that must lead.
local function must_start(t, id, payload)
  local ticket = t:start(id, payload)
  expect(ticket, "the leader %s rejected %s", id, payload)
  return ticket
end

local function start_many(t, id, count)
  local tickets = {}
  for i = 1, count do tickets[i] = must_start(t, id, "lost " .. i) end
  return tickets
end

local function expect_lost(t, tickets)
  for _, ticket in ipairs(tickets) do
    expect(not t.places[ticket.text], "%s was committed", ticket.text)
    local code = ticket.err and ticket.err.code or "no error"
    expect(code == "lost", "%s was answered with %s", ticket.text, code)
  end
end

-- Starts commands beside each other in one term: their tickets; nil when
-- another term began.
local function start_beside(t, leader, payloads)
  local first = t:start(leader, "first")
  if not first then return nil end
  local tickets, tasks = {}, {}
  for i, payload in ipairs(payloads) do
    tasks[i] = t:spawn(function() tickets[i] = t:start(leader, payload) end)
  end
  t:join(tasks)
  for i = 1, #tasks do
    if not tickets[i] or tickets[i].term ~= first.term then return nil end
  end
  return tickets, first
end

-- Have all servers applied each of these? nil when another term began.
local function all_arrive(t, tickets, first)
  local term = first.term
  if not t:wait(1, #t.s.ids, term) then return nil end
  local index = t.places[first.text]
  if not index then return nil end
  for i = 1, #tickets do
    if not t:wait(index + i, #t.s.ids, term) then return nil end
  end
  for _, ticket in ipairs(tickets) do
    local place = t.places[ticket.text]
    expect(place and place > index and place <= index + #tickets,
      "%s is missing", ticket.text)
  end
  return true
end

-- Tries fn() until it does not return nil.
local function until_quiet(t, fn)
  for try = 1, TRIES do
    if try > 1 then t:sleep(3000) end
    local result = fn()
    if result ~= nil then return result end
  end
  labs.fail("the term changed too often")
end

local function numbers(low, high)
  local list = {}
  for i = low, high do list[#list + 1] = tostring(i) end
  return list
end

describe("lab 3B", function()
  lab("BasicAgree3B", { servers = 3 }, function(t)
    for index = 1, 3 do
      expect_committed(t, index, 0)
      local got = t:one(index * 100, 3, false)
      expect(got == index, "got index %d, expected %d", got, index)
    end
  end)

  lab("RPCBytes3B", { servers = 3 }, function(t)
    t:one(99, 3, false)
    local before, sent = t.s.network.counts.bytes, 0
    for i = 1, 10 do
      local payload = t.random:bytes(5000)
      local index = t:one(payload, 3, false)
      expect(index == i + 1, "got index %d, expected %d", index, i + 1)
      sent = sent + #payload
    end
    local bytes = t.s.network.counts.bytes - before
    expect(bytes <= 3 * sent + 50000, "%d bytes for %d", bytes, sent)
  end)

  lab("FollowerFailure3B", { servers = 3 }, function(t)
    t:one(101, 3, false)
    local leader = t:check_one_leader()
    t:disconnect(t:after(leader, 1))
    t:one(102, 2, false)
    t:sleep(ELECTION_MS)
    t:one(103, 2, false)
    leader = t:check_one_leader()
    t:disconnect(t:after(leader, 1), t:after(leader, 2))
    must_start(t, leader, 104)
    t:sleep(2 * ELECTION_MS)
    expect_committed(t, 4, 0)
  end)

  lab("LeaderFailure3B", { servers = 3 }, function(t)
    t:one(101, 3, false)
    t:disconnect(t:check_one_leader())
    t:one(102, 2, false)
    t:sleep(ELECTION_MS)
    t:one(103, 2, false)
    t:disconnect(t:check_one_leader())
    t:each(function(id) t:start(id, 104) end)
    t:sleep(2 * ELECTION_MS)
    expect_committed(t, 4, 0)
  end)

  lab("FailAgree3B", { servers = 3 }, function(t)
    t:one(101, 3, false)
    local follower = t:after(t:check_one_leader(), 1)
    t:disconnect(follower)
    t:one(102, 2, false)
    t:one(103, 2, false)
    t:sleep(ELECTION_MS)
    t:one(104, 2, false)
    t:one(105, 2, false)
    t:connect(follower)
    t:one(106, 3, true)
    t:sleep(ELECTION_MS)
    t:one(107, 3, true)
  end)

  lab("FailNoAgree3B", { servers = 5 }, function(t)
    t:one(10, 5, false)
    local leader = t:check_one_leader()
    local away = { t:after(leader, 1), t:after(leader, 2), t:after(leader, 3) }
    t:disconnect(table.unpack(away))
    must_start(t, leader, 20)
    t:sleep(2 * ELECTION_MS)
    expect_committed(t, 2, 0)
    t:connect(table.unpack(away))
    local ticket = must_start(t, t:check_one_leader(), 30)
    t:one(1000, 5, true)
    local index = t.places[ticket.text]
    expect(index == 2 or index == 3, "got index %s", tostring(index))
  end)

  lab("ConcurrentStarts3B", { servers = 3 }, function(t)
    until_quiet(t, function()
      local leader = t:check_one_leader()
      local tickets, first = start_beside(t, leader, numbers(100, 104))
      return tickets and all_arrive(t, tickets, first)
    end)
  end)

  lab("Rejoin3B", { servers = 3 }, function(t)
    t:one(101, 3, true)
    local first = t:check_one_leader()
    t:disconnect(first)
    local tickets = start_many(t, first, 3)
    t:one(103, 2, true)
    local second = t:check_one_leader()
    t:disconnect(second)
    t:connect(first)
    t:one(104, 2, true)
    t:connect(second)
    t:one(105, 3, true)
    expect_lost(t, tickets)
  end)

  lab("Backup3B", { servers = 5 }, function(t)
    t:one("begin", 5, true)
    local first = t:check_one_leader()
    local a, b, c, d = t:after(first, 1), t:after(first, 2), t:after(first, 3),
      t:after(first, 4)
    t:disconnect(b, c, d)
    local lost = start_many(t, first, ROUNDS)
    t:sleep(ELECTION_MS // 2)
    t:disconnect(first, a)
    t:connect(b, c, d)
    for i = 1, ROUNDS do t:one(i, 3, true) end
    local second = t:check_one_leader()
    local other = second == b and c or b
    t:disconnect(other)
    table.move(start_many(t, second, ROUNDS), 1, ROUNDS, #lost + 1, lost)
    t:sleep(ELECTION_MS // 2)
    t:disconnect(table.unpack(t.s.ids))
    t:connect(first, a, other)
    for i = 1, ROUNDS do t:one(i, 3, true) end
    t:connect_all()
    t:one("end", 5, true)
    expect_lost(t, lost)
  end)

  lab("Count3B", { servers = 3, is_unformed = true }, function(t)
    t:check_one_leader()
    expect(t.rpcs >= 1 and t.rpcs <= 30, "%d RPCs for an election", t.rpcs)
    until_quiet(t, function()
      local leader = t:check_one_leader()
      local before = t.rpcs + t.pings
      local tickets, first = start_beside(t, leader, numbers(1, 11))
      if not tickets or not all_arrive(t, tickets, first) then return nil end
      local rpcs = t.rpcs + t.pings - before
      expect(rpcs <= (10 + 1 + 3) * 3, "%d RPCs for 12 entries", rpcs)
      return true
    end)
    local before = t.rpcs + t.pings
    t:sleep(ELECTION_MS)
    local rpcs = t.rpcs + t.pings - before
    expect(rpcs <= 3 * 20, "%d RPCs in an idle second", rpcs)
  end)
end)
