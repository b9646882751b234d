--- Linearizable reads: barriers that wait for ReadIndex. [Thesis 6.4]
--
-- All reads of one loop turn share one question to the core. The core forgets
-- its questions when the leader changes; then they are asked again, which is
-- always right: a later barrier covers an earlier read.
local errors = require "raft.errors"

local M = {}

local Reads = { __name = "raft.reads" }
Reads.__index = Reads

--- @param driver gives core, now(), applied, leader, why_no_leader()
function M.new(driver)
  return setmetatable({
    driver = driver,
    fresh = {},         -- waiters not yet asked for
    asked = {},         -- token -> waiters
    confirmed = {},     -- array of { index=, waiters= }: wait to be applied
    last_token = 0,
    soonest = false,    -- no deadline is sooner; false: none
  }, Reads)
end

local function answer(waiter, err, index)
  local fn = waiter.answer
  if not fn then return end
  waiter.answer = false
  fn(err, index)
end

--- Takes a read: { answer=, deadline=, index= }. With `index` it waits only for
-- that index to be applied here (at_least).
function Reads:submit(waiter)
  if waiter.deadline
    and (not self.soonest or waiter.deadline < self.soonest) then
    self.soonest = waiter.deadline
  end
  if waiter.index then
    self:confirm({ waiter }, waiter.index)
  else
    self.fresh[#self.fresh + 1] = waiter
  end
end

--- Asks the core for what has come since the last turn.
function Reads:dispatch()
  if #self.fresh == 0 then return end
  local driver = self.driver
  local ok = driver.core:read(driver:now(), self.last_token + 1)
  if not ok then return end  -- no leader, or too many: a later turn
  self.last_token = self.last_token + 1
  self.asked[self.last_token] = self.fresh
  self.fresh = {}
end

-- What the core was asked, oldest first.
local function tokens_of(self)
  local tokens = {}
  for token in pairs(self.asked) do tokens[#tokens + 1] = token end
  table.sort(tokens)
  return tokens
end

--- The leader has changed: the core forgot what it was asked.
function Reads:ask_again()
  local all = {}
  for _, token in ipairs(tokens_of(self)) do
    table.move(self.asked[token], 1, #self.asked[token], #all + 1, all)
  end
  table.move(self.fresh, 1, #self.fresh, #all + 1, all)
  self.asked, self.fresh = {}, all
end

function Reads:confirm(waiters, index)
  self.confirmed[#self.confirmed + 1] = { index = index, waiters = waiters }
  self:applied(self.driver.applied)
end

--- The core says: serve these once `index` is applied.
function Reads:serve(token, index)
  local waiters = self.asked[token]
  if not waiters then return end
  self.asked[token] = nil
  self:confirm(waiters, index)
end

--- Everything up to `applied` is applied here.
function Reads:applied(applied)
  if #self.confirmed == 0 then return end
  local waiting = {}
  local ready = {}
  for _, group in ipairs(self.confirmed) do
    local list = group.index <= applied and ready or waiting
    list[#list + 1] = group
  end
  self.confirmed = waiting
  for _, group in ipairs(ready) do
    for _, waiter in ipairs(group.waiters) do
      answer(waiter, nil, group.index)
    end
  end
end

-- Everybody who waits, oldest first.
local function all_waiters(self)
  local all = {}
  local function add(waiters) table.move(waiters, 1, #waiters, #all + 1, all) end
  for _, group in ipairs(self.confirmed) do add(group.waiters) end
  for _, token in ipairs(tokens_of(self)) do add(self.asked[token]) end
  add(self.fresh)
  return all
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
  local kept = {}
  for _, waiter in ipairs(self.fresh) do
    if waiter.answer then kept[#kept + 1] = waiter end
  end
  self.fresh = kept
end

--- Answers all. make_error() says what.
function Reads:finish(make_error)
  local all = all_waiters(self)
  self.fresh, self.asked, self.confirmed, self.soonest = {}, {}, {}, false
  for _, waiter in ipairs(all) do answer(waiter, make_error()) end
end

return M
