--- A log that was found damaged: what the user is told, and until when.
--
-- What is missing comes from the leader, as for any follower that lacks
-- entries; until then this node votes by what it had and does not campaign.
local errors = require "raft.errors"

local M = {}

local function place_of(damage)
  if not damage.file then return "the log was damaged" end
  return ("%s is damaged at byte %d"):format(damage.file, damage.offset)
end

local function range_of(damage)
  if damage.first == damage.last then
    return ("entry %d is missing"):format(damage.first)
  end
  return ("entries %d to %d are missing"):format(damage.first, damage.last)
end

local function fault(damage, words)
  return errors.new("corrupt", ("%s: %s"):format(place_of(damage), words),
    { file = damage.file or nil, offset = damage.offset, first = damage.first,
      last = damage.last })
end

--- The error of a core that does not start from what the log holds.
function M.refusal(driver, code)
  local lost = driver.storage.report.repairing
  if code == "corrupt" and lost then
    return fault(lost, range_of(lost) .. ", and no other member can have "
      .. "what this node needs to go on")
  end
  return errors.new("corrupt", "the log does not fit together: " .. code,
    { path = driver.options.dir })
end

--- After a start: warns of what was found.
function M.begin(driver)
  local report = driver.storage.report
  local lost, damaged = report.repairing, report.damaged
  driver.repairing = lost
  if lost then
    driver:warn(fault(lost, range_of(lost) .. " and will be fetched from the "
      .. "leader"))
  elseif damaged then
    driver:warn(fault(damaged, "all that counts is there, from elsewhere in "
      .. "the log"))
  end
end

--- Something has become durable: is the log whole again?
function M.look(driver)
  local lost = driver.repairing
  if not lost or driver.core:status().repairing then return end
  driver.repairing = false
  driver.logger:info("the log is whole again", { first = lost.first,
    last = lost.last })
  driver:emit("repaired", lost.first, lost.last)
end

return M
