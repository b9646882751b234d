--- What goes wrong with the calls of a simulated disk: by rate, or planned for
-- the n-th call. See raft.sim.disk for the options.

local M = {}

local Faults = { __name = "raft.sim.disk.faults" }
Faults.__index = Faults

function M.new(random, counts)
  return setmetatable({
    random = random,
    counts = counts,
    plan = false,     -- { at=, errno=, is_for_good= }
    named = {},       -- name of a call -> how many of the next ones fail
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

-- Does it fail by its name?
local function is_named(self, name)
  local left = self.named[name] or 0
  if left == 0 then return false end
  self.named[name] = left - 1
  return true
end

--- The next call of this name fails.
function Faults:fail_next(name)
  self.named[name] = (self.named[name] or 0) + 1
end

--- Nothing is planned any more.
function Faults:mend()
  self.plan, self.named = false, {}
end

--- What befalls this call: the name of an error, "short", or nil.
-- @param takes_room could it find the disk full?
function Faults:draw(name, call, takes_room, options)
  local fault = planned(self, call, takes_room)
  if fault then return fault end
  if is_named(self, name) then return "EIO" end
  if self.random:chance(options[call.kind .. "_error"]) then return "EIO" end
  local short = options["short_" .. call.kind]
  if short and self.random:chance(short) then return "short" end
end

return M
