--- Keeps trying to reach one peer for as long as there is no link with it.
-- One try at a time: wait, resolve the name, connect; then the transport
-- greets, and tells how that ended. A try that takes too long is given up by
-- closing its handle. Of a pair the higher id waits a little before each try,
-- so that the lower one is first and two links are rare.
local Backoff = require "raft.transport.backoff"
local address = require "raft.address"

local Dialer = { __name = "raft.dialer" }
Dialer.__index = Dialer

local M = {}

--- @param owner the transport: sockets, limits, id, has(id),
--   dialed(dialer, stream), dial_failed(dialer, reason)
-- @param id whom to reach; @param where "host:port"
function M.new(owner, id, where)
  local limits = owner.limits
  return setmetatable({
    owner = owner,
    sockets = owner.sockets,
    id = id,
    address = where,
    backoff = Backoff.new(limits.dial_min_ms, limits.dial_max_ms),
    timer = owner.sockets:timer(),  -- the wait, then the try's deadline
    state = "idle",   -- "idle" "waiting" "trying" "greeting" "stopped"
    stream = false,   -- the handle of the try under way
    link = false,     -- the link being greeted; the owner sets it
    try_count = 0,    -- tries so far; an answer for an older one is dropped
  }, Dialer)
end

--- Tries at once, or soon when the other end should be first.
function Dialer:start()
  self:wait(0)
end

--- Tries again after a while.
function Dialer:again()
  self:wait(self.backoff:next(self.sockets:random()))
end

function Dialer:wait(delay_ms)
  if self.state == "stopped" or self.owner:has(self.id) then return end
  if self.owner.id > self.id then
    local patience_ms = self.owner.limits.patience_ms
    delay_ms = delay_ms + patience_ms + patience_ms * self.sockets:random()
  end
  self.state = "waiting"
  self.sockets:start(self.timer, delay_ms, 0, function() self:try() end)
end

function Dialer:try()
  if self.state ~= "waiting" then return end
  self.state, self.try_count = "trying", self.try_count + 1
  self.sockets:start(self.timer, self.owner.limits.connect_ms, 0,
    function() self:fail("ETIMEDOUT") end)
  local parts, why = address.parse(self.address)
  if not parts then return self:fail(why) end
  if parts.family then return self:connect(parts.host, parts.port) end
  self:resolve(parts)
end

-- Names are looked up for each try: addresses change. Of several the next one
-- is taken each time.
function Dialer:resolve(parts)
  local count = self.try_count
  local ok, _, why = self.sockets:resolve(parts.host, function(list, name)
    if self.state ~= "trying" or self.try_count ~= count then return end
    if not list then return self:fail(name) end
    self:connect(list[count % #list + 1].addr, parts.port)
  end)
  if not ok then self:fail(why) end
end

function Dialer:connect(ip, port)
  local sockets = self.sockets
  local stream, _, why = sockets:tcp()
  if not stream then return self:fail(why) end
  self.stream = stream
  local ok
  ok, _, why = sockets:connect(stream, ip, port, function(name)
    if self.stream ~= stream then return end  -- given up meanwhile
    if name then return self:fail(name) end
    self:connected()
  end)
  if not ok then self:fail(why) end
end

function Dialer:connected()
  local stream = self.stream
  self.stream, self.state = false, "greeting"
  self.sockets:stop(self.timer)
  self.owner:dialed(self, stream)  -- and we get to know the link
end

function Dialer:fail(reason)
  self:drop()
  self.owner:dial_failed(self, reason)
  self:again()
end

-- Gives up what is under way, but not a link that is being greeted.
function Dialer:drop()
  self.sockets:close(self.stream)
  self.stream = false
  if self.state ~= "stopped" then
    self.sockets:stop(self.timer)
    if self.state ~= "greeting" then self.state = "idle" end
  end
end

--- A link with the peer is up, so no try is needed. One that has come as far
-- as greeting goes on: both ends will choose between the two.
function Dialer:rest()
  self:drop()
end

--- A link with the peer has ended.
-- @param has_settled did it live for a while?
function Dialer:lost(has_settled)
  if has_settled then self.backoff:reset() end
  if self.state == "idle" then self:again() end
end

--- The link that we dialed has ended, or is open by now.
function Dialer:greeted()
  self.link = false
  if self.state == "greeting" then self.state = "idle" end
end

--- Another address from now on; a try at the old one is given up.
function Dialer:redirect(where)
  if where == self.address then return end
  self.address = where
  if self.link then self.link:close("address changed") end
  self:drop()
  self.backoff:reset()
  self:start()
end

--- Never tries again. A link that is open stays.
function Dialer:stop()
  local link = self.link
  self:drop()
  self.state, self.link = "stopped", false
  if link then link:close("no longer a peer") end
  self.sockets:close(self.timer)
end

return M
