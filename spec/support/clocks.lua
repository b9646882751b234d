--- The wall clocks of a simulation, set right: behind faults a leader's may be
-- an hour behind the time of the log, which then stands still for as long.
local M = {}

--- All that are up show this time, and go on from there.
-- @param log_ms the newest time of the log
function M.set(s, log_ms)
  for _, id in ipairs(s.ids) do
    local member = s.members[id]
    if member:is_up() then s:jump(id, log_ms - member.host.wall()) end
  end
end

return M
