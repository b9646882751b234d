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
local members = require "raft.members"
local raft_core = require "raft.core"

local M = {}

local PATIENCE <const> = 2       -- of the longest election time-out
local TOKENS <const> = 1 << 62   -- those of forwards are below, of wishes too

local Changes = { __name = "raft.changes" }
Changes.__index = Changes

--- @param driver gives core, config, config_index, role, term, leader, formed,
--   options, logger, now(), step(ok, code), reaches(id), why_no_leader()
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

-- The ids of the members at these positions: these follow from the ids, which
-- are numbers without sign.
local function ids_at(mask, config)
  local names = members.ids(config.members)
  table.sort(names, function(a, b)
    return math.ult(raft_core.id_of(a), raft_core.id_of(b))
  end)
  local found = {}
  for i, name in ipairs(names) do
    if mask >> i - 1 & 1 == 1 then found[#found + 1] = name end
  end
  table.sort(found)
  return found
end

local REFUSALS <const> = {}  -- code -> function(self, waiter, missing)

function REFUSALS.bad_config(_, waiter)
  local _, where, words = configuration.check(waiter.target)
  answer(waiter, errors.new("bad_membership", where and where .. ": " .. words
    or "the leader knows a rule that this change breaks"))
end

function REFUSALS.no_quorum(_, waiter, missing)
  local ids = ids_at(missing or 0, waiter.target)
  answer(waiter, errors.new("no_quorum", change.no_quorum(waiter.target, ids),
    { missing = ids, outcome = "none" }))
end

function REFUSALS.no_space(_, waiter)
  answer(waiter, errors.new("no_space", "the disk of the leader is full"))
end

local function busy_error(words)
  return errors.new("busy", "another change is under way: " .. words)
end

-- Another change, or one of its steps, or a leader that has just been elected?
-- The latter two pass.
function REFUSALS.busy(self, waiter)
  local driver = self.driver
  waiter.busy_since = waiter.busy_since or driver:now()
  local patience = PATIENCE * driver.options.election_timeout.max
  local is_committed = driver.core:status().commit >= driver.config_index
  if is_committed and not configuration.is_settled(driver.config) then
    return answer(waiter, busy_error(change.under_way(driver.config)))
  elseif driver:now() - waiter.busy_since >= patience then
    return answer(waiter, busy_error("the leader is busy with it"))
  end
  pause(self, waiter)
end

-- What the core, or the leader, has said to a request.
local function judge(self, waiter, verdict, index, term, missing)
  if verdict == true then
    waiter.index, waiter.term, waiter.busy_since = index, term, false
  elseif REFUSALS[verdict] then
    REFUSALS[verdict](self, waiter, missing)
  else  -- another configuration is in force, or another leads, or nobody
    pause(self, waiter)
  end
end

-------------------------------------------------------------------- asking --

local function send(self, waiter)
  local driver = self.driver
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

local function ask(self, waiter)
  local driver = self.driver
  local can_reach = driver.role == "leader"
    or driver.leader and driver:reaches(driver.leader)
  if not can_reach then return end
  local target, words = change.target(driver.config, waiter.asked)
  if not target then
    return answer(waiter, errors.new("bad_membership", words))
  end
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

local function look_at(self, waiter, is_settled)
  local driver = self.driver
  if change.is_in_force(driver.config, waiter.asked) then
    if is_settled then answer(waiter, nil, true) end
    return
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
