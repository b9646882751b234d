--- A service: a state, commands that change it, queries that do not. What can
-- be wrong with its definition is found here, and its functions come under the
-- guard: what they see is the same on every node.
local guard = require "raft.service.guard"
local schema = require "raft.schema"

local M = {}

local VERSION_MAX <const> = 1 << 53

--- Names that a service cannot have, because node.<name> is something else.
M.TAKEN = { "add", "change", "close", "cluster", "defer", "explain", "fail",
  "id", "is_leader", "leader", "members", "off", "on", "propose", "query",
  "read", "ready", "remove", "report", "scheduler", "service", "start",
  "status", "stop", "take_snapshot", "token", "transfer" }

--- Names that no command and no query can have: the proxy's own.
M.OF_PROXY = { "on", "off" }

local Service = { __name = "raft.service" }

function Service:__tostring()
  return ("raft.service %s (version %d)"):format(self.name, self.version)
end

function Service:__newindex(key)
  error(("service %s: %s: a service takes no fields"):format(self.name,
    tostring(key)), 2)
end

--- Is this a service of raft.service?
function M.is_service(value)
  return type(value) == "table" and getmetatable(value) == Service
end

------------------------------------------------------------------- the rules --

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local taken, of_proxy = set_of(M.TAKEN), set_of(M.OF_PROXY)

local function service_name(value, path)
  schema.name(value, path)
  if taken[value] then
    schema.complain(path, ('"%s" is a method or a field of every node, and '
      .. "node.%s would be the service"):format(value, value))
  end
  return value
end

-- Name -> function.
local function functions(value, path)
  schema.any_table(value, path)
  local result = {}
  for name, fn in next, value do
    local at = schema.join(path, name)
    schema.name(name, at)
    if of_proxy[name] then
      schema.complain(at, "this name is a method of every proxy")
    end
    result[name] = schema.callable(fn, at)
  end
  return result
end

-- One service in the place of the list would be an empty list.
local function check_list(value, path)
  if M.is_service(value) then
    schema.refuse(path, "a list of services of raft.service", value)
  end
  schema.any_table(value, path)
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > #value then
      schema.complain(schema.join(path, key), "expected a list: its keys are "
        .. "1, 2, 3")
    end
  end
end

-- Version -> definition that runs while that version is in use.
local function older(value, path)
  check_list(value, path)
  local by_version = {}
  for i, item in ipairs(value) do
    local at = schema.join(path, i)
    if not M.is_service(item) then
      schema.refuse(at, "a service of raft.service", item)
    elseif by_version[item.version] then
      schema.complain(at, "version " .. item.version .. " is there already")
    end
    by_version[item.version] = item
  end
  return by_version
end

local fields = schema.fields {
  { "name", service_name, required = "a name" },
  { "init", schema.callable, required = "a function that returns the first "
    .. "state" },
  { "commands", functions, default = {} },
  { "queries", functions, default = {} },
  { "version", schema.integer(1, VERSION_MAX), default = 1 },
  { "upgrade", schema.callable },
  { "older", older, default = {} },
  { "atomic", schema.boolean },
}

-- The names of a table, sorted: what is wrong is told in an order that is the
-- same each time.
local function names_of(t)
  local names = {}
  for name in next, t do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function check_names(def)
  for _, name in ipairs(names_of(def.queries)) do
    if def.commands[name] then
      schema.complain("queries." .. name, "is a command, too: a name can be "
        .. "one of the two")
    end
  end
end

local function check_older(def)
  for version, item in next, def.older do
    if item.name ~= def.name or version >= def.version then
      schema.complain("older", ("expected versions below %d of %s, got %s")
        :format(def.version, def.name, item))
    end
  end
end

local function cover(path, fn)
  if not fn then return end
  local at, why = guard.cover(path, fn)
  if at then schema.complain(at, why) end
end

-- All functions come under the guard.
local function cover_all(def)
  cover("init", def.init)
  for _, group in ipairs { "commands", "queries" } do
    for _, name in ipairs(names_of(def[group])) do
      cover(schema.join(group, name), def[group][name])
    end
  end
  cover("upgrade", def.upgrade)
end

local function definition(t)
  local def = fields(t, "")
  check_names(def)
  check_older(def)
  cover_all(def)
  return def
end

-------------------------------------------------------------------- the face --

--- A service; it does nothing before a node has it.
-- @param def name, init, commands, queries, version, upgrade, older, atomic:
--   see docs/SERVICES.md. Its functions are put under the guard, in their
--   places.
-- @raise where something is wrong, naming the path
function M.new(def)
  local checked = schema.check("raft.service", 3, definition, def)
  checked.command_names = names_of(checked.commands)
  checked.query_names = names_of(checked.queries)
  return setmetatable(checked, Service)
end

return M
