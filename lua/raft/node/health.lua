--- Whether leadership is in good hands here: a node whose disk hangs or has no
-- room, whose loop is blocked, that is about to block or that stops says so to
-- its leader, and is no heir; if it leads, it hands over.
--
-- The core is told `avoid` while there is any reason to. What is measured is
-- compared with the minimum election time-out: what lasts longer costs the
-- cluster more than an election does.
local errors = require "raft.errors"

local M = {}

-- Ticks in a row with too much lag. It is smoothed and falls by an eighth a
-- tick, so one block has to be half as long again as the time-out to count.
local LATE_TICKS <const> = 4

local Health = { __name = "raft.health" }
Health.__index = Health

--- @param driver gives core, storage, role, options, now(), step(), warn(err)
function M.new(driver)
  return setmetatable({
    driver = driver,
    reasons = {},        -- name -> true
    is_avoiding = false, -- does the core know?
    late_ticks = 0,      -- in a row, with more lag than the time-out
    retry_at = 0,        -- now() from which on we may hand over again
    unblocked_at = false, -- now() at which a block we were told of is over
  }, Health)
end

local function tell_core(self)
  local driver, has_reason = self.driver, next(self.reasons) ~= nil
  if self.is_avoiding == has_reason then return end
  self.is_avoiding = has_reason
  driver:step(driver.core:avoid(driver:now(), has_reason))
end

--- From now on there is this reason to avoid leadership, or no more.
-- @param name disk, space, loop, block, diverged or stop
function Health:set(name, is_so)
  self.reasons[name] = is_so or nil
  tell_core(self)
end

local WORDS <const> = {
  disk = "a write to its disk has taken %d ms so far",
  loop = "its loop lags %d ms behind its timer",
}

-- Hands over: true when somebody is on the way.
local function leave(self)
  local driver, now = self.driver, self.driver:now()
  self.retry_at = now + driver.options.election_timeout.max
  local ok, code = driver.core:transfer(now)
  driver:step(ok, code)
  return ok ~= nil or code == "busy"
end

-- Measures, and tells the user when something begins.
local function measure(self, name, ms)
  local is_so = ms > self.driver.options.election_timeout.min
  if is_so and not self.reasons[name] then
    self.driver:warn(errors.new("busy", "this node avoids leadership: "
      .. WORDS[name]:format(ms), { reason = name, ms = ms }))
  end
  if is_so ~= (self.reasons[name] or false) then self:set(name, is_so) end
end

--- The loop lags so many ms behind its timer, of late.
function Health:tick(lag_ms)
  local is_late = lag_ms > self.driver.options.election_timeout.min
  self.late_ticks = is_late and self.late_ticks + 1 or 0
  measure(self, "loop", self.late_ticks >= LATE_TICKS and lag_ms or 0)
end

--- Once a turn.
function Health:look()
  local driver = self.driver
  local write_ms = driver.storage:write_age()
  if write_ms > 0 or self.reasons.disk then measure(self, "disk", write_ms) end
  if self.unblocked_at and driver:now() >= self.unblocked_at then
    self:has_blocked()
  end
  if not self.is_avoiding or driver.role ~= "leader" then return end
  if driver.state == "running" and driver:now() >= self.retry_at then
    leave(self)
  end
end

--- This node is about to block for so long: may it do so now? false: it leads,
-- and somebody is about to take over; ask again in a turn to come. Leadership
-- is avoided until has_blocked(), or until the time is over.
function Health:about_to_block(ms)
  local driver = self.driver
  local timeout = driver.options.election_timeout
  if ms <= timeout.min // 2 then return true end  -- nobody will notice
  local is_new = not self.reasons.block
  self.unblocked_at = driver:now() + timeout.max + ms
  self:set("block", true)
  if driver.role ~= "leader" then return true end
  if is_new then return not leave(self) end
  return not driver.core:status().heir  -- nobody could, or nobody came
end

--- It is over.
function Health:has_blocked()
  self.unblocked_at = false
  self:set("block", false)
end

return M
