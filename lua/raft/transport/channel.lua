--- One end of a connection beside the link: see channels.lua.
-- Dialed once; what becomes of it is told to its handlers.
local Dialer = require "raft.transport.dialer"

local Channel = { __name = "raft.channel" }
Channel.__index = Channel

local M = {}

-- What stands between us and the dialer: it may try once.
local function owner_of_dialer(channel)
  local transport, was_tried = channel.transport, false
  return {
    sockets = transport.sockets,
    limits = transport.limits,
    id = "",  -- nobody is to be first
    has = function() return was_tried end,
    dialed = function(_, dialer, stream)
      was_tried = true
      return transport:dialed(dialer, stream, channel)
    end,
    dial_failed = function(_, dialer, reason)
      was_tried = true
      transport:dial_failed(dialer, reason)
      channel:finish(reason)
    end,
  }
end

local function new(channels, id, purpose)
  return setmetatable({
    channels = channels,
    transport = channels.transport,
    id = id,           -- the peer; "" where it is not known
    purpose = purpose,
    hello = false,     -- what it said, once open
    is_dialed = false,
    handlers = false,  -- open(channel), bytes(channel, chunk),
                       -- closed(channel, reason): those that are wanted
    link = false,      -- the connection, once there is one
    dialer = false,    -- of a dialed one, until it is open
    is_ended = false,
  }, Channel)
end

--- Dials a peer. Whatever happens is told from the loop.
function M.dial(channels, purpose, id, where, handlers)
  local channel = new(channels, id, purpose)
  channel.is_dialed, channel.handlers = true, handlers
  channel.dialer = Dialer.new(owner_of_dialer(channel), id, where)
  channel.dialer:start()
  return channel
end

--- The channel of a link that was accepted and is open.
function M.accept(channels, link)
  local channel = new(channels, link.id, link.purpose)
  channel.link, channel.hello, link.channel = link, link.hello, channel
  return channel
end

--- Hands bytes to the system; false when that is not possible any more.
function Channel:write(bytes)
  local link = self.link
  if not link or link.phase ~= "open" or link.fate then return false end
  return link:write(bytes)
end

--- Bytes that wait for the system to take them.
function Channel:queued()
  return self.link and self.link:queued() or 0
end

--- Ends it; handlers.closed is called before this returns. Again: nothing.
function Channel:close(reason)
  if self.is_ended then return end
  if self.link then return self.link:close(reason) end
  self:finish(reason)
end

--- The dialer is of no more use.
function Channel:rest()
  if self.dialer then self.dialer:stop() end
  self.dialer = false
end

--- It is over, whatever it was.
function Channel:finish(reason)
  if self.is_ended then return end
  self.is_ended = true
  self.channels:remove(self)
  self:rest()
  self:tell("closed", reason)
end

function Channel:tell(what, detail)
  local handler = self.handlers and self.handlers[what]
  if handler and not self.transport.is_closed then handler(self, detail) end
end

function Channel:__tostring()
  return ("channel with %s"):format(self.id)
end

return M
