--- Requests to change the cluster: node:add, node:remove, node:change. [Raft 6]
--
--   submit -> the leader's log has it -> in force, committed, settled: answered
--
-- What to become is worked out from the configuration in force each time it is
-- asked, and the leader takes it only if it sees the same one. So asking again,
-- after a leader was lost say, does nothing twice.
--
-- Promises. Each waiter is answered exactly once, and with success only when
-- what it asked for is committed here. A change that the leader began goes on
-- when nobody waits for it any more.
local change = require "raft.change"
local configuration = require "raft.configuration"
local errors = require "raft.errors"
local refusals = require "raft.node.refusals"

local M = {}

local PATIENCE <const> = 2       -- of the longest election time-out
local TOKENS <const> = 1 << 62   -- those of forwards are below, of wishes too

local Changes = { __name = "raft.changes" }
Changes.__index = Changes

--- @param driver gives core, config, config_index, role, term, leader, formed,
--   options, reads, now(), step(ok, code), reaches(id), why_no_leader(), warn()
function M.new(driver)
  return setmetatable({
    driver = driver,
    waiters = {},          -- in call order
    last_token = TOKENS,   -- names a question
    soonest = false,       -- no deadline is sooner; false: none
  }, Changes)
end

local function note_deadline(self, deadline)
  if not deadline then return end
  if self.soonest and self.soonest <= deadline then return end
  self.soonest = deadline
end

--- Takes a request: { asked=, is_forced=, deadline=, answer= }, with what
-- @{raft.change} takes as `asked`.
function Changes:submit(waiter)
  waiter.token = 0            -- of the question that is under way; 0: none
  waiter.target = false       -- what was asked for last
  waiter.give_up_at = 0       -- when its answer is waited for no more
  waiter.index = false        -- where it begins in a log; false: in none
  waiter.term = 0             -- of that entry
  waiter.resume_at = 0        -- now() before which it is not asked for again
  waiter.busy_since = false   -- has the leader been busy since then?
  waiter.was_sent = false     -- has a leader ever been asked for it?
  waiter.is_fresh = false     -- is what we know as new as the call is?
  waiter.is_reading = false   -- is that being asked for?
  self.waiters[#self.waiters + 1] = waiter
  note_deadline(self, waiter.deadline)
end

local function answer(waiter, err, result)
  local fn = waiter.answer
  waiter.answer = false
  fn(err, result)
end

-------------------------------------------------------------------- refusals --

local function pause(self, waiter)
  waiter.resume_at = self.driver:now() + self.driver.options.heartbeat
  note_deadline(self, waiter.resume_at)
end

-- What the core, or the leader, has said to a request.
local function judge(self, waiter, verdict, index, term, missing)
  if verdict == true then
    waiter.index, waiter.term, waiter.busy_since = index, term, false
    return
  end
  local err = refusals.of(self.driver, waiter, verdict, missing)
  if err then return answer(waiter, err) end
  pause(self, waiter)  -- and ask again
end

-------------------------------------------------------------------- asking --

local function send(self, waiter)
  local driver = self.driver
  waiter.was_sent = true
  local token = self.last_token + 1
  local index, code, missing = driver.core:change(driver:now(), token,
    waiter.target, driver.config_index, waiter.is_forced)
  if not index then
    if code == "no_memory" then return driver:step(index, code) end
    return judge(self, waiter, code, 0, 0, missing)
  end
  driver:step(true)
  if index > 0 then
    return judge(self, waiter, true, index, driver.core:term_at(index))
  end
  self.last_token, waiter.token = token, token
  waiter.give_up_at = driver:now()
    + PATIENCE * driver.options.election_timeout.max
  note_deadline(self, waiter.give_up_at)
end

-- A node may not have heard of what was changed before it was called. What it
-- answers from its own configuration, be it yes or no, waits for a read, then.
local function is_fresh(self, waiter)
  local driver = self.driver
  if not driver.config.members[driver.id] then return true end  -- the last one
  if waiter.index or waiter.is_fresh then return true end
  if waiter.is_reading then return false end
  waiter.is_reading = true
  driver.reads:submit { index = false, deadline = waiter.deadline,
    is_leased = false, answer = function(err)
      waiter.is_reading, waiter.is_fresh = false, not err
      driver:wants_flush()
    end }
  return waiter.is_fresh
end

local function refuse(self, waiter, words)
  if not is_fresh(self, waiter) then return end
  answer(waiter, errors.new("bad_membership", words))
end

local function ask(self, waiter)
  local driver = self.driver
  local objection = change.objection(driver.config, waiter)
  if objection then return refuse(self, waiter, objection) end
  local can_reach = driver.role == "leader"
    or driver.leader and driver:reaches(driver.leader)
  if not can_reach then return end
  local target, words = change.target(driver.config, waiter.asked)
  if not target then return refuse(self, waiter, words) end
  waiter.target = target
  send(self, waiter)
end

-- Is it in no log any more? Then another entry is committed where it stood, or
-- one of a later term before it.
local function is_lost(self, waiter)
  local core = self.driver.core
  local commit = core:status().commit
  if core:term_at(waiter.index) == waiter.term then return false end
  return commit >= waiter.index or core:term_at(commit) > waiter.term
end

-- The change is in a log. Was it overtaken by another one, or taken back?
local function look_at_appended(self, waiter, is_settled)
  if is_lost(self, waiter) then
    waiter.index = false
  elseif is_settled and self.driver.config_index >= waiter.index then
    answer(waiter, errors.new("refused", "another change took it back",
      { value = "taken back", outcome = "none" }))
  end
end

-- It is so. Was it so before anybody did anything?
local function conclude(self, waiter)
  local remark = change.remark(self.driver.config, waiter)
  if remark then
    self.driver:warn(errors.new("bad_membership", remark))
  end
  answer(waiter, nil, true)
end

local function look_at(self, waiter, is_settled)
  local driver = self.driver
  if change.is_in_force(driver.config, waiter.asked) then
    local is_done = is_settled and is_fresh(self, waiter)
    return is_done and conclude(self, waiter)
  end
  if waiter.index then look_at_appended(self, waiter, is_settled) end
  local now = driver:now()
  local is_waiting = waiter.index or not waiter.answer or now < waiter.resume_at
    or (waiter.token ~= 0 and now < waiter.give_up_at)
  if not is_waiting then ask(self, waiter) end
end

local function drop_answered(self)
  local kept = {}
  for _, waiter in ipairs(self.waiters) do
    if waiter.answer then kept[#kept + 1] = waiter end
  end
  self.waiters = kept
end

-- A member that is no more need not hear that it is committed: once an entry
-- without it stands alone in force, what came before it was committed.
local function is_settled_for(driver)
  local config = driver.config
  if not configuration.is_settled(config) then return false end
  return not config.members[driver.id]
    or driver.core:status().commit >= driver.config_index
end

--- Does anybody ask for a change of this member?
function Changes:is_asked_of(id)
  for _, waiter in ipairs(self.waiters) do
    if waiter.asked.members[id] ~= nil then return true end
  end
  return false
end

--- Goes on with whatever can be done.
function Changes:dispatch()
  local driver = self.driver
  local is_idle = #self.waiters == 0 or not driver.formed
  if is_idle or not driver.config then return end
  local is_settled = is_settled_for(driver)
  for _, waiter in ipairs(self.waiters) do
    if waiter.answer then look_at(self, waiter, is_settled) end
  end
  drop_answered(self)
end

--- The leader, or who was asked as such, has answered.
-- @return true when the token is one of ours
function Changes:forwarded(token, verdict, index, term, missing)
  if token <= TOKENS then return false end
  for _, waiter in ipairs(self.waiters) do
    if waiter.token == token and waiter.answer then
      waiter.token = 0
      judge(self, waiter, verdict, index, term, missing)
    end
  end
  drop_answered(self)
  self.driver:wants_flush()
  return true
end

--- The leader may have changed: what was asked on its way is asked anew.
function Changes:ask_again()
  for _, waiter in ipairs(self.waiters) do waiter.token = 0 end
end

------------------------------------------------------------------- the end --

local function why_late(self, waiter)
  local config = self.driver.config
  if waiter.index and config and not configuration.is_settled(config) then
    return "it has begun, and goes on: " .. change.under_way(config)
  end
  return self.driver:why_no_leader()
end

--- Answers those whose time is over.
function Changes:sweep(now)
  if not self.soonest or now < self.soonest then return end
  self.soonest = false
  for _, waiter in ipairs(self.waiters) do
    if waiter.deadline and waiter.deadline <= now then
      answer(waiter, errors.new("timeout", "not done in time: "
        .. why_late(self, waiter)))
    else
      note_deadline(self, waiter.deadline)
      if waiter.resume_at > now then note_deadline(self, waiter.resume_at) end
      local is_asked = waiter.token ~= 0 and waiter.give_up_at > now
      if is_asked then note_deadline(self, waiter.give_up_at) end
    end
  end
  drop_answered(self)
  self.driver:wants_flush()
end

--- Answers all. make_error(is_sent) says what.
function Changes:finish(make_error)
  local all = self.waiters
  self.waiters, self.soonest = {}, false
  for _, waiter in ipairs(all) do
    if waiter.answer then
      answer(waiter, make_error(waiter.index ~= false or waiter.token ~= 0))
    end
  end
end

return M
