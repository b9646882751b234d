--- Proposals on their way into a log: a queue, and the forward under way.
--
--   queue -> appended (we lead), or forwarded (another does) -> proposals
--
-- Promises. Nothing overtakes a proposal that may still be sent. What is
-- forwarded goes in the node's own session: it may be sent again, and happens
-- once. What waits here is bounded: beyond it `busy` is said, except to a
-- coroutine, of which each has one command.
local Forwards = require "raft.node.forwards"
local OwnSession = require "raft.node.own_session"
local errors = require "raft.errors"
local ring = require "raft.ring"

local M = {}

local FORWARD_BYTES <const> = 1 << 20  -- commands in one forward, about
local FORWARD_COUNT <const> = 1000     -- they pass the stack in one call
local WAITER_BYTES <const> = 64        -- what one weighs beside its command

local Outbox = { __name = "raft.outbox" }
Outbox.__index = Outbox

--- @param driver gives options, core, role, term, leader, now(), reaches(id),
--   leader_error(), wants_flush(), emit(event)
-- @param proposals gives answer(waiter, err), appended(waiter, index, term),
--   lose(waiter, index, by), note_deadline(ms)
function M.new(driver, proposals)
  return setmetatable({
    driver = driver,
    proposals = proposals,
    queue = ring.new(),       -- not yet sent, oldest first
    forwards = Forwards.new(driver),
    session = OwnSession.new(driver.id),
    bytes = 0,                -- of the queue and the forward, about
    is_full = false,          -- has `busy` been said and no drain since?
  }, Outbox)
end

-- Is there no room for one more of that size?
local function has_no_room(self, bytes)
  if self.bytes == 0 then return false end
  if self.is_full and not self.queue:is_empty() then return true end
  return self.bytes + bytes > self.driver.options.max_pending_bytes
end

--- Takes a waiter; its command is sent at once where that is possible.
function Outbox:put(waiter)
  waiter.bytes = #waiter.command + WAITER_BYTES
  if not waiter.can_wait and has_no_room(self, waiter.bytes) then
    self.is_full = true
    return self:refuse(waiter, "busy")
  end
  self.bytes = self.bytes + waiter.bytes
  self.queue:push(waiter)
  if self.queue.count == 1 and self.driver.role == "leader" then
    self:dispatch()
  end
  self.driver:wants_flush()
end

-- It is in a log, or answered: it weighs nothing here any more. Only what has a
-- sequence may come back, and keeps its command.
local function leave(self, waiter)
  self.bytes = self.bytes - waiter.bytes
  waiter.bytes = 0
  if not waiter.sequence then waiter.command = "" end
end

local function pop(self)
  leave(self, self.queue:pop())
end

--- Says `drain` when those that were answered `busy` may come again: when what
-- waits, here and in the core, is half of the bound or less.
function Outbox:look_for_room()
  if not self.is_full then return end
  local driver = self.driver
  local core = driver.core:status()
  if core.heir or core.is_leaving then return end  -- still busy
  local waiting = self.bytes + core.pending_bytes
  if 2 * waiting > driver.options.max_pending_bytes then return end
  self.is_full = false
  driver:emit("drain")
end

------------------------------------------------------------------ sending --

local code_words = {
  busy = "too much waits to be committed",
  too_large = "the command is larger than max_command_bytes of the leader",
  no_space = "the disk of the leader is full",
}

-- Says no to a waiter; what the core says beside these means no memory.
function Outbox:refuse(waiter, code)
  if not code_words[code] then code = "busy" end
  self.proposals:answer(waiter, errors.new(code, code_words[code]))
end

-- What was forwarded before, in a session, is appended in that, too.
local function propose(self, waiter)
  local core, now = self.driver.core, self.driver:now()
  if not waiter.sequence then return core:propose(now, waiter.command) end
  return core:propose_session(now, self.session:request(waiter))
end

-- Appends the oldest: true when the queue may go on.
function Outbox:append_one(waiter)
  local driver = self.driver
  if waiter.is_opening then  -- nothing is forwarded
    pop(self)
    self.session:opened(false)
    return true
  end
  local index, code = propose(self, waiter)
  if index then
    pop(self)
    self.proposals:appended(waiter, index, driver.term)
    return true
  elseif code == "not_leader" then
    return false  -- the role effect is on its way
  elseif code == "busy" then
    self.is_full = true
    if waiter.can_wait then return false end
  end
  pop(self)
  self:refuse(waiter, code)
  return true
end

-- Asks for a session, before everything else.
function Outbox:open_session()
  if self.session.is_opening then return end
  local waiter = { command = self.session:opening(), order = 0, bytes = 0,
    can_forward = true, can_wait = true, is_alone = true, is_opening = true,
    sequence = false, sends = 0 }
  waiter.answer = function(err, id)
    self.session:opened(not err and id or false)
    self.driver:wants_flush()
  end
  self.proposals.open_count = self.proposals.open_count + 1
  self:put_back { waiter }
end

-- The bytes of these, in their session.
function Outbox:payloads(waiters)
  local payloads = {}
  for i, waiter in ipairs(waiters) do
    payloads[i] = waiter.is_opening and waiter.command
      or self.session:request(waiter)
  end
  return payloads
end

-- Can it travel with these?
local function joins(waiter, waiters, bytes)
  if not waiter.can_forward then return false end
  if #waiters == 0 then return true end
  if waiter.is_alone or waiters[1].is_alone then return false end
  return #waiters < FORWARD_COUNT and bytes + #waiter.command <= FORWARD_BYTES
end

-- Takes the oldest that may be forwarded together out of the queue.
function Outbox:gather()
  local waiters, bytes = {}, 0
  local waiter = self.queue:peek()
  while waiter do
    if not waiter.answer then
      pop(self)
    elseif joins(waiter, waiters, bytes) then
      waiters[#waiters + 1] = self.queue:pop()
      bytes = bytes + #waiter.command
    else
      break
    end
    waiter = self.queue:peek()
  end
  return waiters
end

-- Sends the oldest to the leader, as many as fit.
function Outbox:forward()
  if not self.session.id then self:open_session() end
  local waiters = self:gather()
  local ok, code = self.forwards:send(waiters, self:payloads(waiters))
  if ok then return self.proposals:note_deadline(self.forwards:next_time()) end
  if code == "no_memory" then return self:come_back(waiters, "busy") end
  self:put_back(waiters)  -- the core knows of another role: we will hear
end

-- Sends the oldest on, by whoever leads: true when the queue may go on.
function Outbox:dispatch_one(waiter)
  local driver = self.driver
  if not waiter.answer then
    pop(self)
    return true
  elseif self.forwards.waiters then
    return false  -- they may come back
  elseif driver.role == "leader" then
    return self:append_one(waiter)
  elseif not driver.leader then
    return false
  elseif not waiter.can_forward then
    pop(self)
    self.proposals:answer(waiter, driver:leader_error())
    return true
  end
  if self.forwards:can_send() then self:forward() end
  return false
end

--- Sends what can be sent now.
function Outbox:dispatch()
  while not self.queue:is_empty() do
    if not self:dispatch_one(self.queue:peek()) then return end
  end
end

------------------------------------------------------- answers of a leader --

--- Puts waiters back where they were, in call order.
function Outbox:put_back(waiters)
  local all = self.queue:take_all()
  for _, waiter in ipairs(waiters) do
    if waiter.bytes == 0 and not waiter.is_opening then  -- it had left
      waiter.bytes = #waiter.command + WAITER_BYTES
      self.bytes = self.bytes + waiter.bytes
    end
    all[#all + 1] = waiter
  end
  table.sort(all, function(a, b) return a.order < b.order end)
  for _, waiter in ipairs(all) do self.queue:push(waiter) end
  self.driver:wants_flush()
end

-- May it be sent again, now that it is in no log?
local function may_return(waiter, verdict, count)
  if verdict == "too_large" and count > 1 then  -- perhaps another one was
    waiter.is_alone = true
    return true
  end
  return verdict == "not_leader" or (verdict == "busy" and waiter.can_wait)
end

-- A forward that is in no log.
function Outbox:come_back(waiters, verdict)
  local back = {}
  for _, waiter in ipairs(waiters) do
    if waiter.answer and may_return(waiter, verdict, #waiters) then
      back[#back + 1] = waiter
    else
      leave(self, waiter)
      self:refuse(waiter, verdict)
    end
  end
  self:put_back(back)
  if verdict == "busy" then
    self.is_full = true
    self.forwards:pause(self.driver.options.heartbeat)
    self.proposals:note_deadline(self.forwards.resume_at)
  end
end

--- The leader has answered a forward.
-- @param verdict true, or the code why it is in no log
function Outbox:forwarded(token, verdict, index, term)
  local waiters = self.forwards:answered(token)
  if not waiters then return end  -- answered `unknown` before
  self.driver:wants_flush()
  if verdict == true then return self:note_appended(waiters, index, term) end
  if verdict == "not_leader" then self.forwards:shun() end
  self:come_back(waiters, verdict)
end

-- Applied before the leader's answer came? Then it is asked for again: the
-- session has the result.
function Outbox:note_appended(waiters, index, term)
  local applied = self.driver.applied
  local is_past = (self.driver.core:term_at(applied) or 0) > term
  for i, waiter in ipairs(waiters) do
    local at = index + i - 1
    leave(self, waiter)
    if at > applied and is_past then
      self.proposals:lose(waiter, at, applied)
    elseif at > applied then
      self.proposals:appended(waiter, at, term)
    else
      self:put_back { waiter }
    end
  end
end

--- The link with this node is lost: what was on its way may be anywhere, and is
-- sent again.
function Outbox:link_lost(id)
  self:put_back(self.forwards:lost(id) or {})
end

--- The session is gone: what cannot have happened goes into another one.
-- @param err for the others
function Outbox:session_gone(err)
  local fresh, others = self.session:gone()
  for _, waiter in ipairs(others) do self.proposals:answer(waiter, err) end
  self:put_back(fresh)
end

---------------------------------------------------------------- all of them --

--- Calls fn(waiter, is_sent) for each, oldest first.
function Outbox:each(fn)
  self.forwards:each(function(waiter) fn(waiter, true) end)
  self.queue:each(function(waiter) fn(waiter, waiter.sends > 0) end)
end

-- Lets go of those that were answered and are not under way.
local function drop_answered(self)
  self.queue:filter(function(waiter)
    if not waiter.answer then leave(self, waiter) end
    return waiter.answer ~= false
  end)
end

--- Gives up what is overdue, and says when to look again.
function Outbox:sweep(now)
  local overdue = self.forwards:overdue(now)
  if overdue then self:put_back(overdue) end
  drop_answered(self)
  self.proposals:note_deadline(self.forwards:next_time())
end

--- Forgets all.
function Outbox:clear()
  self.queue, self.bytes = ring.new(), 0
  self.forwards:clear()
end

return M
