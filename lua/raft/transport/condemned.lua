--- Links that shall be closed soon, from the loop: whoever condemns one may
-- stand in the middle of a call of the owner.
local Condemned = { __name = "raft.condemned" }
Condemned.__index = Condemned

local M = {}

--- @param sockets @{raft.transport.sockets}
-- @param connections @{raft.transport.connections}
function M.new(sockets, connections)
  return setmetatable({
    sockets = sockets,
    connections = connections,
    timer = false,  -- made when it is needed first
  }, Condemned)
end

--- Closes this link soon; it counts as gone from now on.
function Condemned:add(link, reason)
  if link.fate then return end
  link.fate = reason
  self.connections:put_aside(link)
  self.timer = self.timer or self.sockets:timer()
  self.sockets:start(self.timer, 0, 0, function() self:execute() end)
end

function Condemned:execute()
  for _, link in ipairs(self.connections:all()) do
    if link.fate then link:close(link.fate) end
  end
end

function Condemned:close()
  self.sockets:close(self.timer)
end

return M
