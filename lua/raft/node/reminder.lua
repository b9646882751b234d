--- Reminds of the loop: who starts a node and does not run the loop has a
-- script that ends at once and says nothing.
--
-- It can be known only when the Lua state ends, so it hangs on a finalizer. A
-- simulated loop is none that a script could forget: it has no signals.
local M = {}

local Reminder = { __name = "raft.reminder" }

function Reminder:__gc()
  local driver = self.driver
  if driver.has_run or driver.is_closed then return end
  driver.logger:warn("the script ends, and the loop never ran: call "
    .. "raft.run(function() ... end), or run the loop yourself")
end

--- What the driver keeps, as long as it lives; or false.
-- @param driver gives node, logger, is_closed, has_run (did the loop call us?)
function M.new(driver)
  if not driver.node.scheduler:has_signals() then return false end
  return setmetatable({ driver = driver }, Reminder)
end

return M
