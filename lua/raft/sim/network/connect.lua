--- How a connection comes to be: three segments, each of which may be lost.
--
--     near                     far
--     connecting  -- syn -->   listens?
--                 <-- yes --   (or no: ECONNREFUSED)
--     open        -- ack -->   into the backlog, to be accepted
--
-- Who gets no answer asks again, after 1, 2, 4 seconds and so on. Within one
-- machine all of it happens at once.
local Socket = require "raft.sim.network.socket"

local M = {}

local RETRY_NS <const> = 1000000000  -- before the second try; doubles

local function far_end(host, listener, near)
  local far = host:socket(listener.loop)
  far.ip, far.port = near.peer_ip, near.peer_port
  return far
end

local function put_into_backlog(listener, far)
  listener.backlog[#listener.backlog + 1] = far
  listener:poke()
end

local function is_full(listener)
  return #listener.backlog > listener.backlog_max
end

---------------------------------------------------------- the three segments --

local function ack_arrives(way, listener)
  local far = way.to
  if listener.state ~= "listening" then return far:abort() end
  put_into_backlog(listener, far)
end

-- Has nothing happened to it since?
local function is_pending(attempt)
  return attempt.near.state == "connecting"
    and attempt.near.attempt == attempt
end

local function yes_arrives(attempt, listener)
  if not is_pending(attempt) then return end
  local near, network = attempt.near, attempt.network
  local far = far_end(listener.host, listener, near)
  Socket.join(near, far, attempt.pair, attempt.back)
  near.attempt = false
  network.world:cancel(attempt.retry)
  near.out:transmit(ack_arrives, listener, 0)
  near:poke()
end

local function no_arrives(attempt)
  if is_pending(attempt) then attempt.near:fail("ECONNREFUSED") end
end

local function syn_arrives(attempt)
  local pair, back = attempt.pair, attempt.back
  local host = attempt.network.hosts[pair.to]
  if not host or not host:is_up() or back.is_cut then return end
  local time = attempt.network.world.now + back:delay()
  local listener = host:listener(pair.to, attempt.near.peer_port)
  if not listener or pair.random:chance(pair.refuse) then
    attempt.network:tell("refused", host, attempt.near)
    attempt.network.world:at(time, no_arrives, attempt)
  elseif not is_full(listener) then
    attempt.network.world:at(time, yes_arrives, attempt, listener)
  end
end

local function try(attempt)
  if not is_pending(attempt) then return end
  local world, pair = attempt.network.world, attempt.pair
  local rest = attempt.until_time - world.now
  if rest <= 0 then return attempt.near:fail("ETIMEDOUT") end
  local from = attempt.near.loop:time()
  if not pair.is_cut then
    world:at(from + pair:delay(), syn_arrives, attempt)
  end
  attempt.retry = world:at(from + math.min(attempt.wait_ns, rest), try,
    attempt)
  attempt.wait_ns = attempt.wait_ns * 2
end

----------------------------------------------------------------------- begin --

-- Both ends are in one machine.
local function connect_here(host, near)
  local listener = host:listener(near.peer_ip, near.peer_port)
  if not listener or is_full(listener) then return near:fail("ECONNREFUSED") end
  local far = far_end(host, listener, near)
  Socket.join(near, far, false, false)
  put_into_backlog(listener, far)
  near:poke()
end

-- Where the connection seems to come from.
local function own_ip(host, ip)
  return host:is_own(ip) and ip or host.ip
end

local function real_ip(ip)
  if ip == "0.0.0.0" then return "127.0.0.1" end
  return ip == "::" and "::1" or ip
end

--- Connects a socket; it becomes open or dead, and is poked then.
function M.begin(host, near, ip, port)
  ip = real_ip(ip)
  local network = host.network
  local is_any = near.ip == "0.0.0.0" or near.ip == "::"
  if near.state == "fresh" then host:bind(near, own_ip(host, ip), 0) end
  if is_any then near.ip = own_ip(host, ip) end
  near.state, near.peer_ip, near.peer_port = "connecting", ip, port
  if not near:is_living() then return end
  network.counts.connects = network.counts.connects + 1
  network:tell("connect", near, near.peer_ip)
  if host:is_own(ip) then return connect_here(host, near) end
  local pair = network:pair(host.ip, ip)
  near.attempt = { network = network, near = near, pair = pair,
    back = network:pair(ip, host.ip), wait_ns = RETRY_NS, retry = false,
    until_time = near.loop:time() + pair.timeout_ns }
  try(near.attempt)
end

return M
