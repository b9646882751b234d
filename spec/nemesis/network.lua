--- The network between the nodes: a proxy for each pair and direction of
-- dialing, and faults in layers. What any layer cuts is cut; taking a layer
-- away gives back what no other one holds.
local Proxy = require "spec.support.proxy"
local uv = require "luv"

local M = {}

local Network = { __name = "nemesis.network" }
Network.__index = Network

local function port_of(address)
  return tonumber(address:match(":(%d+)$"))
end

--- @param members id -> address; ids in order
function M.new(ids, members)
  local self = setmetatable({
    links = {},   -- in order: { from=, to=, proxy=, state= }
    layers = {},  -- in order: { is_cut(from, to), delay_ms(from, to) }
    fault = false,  -- of a proxy that was closed; raised in close
  }, Network)
  for i, id in ipairs(ids) do
    self:join(id, { table.unpack(ids, 1, i - 1) }, members)
  end
  return self
end

--- One more node, with links from and to these.
function Network:join(id, others, members)
  local function link(from, to)
    self.links[#self.links + 1] = { from = from, to = to,
      proxy = Proxy.new(uv, members[to]), state = "" }
  end
  for _, other in ipairs(others) do
    link(id, other)
    link(other, id)
  end
  self:renew()
end

--- A node is gone for good.
function Network:leave(id)
  local kept = {}
  for _, link in ipairs(self.links) do
    if link.from == id or link.to == id then
      local ok, err = pcall(link.proxy.close, link.proxy)
      if not ok then self.fault = err end
    else
      kept[#kept + 1] = link
    end
  end
  self.links = kept
end

--- What a node is told to dial: "port>port"...
function Network:detours(id, members)
  local list = {}
  for _, link in ipairs(self.links) do
    if link.from == id then
      list[#list + 1] = ("%d>%d"):format(port_of(members[link.to]),
        port_of(link.proxy:address()))
    end
  end
  return list
end

-- What all layers together make of one link.
local function demand(layers, link)
  local up, down, delay_ms = false, false, 0
  for _, layer in ipairs(layers) do
    up = up or layer.is_cut(link.from, link.to)
    down = down or layer.is_cut(link.to, link.from)
    delay_ms = math.max(delay_ms, layer.delay_ms(link.from, link.to))
  end
  return up, down, delay_ms
end

local function set(link, up, down, delay_ms)
  local state = ("%s %s %d"):format(up, down, delay_ms)
  if state == link.state then return end
  link.state = state
  link.proxy:pass()  -- connections that have lost bytes are reset
  link.proxy:delay(delay_ms)
  if up then link.proxy:cut("up") end
  if down then link.proxy:cut("down") end
end

function Network:renew()
  for _, link in ipairs(self.links) do
    set(link, demand(self.layers, link))
  end
end

local function never() return false end
local function no_delay() return 0 end

--- Cuts from one node to another wherever is_cut(from, to).
-- @return a function that takes it back
function Network:cut(is_cut)
  return self:add { is_cut = is_cut, delay_ms = no_delay }
end

--- Delays what passes by delay_ms(from, to).
function Network:slow(delay_ms)
  return self:add { is_cut = never, delay_ms = delay_ms }
end

function Network:add(layer)
  self.layers[#self.layers + 1] = layer
  self:renew()
  return function()
    for i, other in ipairs(self.layers) do
      if other == layer then table.remove(self.layers, i) end
    end
    self:renew()
  end
end

--- Calls fn(proxy) for each link that a node has part in.
function Network:each(id, fn)
  for _, link in ipairs(self.links) do
    if link.from == id or link.to == id then fn(link.proxy) end
  end
end

--- No layers any more.
function Network:heal()
  self.layers = {}
  self:renew()
end

--- Raises what went wrong in a proxy.
function Network:close()
  for _, link in ipairs(self.links) do link.proxy:close() end
  if self.fault then error(self.fault, 0) end
end

return M
