--- Proposals on their way into a log.
--
--   queue -> appended (we lead), or forwarded (another does) -> proposals
--
-- Promises. Nothing overtakes a proposal that may still be sent. What waits
-- here is bounded: beyond it `busy` is said, except to a coroutine, of which
-- each has one command.
local Forwarding = require "raft.node.forwarding"
local errors = require "raft.errors"
local ring = require "raft.ring"

local M = {}

local WAITER_BYTES <const> = 64  -- what one weighs beside its command

local Outbox = { __name = "raft.outbox" }
Outbox.__index = Outbox

--- @param driver gives options, core, role, term, leader, now(), reaches(id),
--   leader_error(), wants_flush(), emit(event)
-- @param proposals gives answer(waiter, err), appended(waiter, index, term),
--   submit_first(waiter), note_deadline(ms)
function M.new(driver, proposals)
  local self = setmetatable({
    driver = driver,
    proposals = proposals,
    queue = ring.new(),   -- not yet sent, oldest first
    forwarding = false,   -- set below
    is_sorted = true,     -- is the queue in call order? What came back is not
    bytes = 0,            -- of the queue and the forward, about
    is_full = false,      -- has `busy` been said and no drain since?
  }, Outbox)
  self.forwarding = Forwarding.new(driver, self)
  return self
end

-------------------------------------------------------------------- room --

-- Is there no room for one more of that size?
local function has_no_room(self, bytes)
  if self.bytes == 0 then return false end
  if self.is_full and not self.queue:is_empty() then return true end
  return self.bytes + bytes > self.driver.options.max_pending_bytes
end

local function weigh(self, waiter)
  waiter.bytes = waiter.size + WAITER_BYTES
  self.bytes = self.bytes + waiter.bytes
end

--- Takes a waiter; its command is sent at once where that is possible.
function Outbox:put(waiter)
  self.proposals:append_group()  -- nothing overtakes it
  if not waiter.can_wait and has_no_room(self, waiter.size + WAITER_BYTES) then
    self.is_full = true
    return self:refuse(waiter, "busy")
  end
  weigh(self, waiter)
  self.queue:push(waiter)
  if self.queue.count == 1 and self.driver.role == "leader" then
    self:dispatch()
  end
  self.driver:wants_flush()
end

--- May a group go into the log at once, past the queue?
function Outbox:is_clear()
  return self.driver.role == "leader" and self.queue:is_empty()
    and not self.is_full and not self.forwarding:is_under_way()
    and self.forwarding.session:is_drained()
end

--- Appends a group.
-- @return the index of its first, or nil
function Outbox:append_group(group)
  local driver = self.driver
  if not self:is_clear() then return nil end
  driver:tell_wall(true)
  local core, now = driver.core, driver:now()
  local propose = group.is_session and core.propose_session or core.propose
  return (propose(core, now, group.commands, group.count))
end

--- It is in a log, or answered: it weighs nothing here any more. What may come
-- back keeps its command.
function Outbox:leave(waiter)
  self.bytes = self.bytes - waiter.bytes
  waiter.bytes = 0
  if not waiter.session then waiter.command = "" end
end

--- Takes the oldest out.
function Outbox:pop()
  self:leave(self.queue:pop())
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

--- Puts waiters back where they were.
function Outbox:put_back(waiters)
  if #waiters == 0 then return end
  for _, waiter in ipairs(waiters) do
    if waiter.bytes == 0 then weigh(self, waiter) end  -- it had left
    self.queue:push(waiter)
  end
  self.is_sorted = false
  self.driver:wants_flush()
end

local function sort(self)
  local all = self.queue:take_all()
  table.sort(all, function(a, b) return a.order < b.order end)
  for _, waiter in ipairs(all) do self.queue:push(waiter) end
  self.is_sorted = true
end

------------------------------------------------------------------ sending --

local code_words = {
  busy = "too much waits to be committed",
  too_large = "the command is larger than max_command_bytes of the leader",
  no_space = "the disk of the leader is full",
}

--- Says no to a waiter; what the core says beside these means no memory. What
-- was sent before may still come about, in its session.
function Outbox:refuse(waiter, code)
  if not code_words[code] then code = "busy" end
  self.proposals:answer(waiter, errors.new(code, code_words[code],
    { outcome = waiter.sends > 0 and "unknown" or "none" }))
end

-- While what was forwarded before may come back, its session keeps the order.
local function propose(self, waiter)
  local core, now = self.driver.core, self.driver:now()
  local is_in_session = waiter.request or waiter.session
    or not self.forwarding.session:is_drained()
  if not is_in_session then return core:propose(now, waiter.command) end
  return core:propose_session(now, self.forwarding:request(waiter))
end

-- Appends the oldest: true when the queue may go on.
function Outbox:append_one(waiter)
  local driver = self.driver
  if not self.forwarding:has_room(waiter) then return false end
  local index, code = propose(self, waiter)
  if index then
    self:pop()
    self.proposals:appended(waiter, index, driver.term)
    return true
  end
  self.forwarding:returned(waiter)
  if code == "not_leader" then
    return false  -- the role effect is on its way
  elseif code == "busy" then
    self.is_full = true
    if waiter.can_wait or waiter.sends > 0 then return false end
  end
  self:pop()
  self:refuse(waiter, code)
  return true
end

-- Why one that must not be forwarded is not sent again.
local function not_ours(driver, waiter)
  local err = driver:leader_error()
  if not waiter.session or waiter.sends == 0 then return err end
  return errors.new("unknown", "it was appended, and then: " .. err.message)
end

-- The oldest is not for us to append.
function Outbox:pass_on(waiter)
  local driver = self.driver
  if not driver.leader then
    return false
  elseif not waiter.can_forward then
    self:pop()
    self.proposals:answer(waiter, not_ours(driver, waiter))
    return true
  elseif self.forwarding:lacks_session(waiter) then
    return not self.is_sorted  -- the request for one goes first
  end
  if self.forwarding:can_send(waiter) then self.forwarding:send() end
  return false
end

local function stranded()
  return errors.new("session_expired", "it was sent more than once, and the "
    .. "session in which this node forwards ended meanwhile")
end

-- Sends the oldest on, by whoever leads: true when the queue may go on.
function Outbox:dispatch_one(waiter)
  if not waiter.answer then
    self:pop()
    return true
  elseif self.forwarding:is_under_way() then
    return false  -- they may come back
  elseif self.forwarding.session:is_stranded(waiter) then
    self:pop()
    self.proposals:answer(waiter, stranded())
    return true
  elseif self.driver.role == "leader" then
    return self:append_one(waiter)
  end
  return self:pass_on(waiter)
end

--- Sends what can be sent now.
function Outbox:dispatch()
  self.proposals:append_group()
  while self.queue.count > 0 do
    if not self.is_sorted then sort(self) end
    if not self:dispatch_one(self.queue:peek()) then return end
  end
end

---------------------------------------------------------------- all of them --

--- Calls fn(waiter, may_have_happened) for each.
function Outbox:each(fn)
  local function look(waiter) fn(waiter, waiter.sends > 0) end
  self.forwarding:each(look)
  self.queue:each(look)
end

-- Lets go of those that were answered and are not under way.
local function drop_answered(self)
  self.queue:filter(function(waiter)
    if not waiter.answer then self:leave(waiter) end
    return waiter.answer ~= false
  end)
end

--- Gives up what is overdue, and says when to look again.
function Outbox:sweep(now)
  self.forwarding:sweep(now)
  drop_answered(self)
end

--- Forgets all.
function Outbox:clear()
  self.queue, self.bytes, self.is_sorted = ring.new(), 0, true
  self.forwarding:clear()
end

return M
