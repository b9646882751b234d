--- The socket that other nodes connect to.
-- When the system cannot accept (no descriptors are left), the listening
-- socket is closed for a while: kept open it would stay readable, and the loop
-- would spin. Closing it gives a descriptor back, too.
local Backoff = require "raft.transport.backoff"
local address = require "raft.address"
local errors = require "raft.errors"

local Listener = { __name = "raft.listener" }
Listener.__index = Listener

local M = {}

local BACKLOG <const> = 128
local RETRY_MIN_MS <const> = 50
local RETRY_MAX_MS <const> = 1000

--- @param sockets @{raft.transport.sockets}
-- @param where "host:port" to listen on; port 0 lets the system choose
-- @param owner accepted(stream) is called for each connection,
--   accept_failed(error name) each time the system refuses one
function M.new(sockets, where, owner)
  return setmetatable({
    sockets = sockets,
    where = where,
    owner = owner,
    stream = false,  -- the listening handle, false while there is none
    timer = false,   -- fires when it is time to listen again
    ip = false,      -- where we listen in fact, once we do
    port = false,
    backoff = Backoff.new(RETRY_MIN_MS, RETRY_MAX_MS),
  }, Listener)
end

-- What to look at, by the name that a reason begins with.
local ADVICE <const> = {
  EADDRINUSE = ": does this node run already, or another program there?",
  EADDRNOTAVAIL = ": this machine has no such address; listen = names another",
}

local function failed(where, reason)
  local advice = ADVICE[reason:match("^%w+")] or ""
  return nil, errors.new("listen_failed",
    ("cannot listen on %s: %s%s"):format(where, reason, advice),
    { address = where, reason = reason })
end

--- Starts to listen: true, or nil and an error that names the address.
function Listener:open()
  local parts, why = address.parse(self.where)
  if not parts then return failed(self.where, why) end
  local ip = parts.host
  if not parts.family then
    ip, why = self.sockets:resolve_now(parts.host)
    if not ip then return failed(self.where, why) end
  end
  self.ip, self.port = ip, parts.port
  local ok
  ok, why = self:bind()
  if not ok then return failed(self.where, why) end
  return true
end

-- Listens on self.ip and self.port, and notes the port the system chose.
function Listener:bind()
  local sockets = self.sockets
  local stream, why = sockets:tcp()
  if not stream then return nil, why end
  local ok, ip, port
  ok, why = sockets:listen(stream, self.ip, self.port, BACKLOG,
    function(name) self:on_connection(stream, name) end)
  if ok then ip, port = sockets:own_name(stream) end
  if not ip then
    sockets:close(stream)
    return nil, why or port
  end
  self.stream, self.ip, self.port = stream, ip, port
  return true
end

--- Where we listen: "host:port", or false before open.
function Listener:address()
  return self.ip and address.format(self.ip, self.port // 1 | 0)
end

function Listener:on_connection(stream, name)
  if stream ~= self.stream then return end  -- one that we closed meanwhile
  if name then return self:pause(name) end
  local connection, _, why = self.sockets:accept(stream)
  if not connection then return self.owner:accept_failed(why) end
  self.backoff:reset()
  self.owner:accepted(connection)
end

function Listener:pause(name)
  self.sockets:close(self.stream)
  self.stream = false
  self.timer = self.timer or self.sockets:timer()
  local delay_ms = self.backoff:next(self.sockets:random())
  self.sockets:start(self.timer, delay_ms, 0, function() self:resume() end)
  self.owner:accept_failed(name)
end

-- The port is known by now, so that we come back where we were.
function Listener:resume()
  local ok, why = self:bind()
  if not ok then self:pause(why) end
end

function Listener:close()
  self.sockets:close(self.stream)
  self.sockets:close(self.timer)
  self.stream, self.timer = false, false
end

return M
