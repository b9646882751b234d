--- One end of a connection, as the kernel of a simulated machine has it: what
-- was received, whether the end or a reset has come. A process may read, send,
-- shut down and close. Errors are names, "EAGAIN" among them.
--
-- A process that is dead may go on calling, until the end of the callback it
-- died in: all seems well to it, and nothing happens.
local Way = require "raft.sim.network.way"

local M = {}

local READ_BYTES_MAX <const> = 65536

local Socket = { __name = "raft.sim.socket" }
Socket.__index = Socket

--- @param host whose socket it is: see host.lua, which makes them
-- @param loop of the process that has it
function M.new(host, loop)
  return setmetatable({
    host = host,
    loop = loop,
    number = 0,           -- among those of the host; 0: it is not
    holds_port = false,   -- the port that nobody else may get
    ip = false,           -- this end
    port = 0,
    peer_ip = false,      -- the other one
    peer_port = 0,
    state = "fresh",  -- or bound listening connecting open dead closed gone
    handle = false,       -- whom to tell, with poke(handle)
    on_poke = false,
    out = false,          -- the way to the other end
    back = false,         -- the way from there
    unread = {},          -- array of strings, from `first` on
    first = 1,
    last = 0,
    unread_bytes = 0,
    has_end = false,      -- has the other end said its last?
    is_shut = false,      -- have we?
    error = false,        -- to be told once
    backlog = false,      -- of a listening one: those to be accepted
    backlog_max = 0,
    attempt = false,      -- of a connecting one
  }, Socket)
end

--- May what it sends leave its process?
function Socket:is_living()
  return self.host.loop == self.loop and not self.loop.is_dead
end

--- The process may find something new.
function Socket:poke()
  if self.handle then self.on_poke(self.handle) end
end

--- Two ends meet: both are open from now on.
-- @param pair_out, pair_back the wires; false within one machine
function M.join(near, far, pair_out, pair_back)
  local network = near.host.network
  near.out = Way.new(network, near, far, pair_out)
  far.out = Way.new(network, far, near, pair_back)
  near.back, far.back = far.out, near.out
  far.peer_ip, far.peer_port = near.ip, near.port
  near.peer_ip, near.peer_port = far.ip, far.port
  near.state, far.state = "open", "open"
end

---------------------------------------------------------------- what arrives --

function Socket:receive(bytes)
  self.last = self.last + 1
  self.unread[self.last] = bytes
  self.unread_bytes = self.unread_bytes + #bytes
  self:poke()
end

function Socket:receive_end()
  self.has_end = true
  self:poke()
end

-- It can neither send nor receive any more; what has come may be read.
local function die(self, err)
  if self.state ~= "open" and self.state ~= "connecting" then return end
  self.state, self.error = "dead", err
  if self.out then self.out:break_off() end
  self.host:forget(self)
  self:poke()
end

--- The other end broke it off, or does not know of it.
function Socket:reset()
  if self.state ~= "open" then return end
  local counts = self.host.network.counts
  counts.resets = counts.resets + 1
  self.host.network:tell("reset", self.back and self.back.from or self, self)
  die(self, self.has_end and "EPIPE" or "ECONNRESET")
end

--- Connecting failed, or nobody has answered for too long.
function Socket:fail(err)
  die(self, err)
end

---------------------------------------------------------- what poll looks at --

function Socket:is_readable()
  return self.unread_bytes > 0 or self.has_end or self.error ~= false
    or self.state == "dead" or self.backlog and #self.backlog > 0
end

function Socket:is_writable()
  if self.state == "open" then return self.is_shut or self.out:has_room() end
  return self.state == "dead"
end

--- Has it ended in both directions?
function Socket:is_hung_up()
  return self.state == "dead" or self.has_end and self.is_shut
end

--------------------------------------------------------- what a process does --

-- As many pieces as make up one read, the last one cut where it is too long.
local function join_pieces(self)
  local size, last = 0, self.first - 1
  while last < self.last and size < READ_BYTES_MAX do
    last = last + 1
    size = size + #self.unread[last]
  end
  local bytes = table.concat(self.unread, "", self.first, last)
  for i = self.first, last do self.unread[i] = nil end
  self.first = last + 1
  if size > READ_BYTES_MAX then
    self.first, self.unread[last] = last, bytes:sub(READ_BYTES_MAX + 1)
    bytes = bytes:sub(1, READ_BYTES_MAX)
  end
  return bytes
end

local function take(self)
  local bytes = self.unread[self.first]
  if self.first == self.last and #bytes <= READ_BYTES_MAX then
    self.unread[self.first] = nil
    self.first = self.first + 1
  else
    bytes = join_pieces(self)
  end
  if self.first > self.last then self.first, self.last = 1, 0 end
  self.unread_bytes = self.unread_bytes - #bytes
  self.back:is_read(#bytes)
  return bytes
end

-- An error is told once.
local function take_error(self)
  local err = self.error
  self.error = false
  return err
end

--- What was received, 64 KiB at most; "" at the end; or nil and the error.
function Socket:read()
  if self.unread_bytes > 0 then return take(self) end
  if self.has_end then return "" end
  if self.error then return nil, take_error(self) end
  if self.state == "open" then return nil, "EAGAIN" end
  return ""
end

--- Sends from this position on: how many bytes were taken; or nil, the error.
function Socket:send(bytes, at)
  if not self:is_living() then return #bytes - at + 1 end
  if self.error then return nil, take_error(self) end
  if self.state ~= "open" or self.is_shut then return nil, "EPIPE" end
  if at > #bytes then return 0 end
  local taken = self.out:send(bytes, at)
  if taken == 0 then return nil, "EAGAIN" end
  return taken
end

--- Nothing more will be sent: nil, or the error.
function Socket:shutdown()
  if self.state ~= "open" then return "ENOTCONN" end
  self.is_shut = true
  if self:is_living() then self.out:finish() end
end

-- Like a process that reads nothing more, and may have left some.
local function end_connection(self)
  if self.unread_bytes > 0 then return self.out:reset() end
  if not self.is_shut then self.out:finish() end
end

--- The process is done with it.
function Socket:close()
  if not self:is_living() then return end
  local state = self.state
  if state == "open" then end_connection(self) end
  self.host:forget(self)
  self.state, self.handle = "closed", false
  if state == "listening" then
    for _, socket in ipairs(self.backlog) do socket:abort() end
  end
end

--- Breaks the connection off.
function Socket:abort()
  if self.state == "open" then self.out:reset() end
  self.host:forget(self)
  self.state, self.handle = "closed", false
end

--- The machine has lost its power, and with it all it knew.
function Socket:vanish()
  if self.out then self.out:break_off() end
  self.host:forget(self)
  self.state, self.handle = "gone", false
end

M.abort, M.vanish = Socket.abort, Socket.vanish

return M
