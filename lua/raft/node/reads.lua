--- Linearizable reads: barriers that wait for ReadIndex. [Thesis 6.4]
--
-- All reads of one loop turn share one question to the core; those that a lease
-- may serve share another. The core forgets its questions when the leader
-- changes; then they are asked again, which is always right: a later barrier
-- covers an earlier read.
local errors = require "raft.errors"
local ring = require "raft.ring"
local token = require "raft.token"
local view = require "raft.node.view"

local M = {}

local SLICE_MS <const> = 5      -- answering per turn
local SLICE_CHECK <const> = 32  -- answers between two looks at the clock

local Reads = { __name = "raft.reads" }
Reads.__index = Reads

--- @param driver gives core, now(), applied, acknowledge(index),
--   why_no_leader()
function M.new(driver)
  return setmetatable({
    driver = driver,
    fresh = {},         -- waiters not yet asked for
    leased = {},        -- the same, of reads that a lease may serve
    asked = {},         -- token -> waiters
    confirmed = {},     -- array of { index=, waiters= }: wait to be applied
    ready = ring.new(), -- waiters to be answered in this turn
    last_token = 0,
    soonest = false,    -- no deadline is sooner; false: none
  }, Reads)
end

local function answer(waiter, err)
  local fn = waiter.answer
  if not fn then return end
  waiter.answer = false
  fn(err, waiter)
end

-- Local state holds enough now.
local function serve_one(self, waiter)
  self.driver:acknowledge(self.driver.applied)
  answer(waiter, nil)
end

--- Calls done() once local state is as fresh as opts of node:read ask for;
-- answer(err) when that cannot be. Without opts.consistency the state itself is
-- not asked for, which a witness has none of.
function Reads:barrier(opts, deadline, answer_user, done)
  local index
  local refusal = opts.consistency and view.has_no_state(self.driver)
  if refusal then return answer_user(refusal) end
  if opts.at_least then
    index = token.index(opts.at_least)
    if not index then
      return answer_user(errors.new("bad_value", "at_least: not a token of "
        .. "node:token()"))
    end
  elseif opts.consistency == "stale" then
    index = 0
  end
  self:submit {
    index = index, deadline = deadline,
    is_leased = opts.consistency == "lease",
    is_ready = not opts.consistency,
    answer = function(why)
      if why then return answer_user(why) end
      done()
    end,
  }
end

--- Takes a read: { answer=, deadline=, index=, is_leased=, is_ready= }. With
-- `index` it waits only for that index to be applied here (at_least);
-- is_leased: a lease may serve it; is_ready: it does not ask for the state. It
-- is answered once: answer(err, waiter).
function Reads:submit(waiter)
  local index = waiter.index
  if index and index <= self.driver.applied then
    return serve_one(self, waiter)
  end
  if waiter.deadline
    and (not self.soonest or waiter.deadline < self.soonest) then
    self.soonest = waiter.deadline
  end
  if index then
    self:confirm({ waiter }, index)
  else
    local list = waiter.is_leased and self.leased or self.fresh
    list[#list + 1] = waiter
  end
end

-- Asks for all in the list self[name]; without a leader, or when too many are
-- open, a later turn does.
local function ask(self, name, method)
  if #self[name] == 0 then return end
  local driver = self.driver
  local core = driver.core
  if not core[method](core, driver:now(), self.last_token + 1) then return end
  self.last_token = self.last_token + 1
  self.asked[self.last_token] = self[name]
  self[name] = {}
end

-- Who has no state asks nobody: none could be old. Whoever waits for it to be
-- ready waits for a leader, and for what is known to be committed.
local function confirm_without_state(self)
  local driver = self.driver
  if not driver.leader then return end
  local waiters = self.fresh
  self.fresh = {}
  if #waiters > 0 then self:confirm(waiters, driver.core:status().commit) end
end

--- Asks the core for what has come since the last turn.
function Reads:dispatch()
  if #self.fresh == 0 and #self.leased == 0 then return end
  if view.is_stateless(self.driver) then return confirm_without_state(self) end
  ask(self, "fresh", "read")
  ask(self, "leased", "read_lease")
end

-- What the core was asked, oldest first.
local function tokens_of(self)
  local tokens = {}
  for number in pairs(self.asked) do tokens[#tokens + 1] = number end
  table.sort(tokens)
  return tokens
end

--- The leader has changed: the core forgot what it was asked.
function Reads:ask_again()
  local asked, fresh, leased = tokens_of(self), self.fresh, self.leased
  local waiters = self.asked
  self.asked, self.fresh, self.leased = {}, {}, {}
  local function put(list)
    for _, waiter in ipairs(list) do
      local to = waiter.is_leased and self.leased or self.fresh
      to[#to + 1] = waiter
    end
  end
  for _, number in ipairs(asked) do put(waiters[number]) end
  put(fresh)
  put(leased)
end

function Reads:confirm(waiters, index)
  self.confirmed[#self.confirmed + 1] = { index = index, waiters = waiters }
  self:applied(self.driver.applied)
end

--- The core says: serve these once `index` is applied.
function Reads:serve(number, index)
  local waiters = self.asked[number]
  if not waiters then return end
  self.asked[number] = nil
  self:confirm(waiters, index)
end

--- Everything up to `applied` is applied here.
function Reads:applied(applied)
  if #self.confirmed == 0 then return end
  local waiting = {}
  for _, group in ipairs(self.confirmed) do
    if group.index <= applied then
      for _, waiter in ipairs(group.waiters) do self.ready:push(waiter) end
    else
      waiting[#waiting + 1] = group
    end
  end
  self.confirmed = waiting
end

--- Is anybody to be answered?
function Reads:are_ready()
  return self.ready.count > 0
end

--- Answers those whose state is here, for a slice of time: the rest follows in
-- another turn. That may run the user's query, so it is no part of a flush.
function Reads:deliver()
  local count, ready = self.ready.count, self.ready
  if count == 0 then return end
  local stop_at = count > SLICE_CHECK and self.driver:now() + SLICE_MS
  for i = 1, count do
    serve_one(self, ready:pop())
    local looks = stop_at and i % SLICE_CHECK == 0
    if looks and self.driver:now() >= stop_at then return end
  end
end

-- Everybody who waits, oldest first.
local function all_waiters(self)
  local all = {}
  local function add_one(waiter) all[#all + 1] = waiter end
  local function add(waiters)
    for _, waiter in ipairs(waiters) do add_one(waiter) end
  end
  self.ready:each(add_one)
  for _, group in ipairs(self.confirmed) do add(group.waiters) end
  for _, number in ipairs(tokens_of(self)) do add(self.asked[number]) end
  add(self.fresh)
  add(self.leased)
  return all
end

local function unanswered(waiters)
  local kept = {}
  for _, waiter in ipairs(waiters) do
    if waiter.answer then kept[#kept + 1] = waiter end
  end
  return kept
end

--- Answers those whose time is over.
function Reads:sweep(now)
  if not self.soonest or now < self.soonest then return end
  self.soonest = false
  for _, waiter in ipairs(all_waiters(self)) do
    local deadline = waiter.answer and waiter.deadline
    if deadline and deadline <= now then
      answer(waiter, errors.new("timeout", "no answer in time: "
        .. self.driver:why_no_leader()))
    elseif deadline and (not self.soonest or deadline < self.soonest) then
      self.soonest = deadline
    end
  end
  self.fresh, self.leased = unanswered(self.fresh), unanswered(self.leased)
end

-- All waiters; nothing waits any more.
local function take_all(self)
  local all = all_waiters(self)
  self.fresh, self.leased, self.asked, self.confirmed = {}, {}, {}, {}
  self.soonest = false
  self.ready = ring.new()
  return all
end

--- There is no state here: answers who asked for it. make_error() says what.
function Reads:refuse_state(make_error)
  for _, waiter in ipairs(take_all(self)) do
    if not waiter.is_ready then
      answer(waiter, make_error())
    elseif waiter.answer then
      self:submit(waiter)
    end
  end
end

--- Answers all. make_error() says what.
function Reads:finish(make_error)
  for _, waiter in ipairs(take_all(self)) do answer(waiter, make_error()) end
end

return M
