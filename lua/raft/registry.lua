--- Which nodes are open, per event loop. Being listed here is what keeps a
-- running node from being collected, and what raft.run waits for.

local M = {}

local Registry = { __name = "raft.registry" }
Registry.__index = Registry

-- uv -> Registry. Weak keys: a simulated loop goes together with its nodes.
local registries = setmetatable({}, { __mode = "k" })

--- The registry of this loop.
-- @param uv the luv, or what stands in for it
function M.of(uv)
  assert(uv, "a registry belongs to a loop")
  local registry = registries[uv]
  if not registry then
    registry = setmetatable({
      nodes = {},         -- open nodes in order of birth
      failures = {},      -- array of { node =, err = } since last taken
      on_change = false,  -- function(), or false: called after each change
    }, Registry)
    registries[uv] = registry
  end
  return registry
end

local function position(self, node)
  for i, other in ipairs(self.nodes) do
    if other == node then return i end
  end
end

local function changed(self)
  if self.on_change then self.on_change() end
end

--- Lists an open node; once, however often it is said.
function Registry:add(node)
  if position(self, node) then return end
  self.nodes[#self.nodes + 1] = node
  changed(self)
end

--- A node has ended, however it did.
function Registry:remove(node)
  local i = position(self, node)
  if not i then return end
  table.remove(self.nodes, i)
  changed(self)
end

--- A node has failed: remembered until taken, and no longer open.
-- @param err the error value that says why
function Registry:fail(node, err)
  self.failures[#self.failures + 1] = { node = node, err = err }
  self:remove(node)
end

--- The failures since the last call, oldest first.
function Registry:take_failures()
  local failures = self.failures
  self.failures = {}
  return failures
end

--- How many nodes are open?
function Registry:count()
  return #self.nodes
end

--- The open nodes in order of birth; a copy, so they may close meanwhile.
function Registry:list()
  return table.move(self.nodes, 1, #self.nodes, 1, {})
end

--- Calls fn() after each change; false: nobody.
function Registry:watch(fn)
  self.on_change = fn
end

return M
