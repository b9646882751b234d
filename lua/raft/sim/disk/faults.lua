--- What goes wrong with the calls of a simulated disk: by rate, or planned for
-- the n-th call. See raft.sim.disk for the options.

local M = {}

local Faults = { __name = "raft.sim.disk.faults" }
Faults.__index = Faults

function M.new(random, counts)
  return setmetatable({
    random = random,
    counts = counts,
    plan = false,     -- { at=, errno=, is_for_good=, is_short= }
  }, Faults)
end

--- Plans for one call to fail, by the number that counts.calls will have.
-- errno "ENOSPC" is for calls that take room, "short" for writes.
function Faults:fail(at, errno, is_for_good)
  self.plan = { at = at, errno = errno, is_for_good = is_for_good or false }
end

-- What is planned for this call, if anything.
local function planned(self, call, takes_room)
  local plan, number = self.plan, self.counts.calls
  if not plan or number < plan.at then return end
  if number > plan.at and (not plan.is_for_good or call.never_fails) then
    return
  end
  if plan.errno == "short" and call.kind ~= "write" then return end
  if plan.errno == "ENOSPC" and not takes_room then return end
  return plan.errno
end

--- What befalls this call: the name of an error, "short", or nil.
-- @param takes_room could it find the disk full?
function Faults:draw(call, takes_room, options)
  local fault = planned(self, call, takes_room)
  if fault then return fault end
  if self.random:chance(options[call.kind .. "_error"]) then return "EIO" end
  local short = options["short_" .. call.kind]
  if short and self.random:chance(short) then return "short" end
end

return M
