--- Whom a transport keeps a link with: one dialer for each.
local Dialer = require "raft.transport.dialer"

local Dialers = { __name = "raft.dialers" }
Dialers.__index = Dialers

local M = {}

--- @param owner of each dialer, see @{raft.transport.dialer}
function M.new(owner)
  return setmetatable({
    owner = owner,
    by_id = {},
    ids = {},  -- sorted: the order of all loops
  }, Dialers)
end

--- The dialer of a peer, or nil.
function Dialers:of(id)
  return self.by_id[id]
end

--- Keeps these peers, and gives up the others.
-- @param addresses id -> "host:port"; our own id does not count
function Dialers:keep(addresses)
  for _, id in ipairs(self.ids) do
    if not addresses[id] then
      self.by_id[id]:stop()
      self.by_id[id] = nil
    end
  end
  self.ids = {}
  for id in pairs(addresses) do
    if id ~= self.owner.id then self.ids[#self.ids + 1] = id end
  end
  table.sort(self.ids)
  for _, id in ipairs(self.ids) do self:want(id, addresses[id]) end
end

function Dialers:want(id, where)
  if self.by_id[id] then return self.by_id[id]:redirect(where) end
  self.by_id[id] = Dialer.new(self.owner, id, where)
  self.by_id[id]:start()
end

--- Gives all of them up.
function Dialers:stop()
  for _, id in ipairs(self.ids) do self.by_id[id]:stop() end
end

return M
