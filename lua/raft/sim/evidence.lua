--- Who remembers that a directory was put back to an older copy.
--
-- The library finds that out wherever a peer that is reached has heard of a
-- later start of it, and promises no more than that. So a plan lets such a
-- directory run only while everybody does who could talk to it.
local M = {}

-- Has this process heard of a later start than the one that would come now?
local function remembers(other, member, starts)
  local driver = other.driver
  if not driver or driver.is_closed or not driver.has_turns then
    return false
  end
  if not driver.formed then return true end  -- it lets nobody in
  local last = driver.peers.greeting.memory[member.id]
  return last and last.incarnation == member.incarnation
    and (last.starts > starts or last.is_copied)
end

--- Does everybody who runs remember? A copy of the start that is still running,
-- or ran last, leaves nothing to remember.
-- @param starts how often the copy had been opened
function M.is_known(sim, member, starts)
  for _, id in ipairs(sim.ids) do
    local other = sim.members[id]
    if other ~= member and other:is_up()
      and not remembers(other, member, starts) then
      return false
    end
  end
  return true
end

--- May a plan start this process?
function M.may_start(sim, member)
  if not member:is_lost() then return true end
  local starts = member:starts()
  return starts and M.is_known(sim, member, starts) or false
end

--- A process starts, and remembers nothing: those that it could let in and
-- should not are taken away.
function M.starts(sim, member)
  for _, id in ipairs(sim.ids) do
    local other = sim.members[id]
    if other ~= member and other:is_up() and other:is_lost() then
      other:crash("process")
    end
  end
end

return M
