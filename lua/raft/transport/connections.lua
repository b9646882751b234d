--- The links of one transport: those that greet, and which one is up per peer.
-- Of two links with one peer, both ends keep the same one.

local Connections = { __name = "raft.connections" }
Connections.__index = Connections

local M = {}

--- @param id our own; @param limits @{raft.transport.limits}
function M.new(id, limits)
  return setmetatable({
    id = id,
    limits = limits,
    list = {},  -- links that are not closed, in order of birth
    up = {},    -- id -> the link that is up with this peer
  }, Connections)
end

function Connections:add(link)
  self.list[#self.list + 1] = link
end

function Connections:remove(link)
  self:put_aside(link)
  for i, other in ipairs(self.list) do
    if other == link then return table.remove(self.list, i) end
  end
end

--- The links now, in order of birth: a copy, as closing one changes the list.
function Connections:all()
  return table.move(self.list, 1, #self.list, 1, {})
end

--- This link is the one with its peer from now on.
function Connections:put_up(link)
  self.up[link.id] = link
end

--- Nothing is sent on this link any more.
function Connections:put_aside(link)
  if self.up[link.id] == link then self.up[link.id] = nil end
end

function Connections:is_up(link)
  return self.up[link.id] == link
end

--- Other open links with the peer of this one; channels are none.
function Connections:rivals(link)
  local rivals = {}
  for _, other in ipairs(self.list) do
    local is_same = other.id == link.id and other.purpose == link.purpose
    if other ~= link and is_same and other.phase == "open" then
      rivals[#rivals + 1] = other
    end
  end
  return rivals
end

local function is_pending(link)
  return not link.is_dialed and link.phase ~= "open"
end

--- How many accepted connections have not greeted, and the oldest of them.
function Connections:pending()
  local count, oldest = 0, false
  for _, link in ipairs(self.list) do
    if is_pending(link) then
      count, oldest = count + 1, oldest or link
    end
  end
  return count, oldest
end

--- Is a link with the same peer up that should live, and not this one?
-- Both ends answer alike: what the lower id has dialed lives. But a link that
-- is silent, or of another process than this one, is a dead one's; and who
-- dials a second time has lost the first.
function Connections:is_superfluous(link)
  local old = link.purpose == "peer" and self.up[link.id]
  if not old or old.hello.nonce ~= link.hello.nonce then return false end
  local silent_ms = old.rounds_heard * self.limits.round_ms
  if silent_ms > self.limits.alive_ms then return false end
  if old.is_dialed == link.is_dialed then return false end
  return old.is_dialed == (self.id < old.id)
end

-- What may be known of a link from outside.
local function facts(link, limits)
  local round_ms = limits.round_ms
  return {
    id = link.id,
    hello = link.hello,
    address = link.address,
    is_dialed = link.is_dialed,
    queued_bytes = link:queued(),
    silent_ms = link.rounds_heard * round_ms,
    alive_ms = limits.alive_ms,  -- silent for longer: perhaps nobody is there
    age_ms = link.rounds * round_ms,
  }
end

--- The facts of the link that is up with this id, or false.
function Connections:living(id)
  local link = self.up[id]
  return link and facts(link, self.limits) or false
end

--- The facts of all links that are up, sorted by id.
function Connections:facts()
  local list = {}
  for id in pairs(self.up) do list[#list + 1] = self:living(id) end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

return M
