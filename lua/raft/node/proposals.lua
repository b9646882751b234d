--- Proposals from the call to the answer.
--
--   submit -> outbox (queue, forward) -> epochs (in a log) -> applied: answered
--
-- Promises. Order is kept: nothing overtakes a proposal that may still be sent.
-- What went in a session may be sent again, and happens once; nothing else is
-- sent twice. Each waiter is answered exactly once: `lost` only when another
-- entry was committed in its place, or one of a later term before it.
--
-- What callers with a callback propose in one turn of a leader is a group of
-- waiters (raft.node.group): it is taken apart where it does not go the usual
-- way, which is in one piece into the log and through apply.
--
-- A waiter is { command=, can_forward=, can_wait=, deadline=, answer= }, or has
-- a `request` in place of the command: the session entry of a client, and then
-- is answered with bytes as @{raft.answers} has them. Its answer(err, result,
-- waiter) becomes false once it was called.
local Machine = require "raft.machine"
local Outbox = require "raft.node.outbox"
local answers = require "raft.answers"
local epochs = require "raft.node.epochs"
local errors = require "raft.errors"
local grouping = require "raft.node.grouping"

local M = {}

local Proposals = { __name = "raft.proposals" }
Proposals.__index = Proposals

--- @param driver gives what @{raft.node.outbox} asks for, and applied,
--   acknowledge(index), report(err), defer(fn), why_no_leader()
function M.new(driver)
  local self = setmetatable({
    driver = driver,
    outbox = false,           -- not yet in a log; set below
    epochs = epochs.new(driver.node),  -- in a log
    group = false,            -- of this turn, not yet in a log; or none
    open_count = 0,           -- that were not answered, without those of group
    last_order = 0,           -- waiters are numbered in call order
    soonest = false,          -- no deadline is sooner; false: none at all
  }, Proposals)
  self.outbox = Outbox.new(driver, self)
  return self
end

--- Answers a waiter; again: nothing, its time was over.
function Proposals:answer(waiter, err, result)
  local fn = waiter.answer
  if not fn then return end
  waiter.answer, waiter.command = false, ""
  waiter.request = waiter.request and ""
  self.open_count = self.open_count - 1
  fn(err, result, waiter)
end

--- Something is to be done at that time: sweep, then dispatch.
function Proposals:note_deadline(deadline)
  if not deadline then return end
  if self.soonest and self.soonest <= deadline then return end
  self.soonest = deadline
end

-- What its parts keep in a waiter, at first.
local function begin(self, waiter, order)
  self.open_count = self.open_count + 1
  waiter.request = waiter.request or false
  waiter.order = order       -- the place in call order
  waiter.size = #(waiter.request or waiter.command)
  waiter.bytes = 0           -- what it weighs in the outbox
  waiter.sends = 0           -- how often it was sent in a session
  waiter.session, waiter.sequence = false, false  -- of this node, if in one
  waiter.is_alone = waiter.is_alone or false  -- not with others in a forward
  waiter.index, waiter.term = 0, 0            -- where it stands, once in a log
end

--- Takes a proposal; it is sent at once where that is possible.
function Proposals:submit(waiter)
  self.last_order = self.last_order + 1
  begin(self, waiter, self.last_order)
  self:note_deadline(waiter.deadline)
  self.outbox:put(waiter)
end

--- How many were not answered.
function Proposals:count_open()
  return self.open_count + (self.group and self.group.count or 0)
end

--- Takes something of our own, which goes before all others.
function Proposals:submit_first(waiter)
  begin(self, waiter, 0)
  self.outbox:put_back { waiter }
end

--- A waiter's command stands in a log.
function Proposals:appended(waiter, index, term)
  self.epochs:add(waiter, index, term)
end

for _, name in ipairs { "begin_group", "join_request", "join_requests",
  "append_group", "group_at", "applied_group", "applied_request" } do
  Proposals[name] = grouping[name]
end

----------------------------------------------------------------- applying --

-- A request that our session did not take: true when it goes another way.
local function goes_on(self, waiter, err)
  if not waiter.session or not errors.is_error(err) then return false end
  local is_back = err.reason == "gap" or err.reason == "full"
    or err.reason == "expired"
    and self.outbox.forwarding.session:expired(waiter)
  if is_back then self.outbox:put_back { waiter } end
  return is_back
end

-- Was a client's request sent twice by us, and its session was gone at last?
-- The client has sent it once, and must not take it for not done.
local function note_resent(waiter, ok, value)
  if ok or value.reason ~= "expired" or waiter.sends <= 1 then return end
  value.resent = true
end

local function answer_applied(self, waiter, ok, value, extra)
  if waiter.request then
    note_resent(waiter, ok, value)
    return self:answer(waiter, nil, answers.encode(ok, value, extra))
  elseif not ok then
    if not goes_on(self, waiter, value) then self:answer(waiter, value) end
    return
  elseif value == nil and extra ~= nil then
    return self:answer(waiter, Machine.refusal("apply", extra))
  end
  local copy, err = Machine.copied("apply", value)
  if err then self.driver:report(err) end
  self:answer(waiter, err, copy)
end

--- Does anybody wait for an entry? Else the driver need not tell.
function Proposals:are_waiting()
  return not self.epochs:is_empty()
end

--- The entry at `index` was applied: true, result, why; or false, error.
function Proposals:applied(index, term, ok, value, extra)
  local found, lost = self.epochs:take(index, term)
  if found then
    self.driver:acknowledge(index)
    answer_applied(self, found, ok, value, extra)
  end
  for _, waiter in ipairs(lost or {}) do
    self:lose(waiter, waiter.index, index)
  end
end

-- What went in a session is asked for again: that knows.
local function asks_again(self, waiter)
  if not waiter.answer then return true end
  if not waiter.session and not waiter.request then return false end
  self.outbox:put_back { waiter }
  return true
end

--- A snapshot has taken the place of all entries up to `index`: what became of
-- those that are waited for is not known here.
function Proposals:covered(index)
  for _, waiter in ipairs(self.epochs:take_upto(index)) do
    if not asks_again(self, waiter) then
      self:answer(waiter, errors.new("unknown", ("a snapshot of entry %d came "
        .. "in before it was applied here"):format(index),
        { index = waiter.index }))
    end
  end
end

--- What was appended at `index` will never be applied: at `by`, there or
-- before it, stands an entry of a later term.
function Proposals:lose(waiter, index, by)
  self.outbox.forwarding:returned(waiter)
  if asks_again(self, waiter) then return end
  self:answer(waiter, errors.new("lost", ("another leader's entry was "
    .. "committed, at index %d"):format(by), { index = index }))
end

------------------------------------------------------------------ the end --

-- Those that were not answered and for whom fits(waiter) holds, as an array of
-- { waiter, is_sent } in call order. Of groups nothing is said.
local function pick(self, fits)
  local picked = {}
  local function look(waiter, is_sent)
    if waiter.answer and fits(waiter) then
      picked[#picked + 1] = { waiter, is_sent }
    end
  end
  self.outbox:each(look)
  self.epochs:each(function(waiter) look(waiter, true) end)
  table.sort(picked, function(a, b) return a[1].order < b[1].order end)
  return picked
end

--- Answers those whose time is over.
function Proposals:sweep(now)
  if not self.soonest or now < self.soonest then return end
  self.soonest = false
  local function is_due(waiter)
    if waiter.deadline and waiter.deadline <= now then return true end
    self:note_deadline(waiter.deadline)
  end
  self.epochs:take_apart(is_due)
  local due = pick(self, is_due)
  for _, item in ipairs(due) do
    local where = item[2] and "it was sent, and may still be applied"
      or self.driver:why_no_leader()
    self:answer(item[1], errors.new("timeout", "no answer in time: "
      .. where))
  end
  self.outbox:sweep(now)
end

local function all() return true end

-- No group stands in the way of pick.
local function take_all_apart(self)
  local group = self.group
  self.group, self.open_count = false, self:count_open()
  if group then self.outbox:put_back(group:waiters(self.driver.node)) end
  self.epochs:take_apart(all)
end

--- Answers all. make_error(is_sent) says what.
function Proposals:finish(make_error)
  take_all_apart(self)
  local picked = pick(self, all)
  self.soonest = false
  self.outbox:clear()
  self.epochs:clear()
  for _, item in ipairs(picked) do
    self:answer(item[1], make_error(item[2]))
  end
  assert(self.open_count == 0, "a waiter was forgotten")
end

return M
