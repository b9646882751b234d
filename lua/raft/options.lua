--- The options of raft.node: all that can be wrong with them is found here,
-- before anything is opened. What comes out is a new table in which every
-- option is set; `false` stands for "none".
local configuration = require "raft.configuration"
local given_services = require "raft.service.given"
local kinds = require "raft.option_kinds"
local members = require "raft.members"
local quorum = require "raft.quorum"
local results = require "raft.results"
local schema = require "raft.schema"

local M = {}

local MS_MAX <const> = 3600000              -- an hour; of any time-out
local COMMAND_BYTES_MAX <const> = 64 << 20  -- the core's limit of an entry
local BYTES_MAX <const> = 1 << 50
local HEARTBEATS <const> = 5                -- per minimum election time-out

--- The events of a node.
M.EVENTS = { "role", "leader", "membership", "applied", "snapshot",
  "diverged", "repaired", "drain", "warning", "error", "failed", "closed" }

-------------------------------------------------------------------- rules --

local function list_of(rule)
  return function(value, path)
    if type(value) ~= "table" or #value == 0 then
      schema.refuse(path, "a list", value)
    end
    for i, item in ipairs(value) do rule(item, schema.join(path, i)) end
    return value
  end
end

-- false; true; or the addresses of those who are asked.
local function join(value, path)
  if type(value) == "boolean" then return value end
  if type(value) ~= "table" or #value == 0 then
    schema.refuse(path, 'true, or a list of "host:port" to ask', value)
  end
  local addresses = {}
  list_of(function(item, at)
    addresses[#addresses + 1] = members.address(item, at)
  end)(value, path)
  return addresses
end

local timeout_ms = schema.integer(2, MS_MAX, "ms")

local function election_timeout(value, path)
  if type(value) == "number" then
    local min = timeout_ms(value, path)
    return { min = min, max = 2 * min }
  elseif type(value) ~= "table" then
    schema.refuse(path, "{min, max} in ms, or min alone", value)
  end
  for key in pairs(value) do
    if key ~= 1 and key ~= 2 then
      schema.refuse_key(path, key, { "1 (min)", "2 (max)" }, "field")
    end
  end
  local min = timeout_ms(value[1], path .. "[1]")
  local max = timeout_ms(value[2], path .. "[2]")
  if min >= max then
    schema.complain(path, ("the minimum must be below the maximum, got "
      .. "{%d, %d}"):format(min, max))
  end
  return { min = min, max = max }
end

local function handlers(value, path)
  schema.any_table(value, path)
  local known, result = {}, {}
  for _, name in ipairs(M.EVENTS) do known[name] = true end
  for name, fn in pairs(value) do
    if not known[name] then
      schema.refuse_key(path, name, M.EVENTS, "event")
    end
    result[name] = schema.callable(fn, schema.join(path, name))
  end
  return result
end

-------------------------------------------------------------- the options --

local fields = schema.fields {
  { "id", schema.name, required = "this node's name (a script usually takes "
    .. 'it from its first argument: id = arg[1], started as "lua5.4 '
    .. 'script.lua n1")' },
  { "cluster", schema.name, default = "default" },
  { "join", join },
  { "members", members.rule },
  { "listen", members.address },
  { "dir", schema.text },
  { "volatile", schema.boolean },
  { "service", given_services.one },
  { "services", given_services.list },
  { "apply", schema.callable },
  { "query", schema.callable },
  { "snapshot", schema.callable },
  { "restore", schema.callable },
  { "save", schema.callable },
  { "load", schema.callable },
  { "snapshot_mode", schema.one_of { "inline", "fork", "auto" },
    default = "auto" },
  { "snapshot_bytes", schema.integer(1, BYTES_MAX, "bytes"),
    default = 64 << 20 },
  { "election_timeout", election_timeout },
  { "heartbeat", schema.integer(1, MS_MAX, "ms") },
  { "quorum", quorum.rule },
  { "leases", schema.boolean },
  { "max_command_bytes", schema.integer(1, COMMAND_BYTES_MAX, "bytes"),
    default = 1 << 20 },
  { "max_pending_bytes", schema.integer(1, BYTES_MAX, "bytes"),
    default = 64 << 20 },
  { "log", kinds.log, default = "warn" },
  { "on", handlers },
  { "uv", schema.any_table },
  { "host", schema.any_table },
  { "compare_every", schema.integer(1, 1 << 20, "entries"),
    default = results.EVERY },  -- for tests; the same on all nodes
  { "record", schema.text },
  { "tls", kinds.not_yet(schema.or_false(schema.any_table)) },
  { "http", kinds.not_yet(schema.or_false(members.address)) },
}

-------------------------------------------------------- what goes together --

local function check_members(opts)
  local own = opts.members and opts.members[opts.id]
  if not opts.members then
    schema.complain("members", 'expected the initial voters: id = "host:port" '
      .. "(join = true waits to be added to a cluster that is there), got nil")
  elseif not own then
    schema.complain("members", ("expected this node %s among them, got %s")
      :format(schema.show(opts.id), table.concat(opts.ids, ", ")))
  end
  opts.listen = opts.listen or own.address
end

-- What others need to know of who joins, and what it knows only from them.
local function check_join(opts)
  for _, name in ipairs { "members", "quorum", "leases" } do
    if opts[name] then
      schema.complain(name, "who joins takes none: the cluster has it")
    end
  end
  if not opts.listen then
    schema.complain("listen", 'expected "host:port", where the others reach '
      .. "this node, got nil")
  elseif type(opts.join) == "table" and not members.has_host(opts.listen) then
    schema.complain("listen", ("who is asked adds this address, and nobody "
      .. "could dial %s: name the host"):format(opts.listen))
  end
end

local function check_self(opts)
  opts.ids = members.ids(opts.members or {})
  if opts.join then
    check_join(opts)
  else
    check_members(opts)
  end
  opts.members = opts.members or {}
end

local function check_dir(opts)
  if not opts.dir and not opts.volatile then
    schema.complain("dir", "expected a directory for the durable state, got "
      .. "nil (volatile = true does without: nothing survives)")
  elseif opts.dir and opts.volatile then
    schema.complain("volatile", "a volatile node keeps nothing, so it takes "
      .. "no dir: give one of the two")
  end
end

local function check_pair(opts, first, second)
  if opts[first] and not opts[second] then
    schema.complain(second, ("expected a function beside %s, got nil")
      :format(first))
  elseif opts[second] and not opts[first] then
    schema.complain(first, ("expected a function beside %s, got nil")
      :format(second))
  end
end

local function check_snapshots(opts)
  check_pair(opts, "snapshot", "restore")
  check_pair(opts, "save", "load")
  if opts.snapshot and opts.save then
    schema.complain("save", "snapshot and restore are there already: give "
      .. "one pair")
  end
end

local function check_times(opts)
  opts.election_timeout = opts.election_timeout or { min = 500, max = 1000 }
  local min = opts.election_timeout.min
  opts.heartbeat = opts.heartbeat or math.max(1, min // HEARTBEATS)
  if opts.heartbeat >= min then
    schema.complain("heartbeat", ("must be below the minimum election "
      .. "time-out of %d ms, got %d"):format(min, opts.heartbeat))
  end
end

local function check_sizes(opts)
  if opts.max_pending_bytes < opts.max_command_bytes then
    schema.complain("max_pending_bytes", ("must hold one command of "
      .. "max_command_bytes = %d, got %d"):format(opts.max_command_bytes,
      opts.max_pending_bytes))
  end
end

-- What the members and the quorum rule make together.
local function check_quorum(opts)
  if opts.join then return end
  local plan = configuration.plan(opts)
  local ok, where, words = configuration.check(plan)
  if not ok then schema.complain(where, words) end
  opts.quorum = plan.quorum or false
end

-- Options that are read when the cluster forms. Were they given?
local function given(t)
  return { election_timeout = t.election_timeout ~= nil,
    leases = t.leases ~= nil, quorum = t.quorum ~= nil }
end

local function node_options(t)
  local opts = fields(t, "")
  opts.on, opts.given = opts.on or {}, given(t)
  given_services.check(opts)
  check_self(opts)
  check_dir(opts)
  check_snapshots(opts)
  check_times(opts)
  check_sizes(opts)
  check_quorum(opts)
  return opts
end

--- The options of a node, checked and complete.
-- Beside the options: `ids`, the members' ids sorted; `given`, which of those
-- that the cluster decides later were named. `members` maps each id
-- to { address=, role=, priority= }; `election_timeout` is { min=, max= };
-- `quorum` is false (majority) or { election=, commit= } of sizes or sets; who
-- joins has no members.
-- @param t what the user gave; not changed
-- @param level whom to blame, as for error: 3, the default, is the caller of
--   the function that calls this one
function M.node(t, level)
  local opts = schema.check("raft.node", (level or 3) + 1, node_options, t)
  return opts  -- not in one line: a tail call would take a level away
end

return M
