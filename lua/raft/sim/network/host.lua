--- A machine on the simulated network: one address, one process at a time, its
-- sockets and ports.
--
-- Limits. A port is listened at once per machine, whatever the address.
local Socket = require "raft.sim.network.socket"

local M = {}

local PORT_MIN <const> = 32768  -- of those that the system chooses
local PORT_MAX <const> = 60999

local Host = { __name = "raft.sim.host" }
Host.__index = Host

function M.new(network, ip)
  return setmetatable({
    network = network,
    ip = ip,
    loop = false,        -- of the process that lives here
    has_power = true,    -- does the machine answer?
    listeners = {},      -- port -> socket
    used = {},           -- port -> how many sockets hold it
    next_port = PORT_MIN,
    sockets = {},        -- number -> socket that is not closed
    births = 0,          -- sockets so far
  }, Host)
end

function Host:is_up()
  return self.has_power
end

--- A new socket of a process here. One that is dead gets one, too, but no
-- machine knows of it.
function Host:socket(loop)
  local socket = Socket.new(self, loop)
  if socket:is_living() then
    self.births = self.births + 1
    socket.number = self.births
    self.sockets[socket.number] = socket
  end
  return socket
end

--- It is over with this socket.
function Host:forget(socket)
  if self.sockets[socket.number] ~= socket then return end
  self.sockets[socket.number] = nil
  local port = socket.holds_port
  if port then
    local count = self.used[port] - 1
    self.used[port] = count > 0 and count or nil
    socket.holds_port = false
  end
  if self.listeners[socket.port] == socket then
    self.listeners[socket.port] = nil
  end
end

----------------------------------------------------------------------- names --

--- Is this address this very machine?
function Host:is_own(ip)
  return ip == self.ip or ip == "0.0.0.0" or ip == "::" or ip == "::1"
    or ip:find("^127%.") ~= nil
end

local function free_port(self)
  local port = self.next_port
  while self.used[port] do
    port = port < PORT_MAX and port + 1 or PORT_MIN
    assert(port ~= self.next_port, "no port is free")
  end
  self.next_port = port < PORT_MAX and port + 1 or PORT_MIN
  return port
end

--- Gives a socket its name; port 0: one that is free.
function Host:bind(socket, ip, port)
  if port == 0 then port = free_port(self) end
  socket.ip, socket.port = ip, port
  if socket.state == "fresh" then socket.state = "bound" end
  if not socket:is_living() then return end
  socket.holds_port = port
  self.used[port] = (self.used[port] or 0) + 1
end

--- Does anybody listen there?
function Host:is_taken(port)
  return self.listeners[port] ~= nil
end

--- Listens: nil, or the error.
function Host:listen(socket, backlog)
  if socket.state == "listening" then return end
  if not socket:is_living() then return end
  if self:is_taken(socket.port) then return "EADDRINUSE" end
  socket.state, socket.backlog, socket.backlog_max = "listening", {}, backlog
  self.listeners[socket.port] = socket
end

--- Who listens for what comes to this address and port.
function Host:listener(ip, port)
  local socket = self.listeners[port]
  if not socket then return nil end
  local own = socket.ip
  local is_any = own == "0.0.0.0" or own == "::"
  return (is_any or own == ip) and socket or nil
end

----------------------------------------------------------------- its process --

local function each_socket(self, fn)
  local numbers = {}
  for number in pairs(self.sockets) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  for _, number in ipairs(numbers) do
    local socket = self.sockets[number]
    if socket then fn(socket) end
  end
end

--- A process begins here.
function Host:enter(loop)
  assert(not self.loop, "somebody lives at " .. self.ip)
  self.loop, self.has_power = loop, true
end

--- It has died: the machine breaks its connections off, or is without power.
function Host:leave(has_power)
  self.loop, self.has_power = false, has_power
  each_socket(self, has_power and Socket.abort or Socket.vanish)
  self.listeners, self.used, self.sockets = {}, {}, {}
end

return M
