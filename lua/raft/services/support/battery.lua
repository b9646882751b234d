--- What the batteries have in common: a module of one of them is called with
-- options and returns a service.
--
-- Promise. The limits among the options are a part of the replicated state, so
-- that a node that was started with others does as all do. They are those of
-- the node whose first state the cluster began with; a higher `version`, once
-- all nodes have it, brings its own.
local arguments = require "raft.services.support.arguments"
local schema = require "raft.schema"
local service = require "raft.service"

local M = {}

local VERSION_MAX <const> = 1 << 53

-- Options that every battery has.
local function common(name)
  return {
    { "name", schema.name, default = name },
    { "version", schema.integer(1, VERSION_MAX), default = 1 },
    { "older", schema.any_table },
  }
end

-- raft.service says so, too; here the user is who is blamed.
local function check_name(name)
  for _, taken in ipairs(service.TAKEN) do
    if name == taken then
      schema.complain("name", ("%s is a method or a field of every node")
        :format(schema.show(name)))
    end
  end
end

-- The options that stay in the state: all that are data.
local function limits_of(spec, given)
  local limits = {}
  for _, field in ipairs(spec.options) do
    local value = given[field[1]]
    if type(value) ~= "function" then limits[field[1]] = value end
  end
  return limits
end

-- Name -> function that checks its arguments first.
local function checked(spec, list)
  local functions = {}
  for name, item in pairs(list) do
    local run = arguments.checked(spec.name .. "." .. name, item.rules,
      item.run)
    functions[name] = item.is_keyed and arguments.keyed(run) or run
  end
  return functions
end

local function definition(spec, given)
  local limits = limits_of(spec, given)
  local first, upgrade = spec.first, spec.upgrade or false
  local functions = spec.functions(given)
  return {
    name = given.name,
    version = given.version,
    older = given.older or nil,
    init = function()
      local state = first(limits)
      state.limits = limits
      return state
    end,
    upgrade = function(state)
      state.limits = limits
      if upgrade then upgrade(state, given) end
    end,
    commands = checked(spec, functions.commands),
    queries = checked(spec, functions.queries),
  }
end

--- The module of a battery, to be called with its options.
-- @param spec name; options, fields for raft.schema; first(limits), which makes
--   the first state; functions(given), of the options: the tables `commands`
--   and `queries`, name -> { rules =, run =, is_keyed = }, see
--   raft.services.support.arguments; and, where there is something to it,
--   check(given), which may refuse options, and upgrade(state, given)
-- @param helpers what else the module has: name -> function
function M.module(spec, helpers)
  local fields = common(spec.name)
  table.move(spec.options, 1, #spec.options, #fields + 1, fields)
  local rule = schema.fields(fields)
  local function options(value, path)
    local given = rule(value, path)
    check_name(given.name)
    if spec.check then spec.check(given) end
    return given
  end
  return setmetatable(helpers or {}, { __call = function(_, value)
    local given = schema.check("raft.services." .. spec.name, 3, options,
      value == nil and {} or value)
    local made = service.new(definition(spec, given))
    return made  -- no tail call: whom errors blame is counted from here
  end })
end

return M
