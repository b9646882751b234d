-- Lab 3C of MIT 6.5840: persistence, and bad networks. See
-- spec/labs/harness.lua.
local lab = require("spec.labs.lab").define(it)
local labs = require "spec.labs.harness"

local expect = labs.expect
local ELECTION_MS <const> = labs.ELECTION_MS
local ITERATIONS <const> = 1000     -- of figure 8
local REORDERED_FROM <const> = 200  -- of them
local CHURNS <const> = 20           -- of churn
local THINK_MS <const> = 66         -- of its clients, at most, between commands

-- Mostly a few ms, and now and then up to half an election time-out.
local function nap(t)
  local random = t.random
  if random:chance(0.1) then return t:sleep(random:below(ELECTION_MS // 2)) end
  t:sleep(random:below(13))
end

-- Offers a command to all servers: the last one that took it, of those that
-- count.
local function start_at_all(t, counts)
  local leader
  t:each(function(id)
    local ticket = t:start(id, t.random:below(10000))
    if ticket and counts(id) then leader = id end
  end)
  return leader
end

local function crash_and_restart(t, ...)
  t:crash(...)
  t:restart(...)
end

-- The leader dies again and again with entries that few have.
local function figure8(t)
  t:one(t.random:below(10000), 1, true)
  local up = 5
  for _ = 1, ITERATIONS do
    local leader = start_at_all(t, function() return true end)
    nap(t)
    if leader then
      t:crash(leader)
      up = up - 1
    end
    if up < 3 then
      local id = t.random:pick(t.s.ids)
      if not t:is_up(id) then
        t:restart(id)
        up = up + 1
      end
    end
  end
  t:restart(table.unpack(t.s.ids))
  t:one(t.random:below(10000), 5, true)
end

-- The same by cuts, on a network that loses and reorders.
local function figure8_unreliable(t)
  t:one(t.random:below(10000), 1, true)
  local up = 5
  for i = 0, ITERATIONS - 1 do
    if i == REORDERED_FROM then t:reorder(true) end
    local leader = start_at_all(t, function(id) return t.is_connected[id] end)
    nap(t)
    if leader and t.random:chance(0.5) then
      t:disconnect(leader)
      up = up - 1
    end
    if up < 3 then
      local id = t.random:pick(t.s.ids)
      if not t.is_connected[id] then
        t:connect(id)
        up = up + 1
      end
    end
  end
  t:connect_all()
  t:one(t.random:below(10000), 5, true)
end

-- Was it committed? Looks for a third of a second.
local function arrives(t, ticket)
  for _, ms in ipairs { 10, 20, 50, 100, 200 } do
    if t.places[ticket.text] then return true end
    t:sleep(ms)
  end
  return false
end

-- A client of churn: everything it saw committed, or was told so.
local function churner(t, me, is_over)
  local tickets, sure = {}, {}
  while not is_over() do
    local ticket
    t:each(function(id)
      ticket = t:start(id, t.random:bits()) or ticket
      tickets[#tickets + 1] = ticket
    end)
    if not ticket then
      t:sleep(79 + me * 17)
    elseif arrives(t, ticket) then
      sure[ticket.text] = true
      t:sleep(t.random:below(THINK_MS + 1))
    end
  end
  return tickets, sure
end

local function shake(t)
  local random, ids = t.random, t.s.ids
  if random:chance(0.2) then t:disconnect(random:pick(ids)) end
  if random:chance(0.5) then t:restart(random:pick(ids)) end
  if random:chance(0.2) then
    local id = random:pick(ids)
    if t:is_up(id) then t:crash(id) end
  end
  t:sleep(ELECTION_MS * 7 // 10)
end

-- Every server has all that anybody was sure of.
local function check_churn(t, results)
  local last = t:one(t.random:bits(), 5, true)
  local is_there = {}
  for index = 1, last do is_there[t:wait(index, 5)] = true end
  local count = 0
  for _, result in ipairs(results) do
    for _, ticket in ipairs(result.tickets) do
      if ticket.index then result.sure[ticket.text] = true end
    end
    for text in pairs(result.sure) do
      count = count + 1
      expect(is_there[text], "%s was acknowledged and is gone", text)
    end
  end
  expect(count > 0, "nothing was acknowledged at all")
end

local function churn(t)
  local is_over, results, tasks = false, {}, {}
  for i = 1, 3 do
    tasks[i] = t:spawn(function()
      local tickets, sure = churner(t, i - 1, function() return is_over end)
      results[i] = { tickets = tickets, sure = sure }
    end)
  end
  for _ = 1, CHURNS do shake(t) end
  t:sleep(ELECTION_MS)
  t:unreliable(false)
  t:restart(table.unpack(t.s.ids))
  is_over = true
  t:join(tasks)
  t:sleep(ELECTION_MS)
  check_churn(t, results)
end

describe("lab 3C", function()
  lab("Persist13C", { servers = 3 }, function(t)
    t:one(11, 3, true)
    crash_and_restart(t, table.unpack(t.s.ids))
    t:one(12, 3, true)
    crash_and_restart(t, t:check_one_leader())
    t:one(13, 3, true)
    local leader = t:check_one_leader()
    t:crash(leader)
    t:one(14, 2, true)
    t:restart(leader)
    t:wait(4, 3)
    local follower = t:after(t:check_one_leader(), 1)
    t:crash(follower)
    t:one(15, 2, true)
    t:restart(follower)
    t:one(16, 3, true)
  end)

  lab("Persist23C", { servers = 5 }, function(t)
    for round = 1, 5 do
      t:one(10 + 3 * round, 5, true)
      local leader = t:check_one_leader()
      local a, b, c, d = t:after(leader, 1), t:after(leader, 2),
        t:after(leader, 3), t:after(leader, 4)
      t:crash(a, b)
      t:one(11 + 3 * round, 3, true)
      t:crash(leader, c, d)
      t:restart(a, b)
      t:sleep(ELECTION_MS)
      t:restart(c)
      t:one(12 + 3 * round, 3, true)
      t:restart(d, leader)
    end
    t:one(1000, 5, true)
  end)

  lab("Persist33C", { servers = 3 }, function(t)
    t:one(101, 3, true)
    local leader = t:check_one_leader()
    local a, b = t:after(leader, 1), t:after(leader, 2)
    t:disconnect(b)
    t:one(102, 2, true)
    t:crash(leader, a)
    t:connect(b)
    t:restart(leader)
    t:one(103, 2, true)
    t:restart(a)
    t:one(104, 3, true)
  end)

  lab("Figure83C", { servers = 5 }, figure8)

  lab("UnreliableAgree3C", { servers = 5, is_unreliable = true }, function(t)
    local tasks = {}
    for i = 1, 49 do
      for j = 0, 3 do
        tasks[#tasks + 1] = t:spawn(function() t:one(100 * i + j, 1, true) end)
      end
      t:one(i, 1, true)
    end
    t:unreliable(false)
    t:join(tasks)
    t:one(100, 5, true)
    local count = t:committed(49 * 5 + 1)
    expect(count > 0, "fewer entries than commands")
  end)

  lab("Figure8Unreliable3C", { servers = 5, is_unreliable = true },
    figure8_unreliable)

  lab("ReliableChurn3C", { servers = 5 }, churn)

  lab("UnreliableChurn3C", { servers = 5, is_unreliable = true }, churn)
end)
