--- Proposals from the call to the answer.
--
--   submit -> queue -> appended (we lead)      -> epochs -> applied: answered
--                   -> forwarded (another does) -> epochs
--
-- Promises. Order is kept: nothing overtakes a proposal that may still be sent.
-- Nothing is sent twice. Each waiter is answered exactly once: `lost` only when
-- another entry was committed in its place, `unknown` when a forward may or may
-- not have arrived.
--
-- A waiter is { command=, can_forward=, can_wait=, deadline=, answer= }; its
-- `answer` becomes false once it was called.
local Machine = require "raft.machine"
local epochs = require "raft.node.epochs"
local errors = require "raft.errors"
local ring = require "raft.ring"

local M = {}

local FORWARD_BYTES <const> = 256 << 10  -- commands in one forward, about
local FORWARD_COUNT <const> = 200        -- they pass the stack in one call

local Proposals = { __name = "raft.proposals" }
Proposals.__index = Proposals

--- @param driver gives core, role, term, leader, now(), reaches(id),
--   leader_error(), report(err), wants_flush()
function M.new(driver)
  return setmetatable({
    driver = driver,
    queue = ring.new(),       -- not yet sent, oldest first
    epochs = epochs.new(),    -- in a log
    forwards = {},            -- token -> { leader=, term=, waiters= }
    forward_count = 0,        -- Invariant: entries of forwards
    last_token = 0,
    last_order = 0,           -- waiters are numbered in call order
    is_full = false,          -- has `busy` been said and no drain since?
    is_out_of_space = false,  -- is the disk full?
    soonest = false,          -- no deadline is sooner; false: none at all
    acked_index = 0,          -- newest index answered with success
  }, Proposals)
end

local function answer(waiter, err, result)
  local fn = waiter.answer
  if not fn then return end  -- its time was over
  waiter.answer = false
  fn(err, result)
end

function Proposals:note_deadline(deadline)
  if not deadline then return end
  if self.soonest and self.soonest <= deadline then return end
  self.soonest = deadline
end

--- Takes a proposal; it is sent at once where that is possible.
function Proposals:submit(waiter)
  self.last_order = self.last_order + 1
  waiter.order = self.last_order
  self:note_deadline(waiter.deadline)
  self.queue:push(waiter)
  if self.queue.count == 1 and self.driver.role == "leader" then
    self:dispatch()
  end
  self.driver:wants_flush()
end

------------------------------------------------------------------ sending --

local function no_space()
  return errors.new("no_space", "the disk of the leader is full")
end

local code_words = {
  busy = "too much waits to be committed",
  too_large = "the command is larger than max_command_bytes",
  no_memory = "no memory for the command",
}

-- The core's refusal of a proposal as an error value.
local function refusal(code)
  if code == "no_memory" then code = "busy" end
  if not code_words[code] then
    return errors.new("not_leader", "the node that was asked does not lead")
  end
  return errors.new(code, code_words[code])
end

-- Appends the oldest: true when the queue may go on.
function Proposals:append_one(waiter)
  local driver = self.driver
  if self.is_out_of_space then
    self.queue:pop()
    answer(waiter, no_space())
    return true
  end
  local index, code = driver.core:propose(driver:now(), waiter.command)
  if index then
    self.queue:pop()
    self.epochs:add(waiter, index, driver.term)
    return true
  elseif code == "not_leader" then
    return false  -- the role effect is on its way
  elseif code == "busy" then
    self.is_full = true
    if waiter.can_wait then return false end
  end
  self.queue:pop()
  answer(waiter, refusal(code))
  return true
end

-- The oldest that may be forwarded together; takes them out of the queue.
function Proposals:gather()
  local waiters, commands, bytes = {}, {}, 0
  while not self.queue:is_empty() and #waiters < FORWARD_COUNT
    and bytes < FORWARD_BYTES do
    local waiter = self.queue:peek()
    if not waiter.can_forward then break end
    self.queue:pop()
    if waiter.answer then
      waiters[#waiters + 1] = waiter
      commands[#commands + 1] = waiter.command
      bytes = bytes + #waiter.command
    end
  end
  return waiters, commands
end

function Proposals:forward()
  local driver = self.driver
  local waiters, commands = self:gather()
  if #waiters == 0 then return end
  self.last_token = self.last_token + 1
  local ok, code = driver.core:forward(driver:now(), self.last_token,
    table.unpack(commands))
  if not ok then
    for _, waiter in ipairs(waiters) do answer(waiter, refusal(code)) end
    return
  end
  self.forwards[self.last_token] =
    { leader = driver.leader, term = driver.term, waiters = waiters }
  self.forward_count = self.forward_count + 1
end

-- Do earlier forwards to another leader keep the queue back? They may come
-- back unsent, and nothing may overtake them.
function Proposals:is_held_back()
  if self.forward_count == 0 then return false end
  for _, forward in pairs(self.forwards) do
    if forward.leader ~= self.driver.leader
      or forward.term ~= self.driver.term then
      return true
    end
  end
  return false
end

-- Sends the oldest on, by whoever leads: true when the queue may go on.
function Proposals:dispatch_one(waiter)
  local driver = self.driver
  if not waiter.answer then
    self.queue:pop()
    return true
  elseif driver.role == "leader" then
    return self:append_one(waiter)
  elseif not driver.leader then
    return false
  elseif not waiter.can_forward then
    self.queue:pop()
    answer(waiter, driver:leader_error())
    return true
  elseif not driver:reaches(driver.leader) then
    return false
  end
  self:forward()
  return true
end

--- Sends what can be sent now.
function Proposals:dispatch()
  if self.queue:is_empty() or self:is_held_back() then return end
  while not self.queue:is_empty() do
    if not self:dispatch_one(self.queue:peek()) then return end
  end
end

------------------------------------------------------------------ answers --

-- Puts unsent waiters back where their order says.
function Proposals:put_back(waiters)
  local all = table.move(waiters, 1, #waiters, 1, {})
  for _, waiter in ipairs(self.queue:take_all()) do all[#all + 1] = waiter end
  table.sort(all, function(a, b) return a.order < b.order end)
  for _, waiter in ipairs(all) do self.queue:push(waiter) end
end

--- The leader has answered a forward.
-- @param verdict true, or the code why it is in no log
function Proposals:forwarded(token, verdict, index, term)
  local forward = self.forwards[token]
  if not forward then return end  -- answered `unknown` before
  self.forwards[token] = nil
  self.forward_count = self.forward_count - 1
  if verdict == true then
    for i, waiter in ipairs(forward.waiters) do
      self.epochs:add(waiter, index + i - 1, term)
    end
    self:settle_old(index)
    return
  end
  local back = {}
  for _, waiter in ipairs(forward.waiters) do
    local goes_back = verdict == "not_leader"
      or (verdict == "busy" and waiter.can_wait)
    if goes_back then
      back[#back + 1] = waiter
    else
      answer(waiter, refusal(verdict))
    end
  end
  self:put_back(back)
end

local function unknown(words)
  return errors.new("unknown", words)
end

-- Applied before the leader's answer came? Then its result was not kept.
function Proposals:settle_old(index)
  local applied = self.driver.applied
  if index > applied then return end
  local late = {}
  self.epochs:each(function(waiter)
    if waiter.index <= applied then late[#late + 1] = waiter end
  end)
  for _, waiter in ipairs(late) do
    answer(waiter, unknown("it was appended, and its result is gone"))
  end
end

-- The forwards under way, oldest first.
local function tokens_of(self)
  local tokens = {}
  for token in pairs(self.forwards) do tokens[#tokens + 1] = token end
  table.sort(tokens)
  return tokens
end

--- The link with this node is lost: what was on its way to it may be anywhere.
function Proposals:link_lost(id)
  for _, token in ipairs(tokens_of(self)) do
    local forward = self.forwards[token]
    if forward.leader == id then
      self.forwards[token] = nil
      self.forward_count = self.forward_count - 1
      for _, waiter in ipairs(forward.waiters) do
        answer(waiter, unknown(("the link with the leader %s broke while it "
          .. "was on its way"):format(id)))
      end
    end
  end
end

local function answer_applied(self, waiter, ok, value, extra)
  if not ok then return answer(waiter, value) end
  if value == nil and extra ~= nil then
    return answer(waiter, Machine.refusal(extra))
  end
  local copy, err = Machine.copied("apply", value)
  if err then self.driver:report(err) end
  answer(waiter, err, copy)
end

--- Does anybody wait for an entry? Else the driver need not tell.
function Proposals:are_waiting()
  return not self.epochs:is_empty()
end

--- The entry at `index` was applied: true, result, why; or false, error.
function Proposals:applied(index, term, ok, value, extra)
  local found, lost = self.epochs:take(index, term)
  if found then
    if index > self.acked_index then self.acked_index = index end
    answer_applied(self, found, ok, value, extra)
  end
  for _, waiter in ipairs(lost or {}) do
    answer(waiter, errors.new("lost", ("another entry was committed at index "
      .. "%d"):format(waiter.index), { index = waiter.index }))
  end
end

------------------------------------------------------------------ the end --

local function each_waiter(self, fn)
  self.queue:filter(function(waiter)
    fn(waiter, false)
    return waiter.answer ~= false
  end)
  for _, forward in pairs(self.forwards) do
    for _, waiter in ipairs(forward.waiters) do fn(waiter, true) end
  end
  self.epochs:each(function(waiter) fn(waiter, true) end)
end

-- In call order, which `forwards` alone does not keep.
local function in_order(self)
  local all = {}
  each_waiter(self, function(waiter, is_sent)
    if waiter.answer then all[#all + 1] = { waiter, is_sent } end
  end)
  table.sort(all, function(a, b) return a[1].order < b[1].order end)
  return all
end

--- Answers those whose time is over.
function Proposals:sweep(now)
  if not self.soonest or now < self.soonest then return end
  self.soonest = false
  for _, item in ipairs(in_order(self)) do
    local waiter, is_sent = item[1], item[2]
    if waiter.deadline and waiter.deadline <= now then
      local where = is_sent and "it was sent, and may still be applied"
        or self.driver:why_no_leader()
      answer(waiter, errors.new("timeout", "no answer in time: " .. where))
    else
      self:note_deadline(waiter.deadline)
    end
  end
end

--- Answers all. make_error(is_sent) says what.
function Proposals:finish(make_error)
  for _, item in ipairs(in_order(self)) do
    answer(item[1], make_error(item[2]))
  end
  self.queue = ring.new()
  self.forwards, self.forward_count = {}, 0
  self.epochs:clear()
  self.soonest = false
end

--- How many wait, all in all.
function Proposals:count()
  return #in_order(self)
end

return M
