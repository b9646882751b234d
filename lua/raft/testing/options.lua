--- The options of raft.testing, and those of the nodes it starts.
local schema = require "raft.schema"

local M = {}

local NODES_MAX <const> = 32
local TIMEOUT_MS_MAX <const> = 86400000

-- What the cluster gives, and a user may not.
local OURS <const> = { "id", "members", "dir", "join", "listen", "uv", "host" }

-- A failover should not be what a test waits for; all nodes share one loop, so
-- whatever blocks it makes no election.
local ELECTION_MS <const> = { 100, 200 }

local function ids_of(count)
  local ids = {}
  for i = 1, count do ids[i] = "n" .. i end
  return ids
end

-- How many, or their ids.
local function nodes(value, path)
  if type(value) ~= "table" then
    return ids_of(schema.integer(1, NODES_MAX, "nodes")(value, path))
  elseif #value == 0 or #value > NODES_MAX then
    schema.refuse(path, ("1 to %d ids, or how many"):format(NODES_MAX), value)
  end
  local ids, seen = {}, {}
  for i, id in ipairs(value) do
    ids[i] = schema.name(id, schema.join(path, i))
    if seen[id] then
      schema.complain(schema.join(path, i), schema.show(id) .. " twice")
    end
    seen[id] = true
  end
  return ids
end

local cluster = schema.fields {
  { "nodes", nodes, default = ids_of(3) },
  { "node", schema.callable, required = "a function(id) that returns the "
    .. "options of a node" },
  { "uv", schema.any_table },
}

local run = schema.fields {
  { "timeout", schema.or_false(schema.integer(1, TIMEOUT_MS_MAX, "ms")),
    default = 60000 },
  { "uv", schema.any_table },
}

--- Those of raft.testing.cluster, a new table with every one set.
-- @raise blaming the caller of the function that calls this one
function M.cluster(options)
  local checked = schema.check("raft.testing.cluster", 4, cluster, options)
  checked.nodes = table.move(checked.nodes, 1, #checked.nodes, 1, {})
  return checked
end

--- Those of raft.testing.run, likewise.
function M.run(options)
  local checked = schema.check("raft.testing.run", 4, run, options or {})
  return checked
end

--- What raft.node gets: what the user's function gave, and the cluster's.
function M.node(id, given, ours)
  if type(given) ~= "table" then
    error(("raft.testing: node(%q): expected a table of options, got %s")
      :format(id, schema.show(given)), 0)
  end
  for _, name in ipairs(OURS) do
    if given[name] ~= nil then
      error(("raft.testing: node(%q): %s is given by the cluster"):format(id,
        name), 0)
    end
  end
  local options = { log = false,
    election_timeout = { table.unpack(ELECTION_MS) } }
  for name, value in pairs(given) do options[name] = value end
  for name, value in pairs(ours) do options[name] = value end
  if options.volatile then options.dir = nil end
  return options
end

return M
