--- The forward under way: a follower's proposals on their way to the leader.
--
-- Only one at a time. It may come back unsent, and then nothing may have
-- overtaken it; while it travels, the next one gathers. Its answer may be lost,
-- on a link that stands: it is given up then.
local M = {}

local PATIENCE <const> = 2  -- of the longest election time-out

local Forwards = { __name = "raft.forwards" }
Forwards.__index = Forwards

--- @param driver gives options, core, leader, term, now(), reaches(id)
function M.new(driver)
  return setmetatable({
    driver = driver,
    waiters = false,       -- of the forward under way, or false
    leader = false,        -- whom it went to
    term = 0,              -- in which term
    give_up_at = 0,        -- now() from which on no answer is waited for
    token = 0,             -- names the answer to the newest forward
    shunned_leader = false, -- said that it does not lead: not asked again
    shunned_term = 0,      -- in that term
    resume_at = false,     -- now() before which nothing is sent, or false
  }, Forwards)
end

local function is_shunned(self, leader, term)
  return leader == self.shunned_leader and term == self.shunned_term
end

--- May one be sent now?
function Forwards:can_send()
  local driver = self.driver
  if self.waiters or not driver.leader then return false end
  if is_shunned(self, driver.leader, driver.term) then return false end
  if self.resume_at and driver:now() < self.resume_at then return false end
  self.resume_at = false
  return driver:reaches(driver.leader)
end

--- Sends the requests of these waiters: true, or nil and the core's code.
-- @param payloads the bytes of their entries
function Forwards:send(waiters, payloads)
  local driver = self.driver
  local ok, code = driver.core:forward_session(driver:now(), self.token + 1,
    table.unpack(payloads))
  if not ok then return nil, code end
  self.token = self.token + 1
  self.waiters, self.leader, self.term = waiters, driver.leader, driver.term
  self.give_up_at = driver:now()
    + PATIENCE * driver.options.election_timeout.max
  return true
end

--- Its answer has come: its waiters, or nil when it was given up before.
function Forwards:answered(token)
  local waiters = self.waiters
  if not waiters or token ~= self.token then return nil end
  self.waiters = false
  return waiters
end

--- Who was asked does not lead: not asked again in that term.
function Forwards:shun()
  self.shunned_leader, self.shunned_term = self.leader, self.term
end

--- Who was asked has no room: not asked again for a while.
function Forwards:pause(ms)
  self.resume_at = self.driver:now() + ms
end

--- The link with this node is lost: the waiters of a forward that was under
-- way to it, or nil.
function Forwards:lost(id)
  if not self.waiters or self.leader ~= id then return nil end
  return self:answered(self.token)
end

local function does_any_wait(waiters)
  for _, waiter in ipairs(waiters) do
    if waiter.answer then return true end
  end
  return false
end

--- The waiters of a forward whose answer is too late, or that nobody waits for
-- any more; or nil.
function Forwards:overdue(now)
  local waiters = self.waiters
  if not waiters then return nil end
  if now < self.give_up_at and does_any_wait(waiters) then return nil end
  return self:answered(self.token)
end

--- When there is something to do, in now(), or false: it is given up, or one
-- may be sent again. A time that has come is told of once: who cannot send then
-- hears of what it lacks.
function Forwards:next_time()
  if self.waiters then return self.give_up_at end
  local resume_at = self.resume_at
  return resume_at and self.driver:now() < resume_at and resume_at
end

--- Calls fn(waiter) for each that is under way.
function Forwards:each(fn)
  for _, waiter in ipairs(self.waiters or {}) do fn(waiter) end
end

--- Forgets the one under way.
function Forwards:clear()
  self.waiters = false
end

return M
