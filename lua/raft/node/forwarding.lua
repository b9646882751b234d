--- A follower's proposals on their way to the leader, and back.
--
--   outbox -> gathered, in the node's session -> under way -> in a log there
--
-- Promises. Whatever becomes of a forward - its link ends, its answer is late,
-- another leader's entry takes its place - it is sent again, and its session
-- sees to it that it happens once.
local Forwards = require "raft.node.forwards"
local OwnSession = require "raft.own_session"
local answers = require "raft.answers"

local M = {}

local FORWARD_BYTES <const> = 1 << 20  -- commands in one forward, about
local SESSION_MS <const> = 3600 * 1000
local FORWARD_COUNT <const> = 1000     -- they pass the stack in one call

local Forwarding = { __name = "raft.forwarding" }
Forwarding.__index = Forwarding

--- @param driver what the outbox has
-- @param outbox gives queue, pop(), leave(waiter), put_back(waiters),
--   refuse(waiter, code), is_full, proposals
function M.new(driver, outbox)
  return setmetatable({
    driver = driver,
    outbox = outbox,
    under_way = Forwards.new(driver),
    session = OwnSession.new(SESSION_MS),
  }, Forwarding)
end

------------------------------------------------------------------ requests --

-- Nothing is sent for a while.
function Forwarding:pause()
  self.under_way:pause(self.driver.options.heartbeat)
  self.outbox.proposals:note_deadline(self.under_way.resume_at)
end

-- Asks for a session, before everything else.
local function open_session(self)
  local session = self.session
  self.outbox.proposals:submit_first {
    request = session:opening(), can_forward = true, can_wait = true,
    is_alone = true, deadline = false,
    answer = function(err, bytes)
      local ok, id
      if not err then ok, id = answers.decode(bytes) end
      session:opened(ok and id or false)
      if not ok then self:pause() end
      self.driver:wants_flush()
    end,
  }
end

--- Must this one wait for a session to be opened? It is asked for, then.
function Forwarding:lacks_session(waiter)
  local session = self.session
  if waiter.request or session.id then return false end
  if not session.is_opening then open_session(self) end
  return true
end

--- The bytes of the session entry that asks for this, to be sent now.
function Forwarding:request(waiter)
  waiter.sends = waiter.sends + 1
  return waiter.request or self.session:request(waiter)
end

--- What was sent last is in no log, for sure.
function Forwarding:returned(waiter)
  waiter.sends = math.max(0, waiter.sends - 1)
end

--- Is there room for it in the session, if it goes in there?
function Forwarding:has_room(waiter)
  return waiter.request or self.session:has_room(waiter)
end

-- Can it travel with these?
local function joins(self, waiter, waiters, bytes)
  if not waiter.can_forward or self.session:is_stranded(waiter)
    or not self:has_room(waiter) then
    return false
  end
  if #waiters == 0 then return true end
  if not waiter.request and not self.session.id then return false end
  if waiter.is_alone or waiters[1].is_alone then return false end
  return #waiters < FORWARD_COUNT and bytes + waiter.size <= FORWARD_BYTES
end

-- Takes the oldest that may be forwarded together out of the queue.
local function gather(self)
  local waiters, payloads, bytes = {}, {}, 0
  local outbox = self.outbox
  local waiter = outbox.queue:peek()
  while waiter do
    if not waiter.answer then
      outbox:pop()
    elseif joins(self, waiter, waiters, bytes) then
      waiters[#waiters + 1] = outbox.queue:pop()
      payloads[#waiters] = self:request(waiter)
      bytes = bytes + waiter.size
    else
      break
    end
    waiter = outbox.queue:peek()
  end
  return waiters, payloads
end

-------------------------------------------------------------------- there --

--- May one be sent now that begins with this one?
function Forwarding:can_send(waiter)
  return self:has_room(waiter) and self.under_way:can_send()
end

--- Are some on their way? They may come back.
function Forwarding:is_under_way()
  return self.under_way.waiters ~= false
end

--- Sends the oldest to the leader, as many as fit.
function Forwarding:send()
  local waiters, payloads = gather(self)
  local ok, code = self.under_way:send(waiters, payloads)
  if ok then
    self.outbox.proposals:note_deadline(self.under_way:next_time())
  elseif code == "no_memory" then
    self:come_back(waiters, "busy")
  elseif code == "too_large" then
    self:come_back(waiters, code)
    self.driver:wants_flush()
  else  -- the core knows of another role: we will hear
    self:put_back(waiters)
  end
end

----------------------------------------------------------------- and back --

-- They are in no log.
function Forwarding:put_back(waiters)
  for _, waiter in ipairs(waiters) do self:returned(waiter) end
  self.outbox:put_back(waiters)
end

-- May it be sent again, now that it is in no log? Who was sent before that may
-- be in one, so it waits for room, too.
local function may_return(waiter, verdict, count)
  if verdict == "too_large" and count > 1 then  -- perhaps another one was
    waiter.is_alone = true
    return true
  end
  local waits = waiter.can_wait or waiter.sends > 1
  return verdict == "not_leader" or (verdict == "busy" and waits)
end

--- A forward that is in no log.
function Forwarding:come_back(waiters, verdict)
  local back, outbox = {}, self.outbox
  for _, waiter in ipairs(waiters) do
    if waiter.answer and may_return(waiter, verdict, #waiters) then
      back[#back + 1] = waiter
    else
      outbox:leave(waiter)
      self:returned(waiter)
      outbox:refuse(waiter, verdict)
    end
  end
  self:put_back(back)
  if verdict == "busy" then
    outbox.is_full = true
    self:pause()
  end
end

-- In a log there. Applied here before we knew? Then it is asked for again: the
-- session has the answer.
local function note_appended(self, waiters, index, term)
  local outbox, applied, passed = self.outbox, self.driver.applied, {}
  local is_past = (self.driver.core:term_at(applied) or 0) > term
  for i, waiter in ipairs(waiters) do
    local at = index + i - 1
    outbox:leave(waiter)
    if at > applied and not is_past then
      outbox.proposals:appended(waiter, at, term)
    else
      passed[#passed + 1] = waiter
    end
  end
  outbox:put_back(passed)
end

--- The leader has answered a forward.
-- @param verdict true, or the code why it is in no log
function Forwarding:answered(token, verdict, index, term)
  local waiters = self.under_way:answered(token)
  if not waiters then return end  -- given up before
  self.driver:wants_flush()
  if verdict == true then return note_appended(self, waiters, index, term) end
  if verdict == "not_leader" then self.under_way:shun() end
  self:come_back(waiters, verdict)
end

--- The link with this node is lost: what was on its way may be anywhere.
function Forwarding:link_lost(id)
  self.outbox:put_back(self.under_way:lost(id) or {})
end

--- Gives up what is overdue, and says when to look again.
function Forwarding:sweep(now)
  self.outbox:put_back(self.under_way:overdue(now) or {})
  self.outbox.proposals:note_deadline(self.under_way:next_time())
end

--- Calls fn(waiter) for each that is under way.
function Forwarding:each(fn)
  self.under_way:each(fn)
end

--- Forgets all.
function Forwarding:clear()
  self.under_way:clear()
end

return M
