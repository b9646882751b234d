--- A stop in order: what is under way is answered, leadership goes to another,
-- and then the disk is closed. Looked at once a turn; nothing here waits.
local M = {}

local Stopping = { __name = "raft.stopping" }
Stopping.__index = Stopping

--- @param finish function(): closes the disk and ends the node
function M.new(driver, finish)
  driver.health:set("stop", true)  -- nobody shall hand over to us
  return setmetatable({
    driver = driver,
    finish = finish,
    hand_over_until = false,  -- now() after which nobody is waited for
    is_sent = false,          -- is somebody about to lead?
    is_saving = false,        -- is a last snapshot on its way?
    is_saved = false,         -- is there none to wait for any more?
    is_done = false,
  }, Stopping)
end

-- May what is under way still be answered? Without a leader it may not.
function Stopping:is_answering()
  return self.driver.proposals:count_open() > 0 and self.driver.leader ~= false
end

-- Hands over to the best placed member: true when there is nobody.
function Stopping:tell(now)
  local driver = self.driver
  local ok, code = driver.core:transfer(now)
  self.is_sent = ok ~= nil or code == "busy"
  driver:wants_flush()
  return not self.is_sent
end

-- Is there nothing more to hand over?
function Stopping:has_handed_over()
  local driver = self.driver
  if driver.role ~= "leader" then return true end
  local now = driver:now()
  self.hand_over_until = self.hand_over_until
    or now + driver.options.election_timeout.max
  if now >= self.hand_over_until then return true end
  return not self.is_sent and self:tell(now)
end

-- A node with services leaves a snapshot: who starts it with newer ones applies
-- nothing again by them that was applied by these.
function Stopping:has_saved()
  local driver = self.driver
  if self.is_saved or self.is_saving then return self.is_saved end
  self.is_saving = driver.services and driver.services:save(function()
    self.is_saved = true
    driver:wants_flush()
  end)
  self.is_saved = not self.is_saving
  return self.is_saved
end

--- Goes on with it.
function Stopping:look()
  if self.is_done or self:is_answering() then return end
  if not self:has_handed_over() or not self:has_saved() then return end
  self.is_done = true
  self.finish()
end

return M
