--- The network of a simulation: machines by address, and what the wires
-- between them do.
--
--   local network = Network.new(world, { delay = { 1, 10 }, loss = 0.05 })
--   network:join(loop, "10.0.0.1")       gives loop.uv its TCP
--   network:cut("10.0.0.1", "10.0.0.2")  one way
--   network:heal()
--
-- Options are those of raft.sim.network.pair. Within one machine there are no
-- faults and no delays. Everything random is drawn from streams of the world,
-- one per direction, so that one wire does not change another.
local Host = require "raft.sim.network.host"
local Pair = require "raft.sim.network.pair"
local frames = require "raft.sim.network.frames"
local tcp = require "raft.sim.tcp"

local M = {}

local Network = { __name = "raft.sim.network" }
Network.__index = Network

function M.new(world, options)
  return setmetatable({
    world = world,
    options = Pair.with(nil, options),
    hosts = {},      -- ip -> machine
    names = {},      -- host name -> array of ips
    wires = {},      -- from -> to -> pair
    pair_list = {},  -- in order of birth
    watchers = {},   -- functions called for each frame
    fate = false,    -- what judge was given
    note = false,    -- function(kind, from, to, detail): tells a trace
    -- frames are counted while something looks at them
    counts = { segments = 0, bytes = 0, frames = {}, lost = 0, doubled = 0,
      reordered = 0, resets = 0, connects = 0 },
  }, Network)
end

------------------------------------------------------------------- the wires --

local function looks_at_frames(self)
  return #self.watchers > 0 or self.fate ~= false
end

--- The wire from one address to another.
function Network:pair(from, to)
  local row = self.wires[from]
  if not row then
    row = {}
    self.wires[from] = row
  end
  local pair = row[to]
  if not pair then
    pair = Pair.new(self.world, from, to)
    row[to] = pair
    self.pair_list[#self.pair_list + 1] = pair
    pair:apply(self.options, looks_at_frames(self))
  end
  return pair
end

local function apply(self)
  for _, pair in ipairs(self.pair_list) do
    pair:apply(self.options, looks_at_frames(self))
  end
end

--- Changes options: everywhere, or from one address to another. What is set
-- for a pair counts there, whatever is set everywhere.
function Network:set(options, from, to)
  Pair.with(nil, options)  -- raises before anything has changed
  if from then
    local own = self:pair(from, to).own
    for name, value in pairs(options) do own[name] = value end
  else
    self.options = Pair.with(self.options, options)
  end
  apply(self)
end

--- Nothing that is sent gets from one address to the other.
function Network:cut(from, to)
  self:pair(from, to).is_cut = true
  if self.note then self.note("cut", from, to) end
end

--- It does again.
function Network:mend(from, to)
  self:pair(from, to).is_cut = false
  if self.note then self.note("mend", from, to) end
end

--- Mends all that was cut; the options stay.
function Network:heal()
  for _, pair in ipairs(self.pair_list) do
    if pair.is_cut then self:mend(pair.from, pair.to) end
  end
end

--- Calls fn(from_ip, to_ip, kind, size) for each frame that is sent.
function Network:watch(fn)
  self.watchers[#self.watchers + 1] = fn
  apply(self)
end

--- From now on fn(from_ip, to_ip, kind, size) decides on each frame that
-- loss, duplicate and reorder could act on: "lose", ms by which it comes late,
-- or nil: the options decide. With false they decide alone again.
function Network:judge(fn)
  self.fate = fn
  apply(self)
end

---------------------------------------------------------------- the machines --

--- The machine with this address.
function Network:host(ip)
  local host = self.hosts[ip]
  if not host then
    host = Host.new(self, ip)
    self.hosts[ip] = host
  end
  return host
end

--- A process begins at this address: its uv gets the calls of TCP.
function Network:join(loop, ip)
  local host = self:host(ip)
  host:enter(loop)
  tcp.install(loop, host)
  if self.note then self.note("join", ip, ip) end
end

--- A process has died. Its peers see ECONNRESET after a while; or nothing
-- ("silent": the machine has lost its power), and what they send is not
-- answered until a process begins at that address again.
function Network:leave(loop, how)
  assert(how == "reset" or how == "silent", "leave: expected reset or silent")
  for _, host in pairs(self.hosts) do  -- one at most: the order is no matter
    if host.loop == loop then
      if self.note then self.note("leave", host.ip, host.ip, how) end
      return host:leave(how == "reset")
    end
  end
end

--- This host name means these addresses; none: it is not known.
function Network:name(name, ...)
  self.names[name] = select("#", ...) > 0 and { ... } or nil
end

------------------------------------------------------ what the parts ask for --

--- Tells the trace of something between two sockets.
function Network:tell(kind, from, to)
  if not self.note then return end
  local from_ip = from.ip or from.host.ip
  self.note(kind, from_ip, type(to) == "table" and to.ip or to)
end

--- What of these bytes goes out now, put(frame) being for later.
function Network:filter(pair, bytes, put)
  return frames.filter(self, pair, bytes, put)
end

return M
