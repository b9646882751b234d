--- How a driver tells its user something: events, warnings, errors that nobody
-- waits for. Events are delivered from the loop.
local errors = require "raft.errors"

local M = {}

--- Delivers events where no turn of ours does: before start, after the end.
function M.drain_soon(driver)
  if not driver.emitter:is_pending() then return end
  if driver.has_turns or driver.is_drain_due then return end
  driver.is_drain_due = true
  driver.node.scheduler:defer(function()
    driver.is_drain_due = false
    if driver.emitter:drain() then M.drain_soon(driver) end
  end)
end

--- Queues an event; it is delivered from the loop.
function M.emit(driver, name, ...)
  driver.emitter:queue(name, ...)
  M.drain_soon(driver)
end

--- An error of the user's code, or one that nobody waits for.
function M.report(driver, err)
  if driver.emitter:has("error") then
    driver:emit("error", err)
  else
    driver.node.scheduler:report(err)
  end
end

--- Something the user should know of.
function M.warn(driver, err)
  driver.logger:warn(errors.text(err))
  driver:emit("warning", err)
end

return M
