--- Links between nodes: listens, dials, greets, watches, carries strings.
--
-- Promises. Between two nodes one link survives, whoever dialed. A string is
-- sent whole or not at all. What a stranger sends costs its connection, never
-- the node. Handlers are called from the loop, not after close, and inside a
-- call of the owner only where that is link:close(reason). For one id,
-- closed(old) comes before open(new). A channel (channels.lua) is for what is
-- large, beside the link.
--
-- Limits. What is sent may be lost: the owner repeats what matters. Nothing is
-- encrypted here, and an id is believed once the judge admits it.
local Channels = require "raft.transport.channels"
local Condemned = require "raft.transport.condemned"
local Connections = require "raft.transport.connections"
local Dialers = require "raft.transport.dialers"
local Link = require "raft.transport.link"
local Listener = require "raft.transport.listener"
local Report = require "raft.transport.report"
local Sockets = require "raft.transport.sockets"
local Watch = require "raft.transport.watch"
local address = require "raft.address"
local core = require "raft.core"
local handshake = require "raft.transport.handshake"
local limits = require "raft.transport.limits"

local Transport = { __name = "raft.transport" }
Transport.__index = Transport

local M = {}

local ANEW <const> = "greeted anew"  -- why regreet closes a link

--- A transport; it does nothing before listen and peers.
-- @param options uv; id; listen = "host:port"; logger;
--   hello(to): a new table, the hello for this peer without `to`;
--   judge(hello, link): true, or false and { code=, text= };
--   handlers = { open(link), bytes(link, chunk), closed(link),
--   refused(peer, code, text) }; and, if wanted, among them channel(channel)
--   and client(channel): its handlers or false; limits; guard(fn): it, safe
function M.new(options)
  local guard = options.guard or Report.guard(options.logger)
  local bounds = limits.with(options.limits)
  local sockets = Sockets.new(options.uv, guard)
  local report = Report.new(options.logger, function() return sockets:now() end,
    bounds.complain_ms)
  local connections = Connections.new(options.id, bounds)
  local self = setmetatable({
    id = options.id,
    hello = options.hello,
    judge = options.judge,
    handlers = options.handlers,
    limits = bounds,
    guard = guard,
    sockets = sockets,
    report = report,
    connections = connections,
    condemned = Condemned.new(sockets, connections),
    watch = Watch.new(sockets, bounds, connections, report),
    listener = false,    -- set below: these three report to us
    dialers = false, channels = false,
    is_closed = false,
  }, Transport)
  self.listener = Listener.new(sockets, options.listen, self)
  self.dialers = Dialers.new(self)
  self.channels = Channels.new(self)
  return self
end

-------------------------------------------------------- the owner's calls --

--- Begins to accept: true, or nil and the error listen_failed.
function Transport:listen()
  assert(not self.is_closed, "the transport is closed")
  local ok, err = self.listener:open()
  if not ok then return nil, err end
  self.watch:start()
  return true
end

--- Where it listens: "host:port" with the port the system chose; false before.
function Transport:address()
  return self.listener:address()
end

--- Whom to keep a link with, from now on; listen first.
-- Peers that are gone are not dialed again; links that are open stay.
-- @param addresses id -> "host:port"; our own id does not count
function Transport:peers(addresses)
  if not self.is_closed then self.dialers:keep(addresses) end
end

--- Dials a connection of its own with one of the peers, once.
-- @param handlers open(channel), bytes(channel, chunk), closed(channel, reason)
-- @return a channel (@{raft.transport.channel}); or nil and "unknown", "busy"
function Transport:open_channel(id, handlers)
  if self.is_closed then return nil, "unknown" end
  return self.channels:open(id, handlers)
end

--- Sends bytes: true, or false when no link with this peer is up or too much
-- waits on it. An empty queue takes a string of any size.
function Transport:send(id, bytes)
  local link = self.connections.up[id]
  if link then
    local queued = link:queued()
    if queued == 0 or queued + #bytes <= self.limits.queue_bytes then
      return link:write(bytes)
    end
  end
  self.report:count("dropped")
  return false
end

--- A number of [0, 1).
function Transport:random() return self.sockets:random() end
--- Is a link with this peer up?
function Transport:has(id)
  return self.connections.up[id] ~= nil
end

--- The link that is up with this id, for the judge and for status: false, or
-- { id=, hello=, address=, is_dialed=, queued_bytes=, silent_ms=, alive_ms=,
-- age_ms= }.
function Transport:living(id)
  return self.connections:living(id)
end

--- All links that are up, as `living` tells of each, sorted by id.
function Transport:links()
  return self.connections:facts()
end

--- Closes the links on which we said a hello that no longer holds. It happens
-- soon, from the loop; has and send leave those links aside at once.
function Transport:regreet()
  for _, link in ipairs(self.connections:all()) do
    local is_old = link.sent and link.sent ~= self:hello_for(link)
    if is_old and link.purpose ~= "client" then
      self:condemn(link, ANEW)
    end
  end
end

--- Counters by name, `listen`, and how many links are up and pending.
function Transport:status()
  local status = {
    listen = self:address(),
    links = #self.connections:facts(),
    channels = #self.channels.list,
    pending = self.connections:pending(),
  }
  for name, value in pairs(self.report.counters) do status[name] = value end
  return status
end

--- Closes everything; cb is called, from the loop, once no handle is left.
function Transport:close(cb)
  self:close_now()
  if cb then self.sockets:when_empty(cb) end
end

--- Closes everything; the handles are gone after the next turn of the loop.
function Transport:close_now()
  if self.is_closed then return end
  self.is_closed = true
  self.listener:close()
  self.dialers:stop()
  self.channels:close()
  for _, link in ipairs(self.connections:all()) do link:close("closing") end
  self.watch:close()
  self.condemned:close()
end

Transport.__close = Transport.close_now

------------------------------------------------- what the parts report to --

--- The listener has a connection.
function Transport:accepted(stream)
  local ip, port = self.sockets:peer_name(stream)
  local where = ip and address.format(ip, port // 1 | 0) or "unknown"
  local link = Link.new(self, stream, false, where)
  self.connections:add(link)
  local count, oldest = self.connections:pending()
  if count > self.limits.pending_max then
    self.report:count("pending_dropped")
    self.report:complain(oldest.address, "too many that do not greet")
    oldest:close("too many that do not greet")
  end
  if not link:start() then link:close("gone") end
end

--- The system would not give us a connection.
function Transport:accept_failed(name)
  self.report:count("accept_failed")
  self.report:complain(self:address(), "accept failed", { reason = name })
end

--- A dialer has reached its peer, for a link or this channel.
function Transport:dialed(dialer, stream, channel)
  local link = Link.new(self, stream, dialer, dialer.address)
  if channel then
    link.purpose, link.channel, channel.link = channel.purpose, channel, link
  end
  self.connections:add(link)
  dialer.link = link
  if link:start() then handshake.begin(self, link) else link:close("gone") end
end

--- A dialer has not.
function Transport:dial_failed(dialer, reason)
  self.report:count("dial_failed")
  self.report.logger:debug("dial failed", { peer = dialer.id,
    address = dialer.address, reason = reason })
end

--- Bytes have come on a link.
function Transport:arrived(link, chunk)
  if link.phase == "open" then return self:tell_of(link, "bytes", chunk) end
  handshake.advance(self, link, chunk)
end

--- Both ends have admitted each other.
function Transport:opened(link)
  if link.purpose ~= "peer" then return self.channels:opened(link) end
  local connections = self.connections
  if connections:is_superfluous(link) then
    return self:close_superfluous(link)
  end
  link.phase, link.rounds = "open", 0
  connections:put_up(link)
  if link.dialer then link.dialer:greeted() end
  for _, rival in ipairs(connections:rivals(link)) do
    self.report:count("duplicates")
    rival:close("replaced")
  end
  local dialer = self.dialers:of(link.id)
  if dialer then dialer:rest() end
  self.report:note("link up", link)
  self:hand_over(link)
end

--- Tells whose it is; the owner may close the link in its handler.
function Transport:hand_over(link)
  local rest = link.buffer
  link.buffer = ""
  self:tell_of(link, "open")
  if rest == "" or link.phase ~= "open" then return end
  self:tell_of(link, "bytes", rest)
end

function Transport:close_superfluous(link)
  self.report:count("duplicates")  -- another one with this peer lives
  link:close("superfluous")
end

--- A link has been closed, by whomever.
function Transport:ended(link, was_open, reason)
  self.connections:remove(link)
  if link.purpose ~= "peer" then
    return self.channels:ended(link, was_open, reason)
  end
  if link.dialer then link.dialer:greeted() end
  local dialer = self.dialers:of(link.id)
  if dialer and was_open then
    local age_ms = link.rounds * self.limits.round_ms
    dialer:lost(reason == ANEW or age_ms >= self.limits.settle_ms)
  elseif link.dialer then
    link.dialer:again()
  end
  if not was_open then return end
  self.report:note("link down", link, reason)
  self:tell_of(link, "closed")
end

--- Closes a link soon; it counts as gone from now on.
function Transport:condemn(link, reason)
  if not self.is_closed then self.condemned:add(link, reason) end
end

--- Calls a handler of the owner; after close nothing is told.
function Transport:tell(what, ...)
  if not self.is_closed then self.handlers[what](...) end
end

--- Tells the owner of a link, or the channel it belongs to.
function Transport:tell_of(link, what, chunk)
  if link.channel then return link.channel:tell(what, chunk) end
  self:tell(what, link, chunk)
end

--- Our hello on this link, as bytes.
function Transport:hello_for(link)
  local hello = self.hello(link.id)
  hello.to, hello.purpose = link.id, link.purpose
  hello.address = hello.address or self:address()
  return core.hello_encode(hello)
end

return M
