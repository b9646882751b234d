--- The options `service` and `services` of a node: rules for raft.schema.
local errors = require "raft.errors"
local in_use = require "raft.service.in_use"
local schema = require "raft.schema"
local service = require "raft.service"

local M = {}

--- One service.
function M.one(value, path)
  if service.is_service(value) then return value end
  schema.refuse(path, "a service of raft.service", value)
end

-- A first state is asked for when the node starts; what init raises is said
-- where the service is given.
local function check_first_state(item, path)
  local ok, why = pcall(in_use.first_state, item)
  if not ok then schema.complain(path, errors.text(why)) end
end

--- A list of services, no two of one name.
function M.list(value, path)
  if type(value) ~= "table" or #value == 0 then
    schema.refuse(path, "a list", value)
  end
  local list, is_known = {}, {}
  for i, item in ipairs(value) do
    local at = schema.join(path, i)
    M.one(item, at)
    if is_known[item.name] then
      schema.complain(at, "service " .. item.name .. " is there already")
    end
    check_first_state(item, at)
    list[i], is_known[item.name] = item, true
  end
  return list
end

-- Options in whose place services stand.
local REPLACED <const> = { "apply", "query", "snapshot", "restore", "save",
  "load" }

--- What belongs together: services, or apply and what goes with it.
function M.check(opts)
  if opts.service and opts.services then
    schema.complain("services", "there is a service already: give one of the "
      .. "two")
  elseif opts.service then
    opts.services = { opts.service }
    check_first_state(opts.service, "service")
  end
  if not opts.services then
    if opts.apply then return end
    schema.complain("apply", "expected a function(command, entry), got nil")
  end
  for _, name in ipairs(REPLACED) do
    if opts[name] then
      schema.complain(name, "the state of a node with services is theirs: it "
        .. "takes no " .. name)
    end
  end
end

return M
