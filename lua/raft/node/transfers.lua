--- Wishes that another member shall lead: node:transfer. [Thesis 3.10]
--
--   submit -> the leader's core has taken it -> another leads: answered
--
-- On a follower the wish travels to the leader and its answer comes back; it is
-- in no log. Who then leads is seen here like any change of leader, so the
-- answer is the id of the new leader, whoever that is.
--
-- Promises. Each waiter is answered exactly once. A wish that the leader gave
-- up is `refused`: it leads on and takes proposals again.
local errors = require "raft.errors"

local M = {}

local PATIENCE <const> = 2  -- of the longest election time-out, on a follower

local Transfers = { __name = "raft.transfers" }
Transfers.__index = Transfers

--- @param driver gives core, role, term, leader, config, options, now(),
--   reaches(id), why_no_leader()
function M.new(driver)
  return setmetatable({
    driver = driver,
    waiters = {},     -- in call order
    last_token = 0,   -- names a wish; below 0, as those of forwards are above
    soonest = false,  -- no deadline is sooner; false: none
  }, Transfers)
end

local function note_deadline(self, deadline)
  if not deadline then return end
  if self.soonest and self.soonest <= deadline then return end
  self.soonest = deadline
end

--- Takes a wish: { id = whom, or false, answer=, deadline= }.
function Transfers:submit(waiter)
  waiter.token = 0         -- of the question that is under way; 0: none
  waiter.term = false      -- in which a leader has taken it; false: none has
  waiter.give_up_at = false  -- when that leader has given it up
  waiter.resume_at = 0     -- now() before which it is not asked for again
  self.waiters[#self.waiters + 1] = waiter
  note_deadline(self, waiter.deadline)
end

local function answer(waiter, err, result)
  local fn = waiter.answer
  waiter.answer = false
  fn(err, result)
end

------------------------------------------------------------------- refusals --

local function refusal(words, outcome)
  return errors.new("refused", words, { value = words, outcome = outcome })
end

-- Why nobody, or not this one, could be told.
local function unsuited(self, id)
  if not id then
    return "no other voter may lead: they are silent, stop, or lack entries"
  end
  local config = self.driver.config
  local member = config and config.members[id]
  if not member then return id .. " is no member" end
  if member.role ~= "voter" then return id .. " is a " .. member.role end
  return id .. " is silent, stops, or its disk hangs"
end

local REFUSALS <const> = {
  unsupported = function(self, waiter)
    return refusal(unsuited(self, waiter.id), "none")
  end,
  busy = function()
    return errors.new("busy", "another member was told to take over")
  end,
}

-- What the core, or the leader, has said to a wish.
local function judge(self, waiter, ok, code, term)
  if ok then
    local driver = self.driver
    waiter.term = term
    waiter.give_up_at = driver:now()
      + PATIENCE * driver.options.election_timeout.max
    note_deadline(self, waiter.give_up_at)
  elseif REFUSALS[code] then
    answer(waiter, REFUSALS[code](self, waiter))
  else  -- another leads meanwhile, or none
    waiter.resume_at = self.driver:now() + self.driver.options.heartbeat
    note_deadline(self, waiter.resume_at)
  end
end

-------------------------------------------------------------------- asking --

local function ask(self, waiter)
  local driver = self.driver
  if driver.role == "leader" then
    local ok, code = driver.core:transfer(driver:now(), waiter.id)
    if ok then driver:step(ok) end
    return judge(self, waiter, ok, code, driver.term)
  elseif driver.leader and driver:reaches(driver.leader) then
    local token = self.last_token - 1
    local ok, code = driver.core:transfer(driver:now(), waiter.id, token)
    if not ok then return judge(self, waiter, ok, code) end
    driver:step(ok)
    self.last_token, waiter.token = token, token
  end
end

-- Has what a leader took come to nothing? The core knows of a new term before
-- the driver does.
local function is_given_up(self, waiter)
  local core = self.driver.core:status()
  if core.role == "leader" and core.term == waiter.term then
    return not core.heir
  end
  return self.driver:now() >= waiter.give_up_at
end

local function look_at(self, waiter)
  local driver = self.driver
  if driver.leader and driver.leader == waiter.id then
    return answer(waiter, nil, waiter.id)
  elseif not waiter.term then
    local is_due = self.driver:now() >= waiter.resume_at
    if waiter.token == 0 and is_due then ask(self, waiter) end
  elseif driver.leader and driver.term > waiter.term then
    return answer(waiter, nil, driver.leader)
  elseif is_given_up(self, waiter) then
    answer(waiter, refusal(("%s did not take over in time"):format(
      waiter.id or "nobody of the others"), "unknown"))
  end
end

local function drop_answered(self)
  local kept = {}
  for _, waiter in ipairs(self.waiters) do
    if waiter.answer then kept[#kept + 1] = waiter end
  end
  self.waiters = kept
end

--- Goes on with whatever can be done.
function Transfers:dispatch()
  if #self.waiters == 0 then return end
  for _, waiter in ipairs(self.waiters) do look_at(self, waiter) end
  drop_answered(self)
end

--- The leader, or who was asked as such, has answered.
-- @return true when the token is one of ours
function Transfers:forwarded(token, verdict, term)
  if token >= 0 then return false end
  for _, waiter in ipairs(self.waiters) do
    if waiter.token == token and waiter.answer then
      waiter.token = 0
      judge(self, waiter, verdict == true, verdict, term)
    end
  end
  drop_answered(self)
  self.driver:wants_flush()
  return true
end

--- The link with this node, or its leadership, is lost: a question that was on
-- its way there is asked anew.
function Transfers:ask_again()
  for _, waiter in ipairs(self.waiters) do waiter.token = 0 end
end

------------------------------------------------------------------- the end --

--- Answers those whose time is over.
function Transfers:sweep(now)
  if not self.soonest or now < self.soonest then return end
  self.soonest = false
  for _, waiter in ipairs(self.waiters) do
    if waiter.deadline and waiter.deadline <= now then
      answer(waiter, errors.new("timeout", "nobody took over in time: "
        .. self.driver:why_no_leader()))
    else
      note_deadline(self, waiter.deadline)
      local next_at = waiter.give_up_at or waiter.resume_at
      if next_at > now then note_deadline(self, next_at) end
    end
  end
  drop_answered(self)
  self.driver:wants_flush()
end

--- Answers all. make_error() says what.
function Transfers:finish(make_error)
  local all = self.waiters
  self.waiters, self.soonest = {}, false
  for _, waiter in ipairs(all) do
    if waiter.answer then answer(waiter, make_error()) end
  end
end

return M
