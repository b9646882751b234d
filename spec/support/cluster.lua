--- Clusters in one process for specs: real sockets, temporary directories,
-- ports that the kernel chose.
--
--   local cluster <close> = Cluster.new { nodes = 3 }
--   cluster:start()              all of them; then cluster:leader()
--   cluster:node("n1")  cluster:followers()  cluster:restart("n1")
--
-- With `proxied = true` a proxy stands between any two:
--
--   cluster:cut("n1", "n2")        nothing passes from n1 to n2
--   cluster:isolate("n1")  cluster:heal()  cluster:each_proxy(fn)
--
-- Each node applies commands to a list of its own (cluster.applied.n1) unless
-- `node(id)` gives options; its error events go to cluster.errors.n1. In close
-- every node is closed, and the handles are gone before the directories.
local Proxy = require "spec.support.proxy"
local helper = require "spec.support.helper"
local ports = require "spec.support.ports"
local raft = require "raft"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local M = {}

local Cluster = { __name = "spec.cluster" }
Cluster.__index = Cluster

-- Quick elections: the specs wait for many. One alone needs no patience.
local ELECTION <const> = { 60, 120 }
local ELECTION_ALONE <const> = { 10, 20 }
-- Where a spec says who leads, and that it stays so, however busy the machine.
local ELECTION_CALM <const> = { 2000, 4000 }

M.free_address = ports.free_address

--- What an apply of the specs does: keeps the commands, returns how many.
function M.list_machine(list)
  return function(command)
    list[#list + 1] = command
    return #list
  end
end

--- @param options nodes = how many (3), or ids = { ... }; proxied;
--   node = function(id) -> options that differ; election; is_calm = true when
--   no other leader is to come by chance; cluster
function M.new(options)
  options = options or {}
  local self = setmetatable({
    options = options,
    ids = options.ids or {},
    members = {},      -- id -> address
    applied = {},      -- id -> commands, in order; emptied at a restart
    errors = {},       -- id -> values of its error events
    nodes = {},        -- id -> the newest node object
    dir = tmpdir.new(),
    objects = {},      -- all node objects, which close() ends
    proxies = {},      -- "n1>n2" -> what n1 dials in place of n2
    proxy_names = {},  -- of these, in order
    loops = {},        -- id -> a luv that dials proxies
  }, Cluster)
  if not options.ids then
    for i = 1, options.nodes or 3 do self.ids[i] = "n" .. i end
  end
  for _, id in ipairs(self.ids) do self.members[id] = M.free_address() end
  if options.proxied then self:stand_between() end
  return self
end

------------------------------------------------------------------- proxies --

-- A luv that dials other ports: port -> proxy.
local function dialing(proxies)
  return setmetatable({
    tcp_connect = function(stream, ip, port, done)
      local proxy = proxies[port]
      local other = proxy and tonumber(proxy:address():match(":(%d+)$"))
      return uv.tcp_connect(stream, ip, other or port, done)
    end,
  }, { __index = uv })
end

function Cluster:stand_between()
  for _, from in ipairs(self.ids) do
    local by_port = {}
    for _, to in ipairs(self.ids) do
      if from ~= to then
        local address, name = self.members[to], from .. ">" .. to
        local proxy = Proxy.new(uv, address)
        by_port[tonumber(address:match(":(%d+)$"))] = proxy
        self.proxies[name] = proxy
        self.proxy_names[#self.proxy_names + 1] = name
      end
    end
    self.loops[from] = dialing(by_port)
  end
end

--- Swallows what goes from one node to another.
function Cluster:cut(from, to)
  self.proxies[from .. ">" .. to]:cut("up")
  self.proxies[to .. ">" .. from]:cut("down")
end

--- Cuts one node off from all others, both ways.
function Cluster:isolate(id)
  for _, other in ipairs(self.ids) do
    if other ~= id then
      self:cut(id, other)
      self:cut(other, id)
    end
  end
end

--- Calls fn(proxy) for each.
function Cluster:each_proxy(fn)
  for _, name in ipairs(self.proxy_names) do fn(self.proxies[name]) end
end

--- Everything passes again.
function Cluster:heal()
  self:each_proxy(function(proxy) proxy:pass() end)
end

--------------------------------------------------------------------- nodes --

--- The options of a node, new tables each time.
function Cluster:options_of(id, extra)
  local list, heard = {}, {}
  self.applied[id], self.errors[id] = list, heard
  local opts = {
    id = id, members = {}, dir = self.dir:join(id), log = false,
    cluster = self.options.cluster, uv = self.loops[id],
    election_timeout = { table.unpack(self.options.election
      or self.options.is_calm and ELECTION_CALM
      or #self.ids == 1 and ELECTION_ALONE or ELECTION) },
    apply = M.list_machine(list),
    query = function() return #list end,
    on = { error = function(err) heard[#heard + 1] = err end },
  }
  for name, address in pairs(self.members) do opts.members[name] = address end
  local own = self.options.node and self.options.node(id) or {}
  for _, more in ipairs { own, extra or {} } do
    for name, value in pairs(more) do opts[name] = value end
  end
  if opts.volatile then opts.dir = nil end
  if opts.service or opts.services then opts.apply, opts.query = nil, nil end
  return opts
end

--- A new node object for this id; not started.
function Cluster:new_node(id, extra)
  local node = raft.node(self:options_of(id, extra))
  self.objects[#self.objects + 1] = node
  return node
end

--- Starts one node, or all.
function Cluster:start(id, extra)
  if not id then
    for _, each in ipairs(self.ids) do self:start(each, extra) end
    return self
  end
  local node = self:new_node(id, extra)
  self.nodes[id] = node
  assert(node:start())
  return node
end

-- Waits until any two have a link: after forming they greet once more.
function Cluster:wait_linked()
  helper.wait_until(function()
    for _, id in ipairs(self.ids) do
      local status = self.nodes[id]:status()
      if status.transport.links < #self.ids - 1 then return false end
    end
    return true
  end, 10000, "links between all")
end

--- Starts all and waits until each is ready, and all are linked.
function Cluster:up(extra)
  self:start(nil, extra)
  for _, id in ipairs(self.ids) do
    assert(self.nodes[id]:ready { timeout = 10000 })
  end
  self:wait_linked()
  return self
end

function Cluster:node(id) return self.nodes[id] end

-- Is the node open?
local function is_running(node)
  return node and node:status().state == "running"
end

--- Waits until one open node leads and all open ones agree: it, and its id.
-- @param apart the id of one that does not count
function Cluster:leader(apart)
  local found
  helper.wait_until(function()
    found = nil
    local names = {}
    for _, id in ipairs(self.ids) do
      local node = self.nodes[id]
      if id ~= apart and is_running(node) then
        names[#names + 1] = node:leader() or "?"
        if node:is_leader() then found = id end
      end
    end
    for _, name in ipairs(names) do
      if name ~= found then return false end
    end
    return found
  end, 10000, "one leader that all agree on")
  return self.nodes[found], found
end

--- The nodes that do not lead, with their ids.
function Cluster:followers()
  local _, leader = self:leader()
  local nodes, ids = {}, {}
  for _, id in ipairs(self.ids) do
    if id ~= leader then
      nodes[#nodes + 1], ids[#ids + 1] = self.nodes[id], id
    end
  end
  return nodes, ids
end

--- Ends one node at once, as if its process were gone.
function Cluster:close_node(id)
  self.nodes[id]:close()
end

--- Closes and starts it anew, in the same directory.
function Cluster:restart(id, extra)
  self.nodes[id]:stop()
  return self:start(id, extra)
end

--- Waits until all running nodes have applied the same number of commands.
function Cluster:settle(count)
  helper.wait_until(function()
    for _, id in ipairs(self.ids) do
      local is_behind = is_running(self.nodes[id])
        and #self.applied[id] ~= count
      if is_behind then return false end
    end
    return true
  end, 10000, count .. " commands to be applied everywhere")
end

--- Closes everything.
function Cluster:close()
  for _, node in ipairs(self.objects) do node:stop({ timeout = 2000 }) end
  self:each_proxy(function(proxy) proxy:close() end)
  self.dir:remove()
end

Cluster.__close = Cluster.close

return M
