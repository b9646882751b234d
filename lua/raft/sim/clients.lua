--- The clients of a simulation as faults and coverage marks see them: who they
-- are, what cuts them off or stops them, and what their sessions and
-- connections come to at the nodes.
local Caller = require "raft.sim.caller"
local Client = require "raft.sim.client"
local session_entry = require "raft.session_entry"

local M = {}

local NS_PER_MS <const> = 1000000

local Clients = { __name = "raft.sim.clients" }
Clients.__index = Clients

function M.new(sim)
  return setmetatable({
    sim = sim,
    count = 0,      -- so far, with those who ask the nodes themselves
    list = {},      -- those that are open, in order of birth
    known = {},     -- what those call themselves who were seen at a node
    channels = setmetatable({}, { __mode = "k" }),  -- on which they were
  }, Clients)
end

--- A new one, on a machine of its own.
-- @param name of its operations in the history; a number by default
-- @param options of raft.client
function Clients:open(name, options)
  local number = self.count + 1
  self.count = number
  local client = Client.new(self.sim, name or "client " .. number, number,
    options)
  self.list[#self.list + 1] = client
  return client
end

--- Somebody who asks the nodes themselves: no fault of clients concerns it.
function Clients:caller(name)
  self.count = self.count + 1
  return Caller.new(self.sim, name or "caller " .. self.count)
end

--- One is closed.
function Clients:remove(client)
  for i, other in ipairs(self.list) do
    if other == client then return table.remove(self.list, i) end
  end
end

--- The newest of this name, or nil.
function Clients:named(name)
  for i = #self.list, 1, -1 do
    if self.list[i].name == name then return self.list[i] end
  end
end

--- One of those that are open: a plan knows no names. Nil: there is none.
function Clients:pick(number)
  local count = #self.list
  return count > 0 and self.list[(number - 1) % count + 1] or nil
end

--------------------------------------------------------------------- faults --

--- Stops its process, for so many ms if that is said.
function Clients:pause(client, ms)
  self.sim.marks:see("client_pause")
  self.sim.trace:note(client.name, "is paused", ms)
  client.loop:pause()
  if not ms then return end
  self.sim.world:at(self.sim.world.now + ms * NS_PER_MS, function()
    self:resume(client)
  end)
end

--- It goes on.
function Clients:resume(client)
  self.sim.trace:note(client.name, "goes on")
  client.loop:resume()
end

-- The wires between it and a node, by the directions that are meant.
local function each_wire(self, client, ids, way, fn)
  for _, id in ipairs(ids) do
    local ip = self.sim.members[id].ip
    if way ~= "from" then fn(client.ip, ip) end
    if way ~= "to" then fn(ip, client.ip) end
  end
end

--- Cuts it off from these nodes for so many ms.
-- @param way "to" them, "from" them, or "both"
function Clients:cut(client, ids, way, ms)
  local network = self.sim.network
  self.sim.marks:see("client_cut")
  each_wire(self, client, ids, way, function(a, b) network:cut(a, b) end)
  self.sim.world:at(self.sim.world.now + ms * NS_PER_MS, function()
    each_wire(self, client, ids, way, function(a, b) network:mend(a, b) end)
  end)
end

--- No fault any more.
function Clients:calm()
  for _, client in ipairs(self.list) do client.loop:resume() end
end

---------------------------------------------------------------------- marks --

local MARKED <const> = { expired = true, gap = true }

--- Sees what sessions come to at this node.
-- @param kept its raft.replica_state
function Clients:observe(kept)
  local marks, apply = self.sim.marks, kept.apply
  function kept.apply(state, index, time, bytes, run)
    local is_new = false
    local ok, value, why = apply(state, index, time, bytes, function(command)
      is_new = true
      return run(command)
    end)
    local refused = not ok and type(value) == "table" and value.reason
    local request = session_entry.decode(bytes)
    if MARKED[refused] then
      marks:see(refused)
    elseif request and request.op == "command" and not is_new and not refused
    then
      marks:see("retried")
    end
    return ok, value, why
  end
end

--- After a turn of a member's process: who is connected there?
function Clients:look(member)
  local gateway = member.driver and member.driver.gateway
  for _, visitor in ipairs(gateway and gateway.visitors or {}) do
    local channel = visitor.channel
    if not self.channels[channel] then
      self.channels[channel] = true
      if self.known[channel.id] then self.sim.marks:see("reconnected") end
      self.known[channel.id] = true
    end
  end
end

return M
