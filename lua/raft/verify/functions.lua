--- What raft.machine runs of the options that opts.node of raft.verify gave:
-- their functions, or those of their services.
local configuration = require "raft.configuration"
local given = require "raft.service.given"
local raft_core = require "raft.core"
local schema = require "raft.schema"
local service_machine = require "raft.service.machine"

local M = {}

-- A copy of the options, with `services` in the place of `service`.
local function checked(options, path)
  schema.any_table(options, path)
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  if copy.service then given.one(copy.service, "service") end
  if copy.services then given.list(copy.services, "services") end
  given.check(copy)
  return copy
end

-- The services of a node as one machine; what they emit is heard by nobody.
local function of_services(services, id)
  local machine = service_machine.new(services, id)
  return {
    apply = function(command, entry)
      local value, why = machine:apply(command, entry)
      machine:take_told()
      return value, why
    end,
    configure = function(bytes, entry)
      local config = assert(raft_core.config_decode(bytes))
      machine:configure(configuration.appliers(config), entry)
    end,
    where = function() return machine.where end,
    snapshot = function() return machine:snapshot() end,
    restore = function(bytes) machine:restore(bytes) end,
  }
end

--- The functions.
-- @param options of raft.node
-- @param id of the node
-- @raise where they say of no machine, naming the option
function M.of(options, id)
  local copy = schema.check("raft.verify: node", 0, checked, options)
  return copy.services and of_services(copy.services, id) or copy
end

return M
