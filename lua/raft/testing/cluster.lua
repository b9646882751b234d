--- A cluster of nodes in this process, for tests: real sockets on ports that
-- the kernel chose, real files in a temporary directory, the running loop.
--
-- Promises. Ids, ports and directories stay the same over restarts. Whatever
-- the test does, close() leaves no node, no handle and no file behind.
--
-- A kill is as near to a crash as one process comes: nothing more is sent or
-- written, nobody is handed anything, and what was acknowledged is all that is
-- sure to be there at the restart. But the system lives on, so nothing that was
-- written is torn or lost. That, and partitions, is what raft.sim is for.
local directory = require "raft.testing.directory"
local ending = require "raft.testing.ending"
local errors = require "raft.errors"
local option_rules = require "raft.testing.options"
local ports = require "raft.testing.ports"
local raft = require "raft"
local scheduler = require "raft.scheduler"
local schema = require "raft.schema"
local waiting = require "raft.waiting"

local M = {}

local READY_MS <const> = 20000
local WAIT_MS <const> = 20000
local LOOK_MS <const> = 2  -- between two looks of wait

local Cluster = { __name = "raft.testing.cluster" }
Cluster.__index = Cluster

-- For the waiting calls.
function Cluster:defer(fn) self.loop:defer(fn) end
function Cluster:report(err) self.loop:report(err) end

------------------------------------------------------------- what is asked --

--- The ids, in order: a new list.
function Cluster:ids()
  return table.move(self.names, 1, #self.names, 1, {})
end

--- Id -> "host:port": a new table.
function Cluster:addresses()
  local addresses = {}
  for id, address in pairs(self.members) do addresses[id] = address end
  return addresses
end

-- The node object of an id that a user has named.
-- @param level whom to blame; 3 is the caller of who calls this
local function named(self, call, id, level)
  if self.nodes[id] then return self.nodes[id] end
  error(("cluster:%s: no such node: %s (there are %s)"):format(call,
    schema.show(id), table.concat(self.names, ", ")), level or 3)
end

--- The node that this id is now: after a restart another object.
function Cluster:node(id)
  local node = named(self, "node", id)
  return node  -- no tail call, or nobody would be there to blame
end

--- Where this node keeps its files.
function Cluster:dir(id)
  named(self, "dir", id)
  return self.path .. "/" .. id
end

--- The id of the node that leads the newest term, or nil.
function Cluster:leader()
  local found, term = nil, -1
  for _, id in ipairs(self.names) do
    local node = self.nodes[id]
    local node_term = node:is_leader() and node:status().term
    if node_term and node_term > term then found, term = id, node_term end
  end
  return found
end

--- Id -> node:status(), of all of them.
function Cluster:status()
  local all = {}
  for _, id in ipairs(self.names) do all[id] = self.nodes[id]:status() end
  return all
end

--------------------------------------------------------------------- waiting --

local function is_ended(node)
  local state = node:status().state
  return state == "closed" or state == "failed"
end

local function closed_error()
  return errors.new("closed", "the cluster of the test is closed")
end

--- Waits until every node that was not killed is ready.
-- @function Cluster:ready
Cluster.ready = waiting.method {
  name = "cluster:ready", args = 0, timeout = READY_MS,
  start = function(self, opts, answer)
    local open, is_answered = 0, false
    for _, id in ipairs(self.names) do
      if not is_ended(self.nodes[id]) then open = open + 1 end
    end
    if open == 0 then
      return answer(errors.new("closed", "no node of the test is up"))
    end
    local function heard(err)
      open = open - 1
      if is_answered or not err and open > 0 then return end
      is_answered = true
      answer(err, true)
    end
    for _, id in ipairs(self.names) do
      local node = self.nodes[id]
      if not is_ended(node) then node:ready(opts, heard) end
    end
  end,
}

-- Asks until there is an answer; what the predicate raises is one.
local function look(self, call)
  if self.is_closed then return call.answer(closed_error()) end
  local ok, value = xpcall(call.predicate, function(err)
    return errors.caught("predicate of cluster:wait", err,
      debug.traceback(nil, 2))
  end)
  if not ok then return call.answer(value) end
  if value then return call.answer(nil, value) end
  if call.deadline and self.uv.hrtime() > call.deadline then
    return call.answer(errors.new("timeout", ("waited %d ms in vain"):format(
      call.ms)))
  end
  self.loop:after(LOOK_MS, function() look(self, call) end)
end

--- Waits until predicate() is true: what it returned; or nil and the error
-- `timeout`.
-- @param ms how long at most
-- @function Cluster:wait
Cluster.wait = waiting.method {
  name = "cluster:wait", args = 2, is_optional = true, timeout = WAIT_MS,
  start = function(self, opts, answer, predicate, ms)
    if type(predicate) ~= "function" then
      error("cluster:wait: expected a function, got " .. type(predicate), 3)
    elseif ms ~= nil and type(ms) ~= "number" then
      error("cluster:wait: expected ms, got " .. type(ms), 3)
    end
    ms = ms or opts.timeout
    look(self, { predicate = predicate, answer = answer, ms = ms,
      deadline = ms and self.uv.hrtime() + ms * 1e6 })
  end,
}

------------------------------------------------------------ kill and restart --

-- The node that takes this id from now on; not started.
local function make(self, id)
  local node = raft.node(option_rules.node(id, self.options.node(id), {
    id = id, members = self:addresses(), dir = self.path .. "/" .. id,
    uv = self.uv,
  }))
  self.nodes[id] = node
  return node
end

--- Ends a node at once: see above. One that has ended stays so.
function Cluster:kill(id)
  named(self, "kill", id):close()
end

--- Stops a node in order: node:stop.
function Cluster:stop(id, ...)
  return named(self, "stop", id):stop(...)
end

--- Starts a node anew, where it was, with options of a new call of the user's
-- function; kills it before that if it is up. Returns the node.
-- @function Cluster:restart
Cluster.restart = waiting.method {
  name = "cluster:restart", args = 1, timeout = false,
  start = function(self, _, answer, id)
    local old = named(self, "restart", id, 4)
    if self.is_closed then return answer(closed_error()) end
    old:close()
    local node = make(self, id)
    ending.when_free(old, function()
      self:defer(function()
        local ok, err = node:start()
        answer(not ok and err or nil, node)
      end)
    end)
  end,
}

--- A client of the cluster; it is closed with it.
function Cluster:client()
  local client = raft.client { cluster = self.nodes[self.names[1]].cluster,
    members = self:addresses(), uv = self.uv }
  self.clients[#self.clients + 1] = client
  return client
end

------------------------------------------------------------------------ end --

local close_and_wait = waiting.method {
  name = "cluster:close", args = 0, timeout = false,
  start = function(self, _, answer)
    ending.close(self, function()
      self.is_gone = true
      answer(nil, true)
    end)
  end,
}

--- Ends all nodes at once, and removes their files. In a coroutine on the loop,
-- and where no loop runs, they are gone when it returns; elsewhere soon after.
-- Twice is no harm. Never raises.
function Cluster:close()
  if self.is_closed then return end
  self.is_closed = true
  if not ending.is_turning(self.loop) then
    close_and_wait(self, false)
    while not self.is_gone do self.uv.run("once") end
    self.uv.run("nowait")  -- the loop forgets what was closed
  elseif coroutine.isyieldable() then
    close_and_wait(self)
  else
    close_and_wait(self, false)
    if not self.is_gone then ending.remove(self) end
  end
end

function Cluster:__close() self:close() end

function Cluster:__tostring()
  local words = {}
  for i, id in ipairs(self.names) do
    words[i] = id .. " " .. self.nodes[id]:status().state
  end
  return ("raft.testing.cluster (%s)"):format(table.concat(words, ", "))
end

--------------------------------------------------------------- construction --

local function start_all(self)
  for _, id in ipairs(self.names) do make(self, id) end
  for _, id in ipairs(self.names) do
    local ok, err = self.nodes[id]:start()
    if not ok then error(err, 0) end
  end
end

--- A cluster; all its nodes are started.
-- @param options `nodes` how many, or their ids (3); `node` function(id),
--   called at each start and restart, returns the options of raft.node but for
--   id, members and dir; `uv`
-- @raise when an option is wrong, naming it; when a node cannot start
function M.new(options)
  local checked = option_rules.cluster(options)
  local uv = checked.uv or scheduler.uv()
  local addresses, held = ports.reserve(uv, #checked.nodes)
  local self = setmetatable({
    options = checked,
    uv = uv,
    loop = scheduler.of(uv),
    names = checked.nodes,
    members = {},      -- id -> address
    held = held,       -- handles that keep the ports
    path = directory.new(uv),
    nodes = {},        -- id -> the newest node object
    clients = {},
    is_closed = false,
    is_gone = false,   -- are the files removed?
  }, Cluster)
  for i, id in ipairs(self.names) do self.members[id] = addresses[i] end
  local ok, err = pcall(start_all, self)
  if ok then return self end
  self:close()
  error(err, 0)
end

return M
