--- Connections beside the links: what is large has its own, so that nothing
-- small waits behind it. Three purposes: `snapshot`; `client`, which only comes
-- in; and `join`, on which a node that belongs nowhere asks one that it does
-- not know by name to be added, and which never opens: its answer is a refusal.
--
-- A channel is greeted and judged as a link is, watched as a link is, and is no
-- rival of one. It is dialed once: trying again is up to the owner. Of those
-- for snapshots that a peer has dialed to us the newest counts, as it knows
-- what it lost.
local Channel = require "raft.transport.channel"

local Channels = { __name = "raft.channels" }
Channels.__index = Channels

local M = {}

local SNAPSHOT <const> = "snapshot"
local KNOCK <const> = "join"

-- Purpose -> the handler that takes what comes in, the limit of their number,
-- and why there are no more.
local SERVED <const> = {
  [SNAPSHOT] = { handler = "channel", limit = "channels_max",
    full = "too many snapshots are coming in" },
  client = { handler = "client", limit = "clients_max",
    full = "too many clients" },
}

--- @param transport sockets, limits, handlers, report, is_closed, dialers,
--   connections,
--   dialed(dialer, stream, channel), dial_failed(dialer, reason),
--   hand_over(link)
function M.new(transport)
  return setmetatable({
    transport = transport,
    list = {},  -- those that have not ended, in order of birth
  }, Channels)
end

-- Have so many come in with this purpose that no more are taken?
local function is_full(self, purpose)
  local count = 0
  for _, channel in ipairs(self.list) do
    if not channel.is_dialed and channel.purpose == purpose then
      count = count + 1
    end
  end
  return count >= self.transport.limits[SERVED[purpose].limit]
end

-- Do we dial so many that no more are dialed?
local function is_busy(self)
  local count = 0
  for _, channel in ipairs(self.list) do
    if channel.is_dialed then count = count + 1 end
  end
  return count >= self.transport.limits.channels_max
end

function Channels:remove(channel)
  for i, other in ipairs(self.list) do
    if other == channel then return table.remove(self.list, i) end
  end
end

-- Where to dial. Who has left the cluster is kept no link with, but may need to
-- be told so by a snapshot: while its own link is up, it says where it listens.
local function where_is(transport, id)
  local dialer = transport.dialers:of(id)
  if dialer then return dialer.address end
  local living = transport.connections:living(id)
  local where = living and living.hello.address or ""
  return where ~= "" and where or nil
end

--- A new one, dialed: it, or nil and "unknown" or "busy".
function Channels:open(id, handlers)
  local where = where_is(self.transport, id)
  if not where then return nil, "unknown" end
  if is_busy(self) then return nil, "busy" end
  local channel = Channel.dial(self, SNAPSHOT, id, where, handlers)
  self.list[#self.list + 1] = channel
  return channel
end

--- Asks whoever is at this address to add us, once. What is said comes to the
-- owner's handler refused.
-- @return true, or nil and "busy"
function Channels:knock(where)
  if self.transport.is_closed or is_busy(self) then return nil, "busy" end
  self.list[#self.list + 1] = Channel.dial(self, KNOCK, "", where, {})
  return true
end

-- The one that is to give way to a new one of this peer, or nil.
local function rival_of(self, id, purpose)
  if purpose ~= SNAPSHOT then return nil end
  for _, channel in ipairs(self.list) do
    local is_same = channel.id == id and channel.purpose == purpose
    if is_same and not channel.is_dialed then return channel end
  end
end

--- Why a connection with this purpose may not come in: nil, or the refusal.
function Channels:refusal_of(hello)
  local served = SERVED[hello.purpose]
  if not served or not self.transport.handlers[served.handler] then
    return { code = "unsupported", text = ("connections of kind %s are not "
      .. "served"):format(hello.purpose) }
  elseif is_full(self, hello.purpose)
    and not rival_of(self, hello.id, hello.purpose) then
    return { code = "busy", text = served.full }
  end
end

-- Hands one that was accepted to the owner; false when it is not wanted.
function Channels:take(link)
  local old = rival_of(self, link.id, link.purpose)
  if old then old:close("replaced") end
  if is_full(self, link.purpose) then return false end
  local channel = Channel.accept(self, link)
  self.list[#self.list + 1] = channel
  local handler = SERVED[link.purpose].handler
  channel.handlers = self.transport.handlers[handler](channel)
  return channel.handlers
end

--- Both ends have admitted each other.
function Channels:opened(link)
  local channel = link.channel
  link.phase, link.rounds = "open", 0
  self.transport.report:note("channel up", link)
  if channel then
    link.dialer:greeted()
    channel:rest()
    channel.hello = link.hello
  elseif not self:take(link) then
    return link:close("not wanted")
  end
  self.transport:hand_over(link)
end

--- The connection of one has ended.
function Channels:ended(link, was_open, reason)
  if link.dialer then link.dialer:greeted() end
  if was_open then
    self.transport.report:note("channel down", link, reason)
  end
  if link.channel then link.channel:finish(reason) end
end

--- Ends what is still being dialed; the links are closed by the transport.
function Channels:close()
  for _, channel in ipairs(self.list) do channel:rest() end
end

return M
