--- Services as the script of a simulation sees them: proxies over the handle of
-- a node, or over a client.
local errors = require "raft.errors"
local proxy = require "raft.service.proxy"

local M = {}

-- What the nodes of these members have, or had when they ran last.
local function described(members, name)
  for _, member in ipairs(members) do
    local description = member.services[name]
    if description then return description end
  end
end

-- Level 4 is the script.
local function made(who, object, members, name, opts, hear)
  local description = described(members, name)
  if not description then
    error(("%s: there is no service %s"):format(who, errors.text(name)), 4)
  end
  return proxy.new(object, name, description,
    proxy.options(who, opts or {}, 5), hear)
end

--- A proxy over the handle of this member. What it hears comes from the process
-- that runs now, and inside of that.
function M.of_member(handle, member, name, opts)
  local of_it = made("node:service", handle, { member }, name, opts,
    function(method, event, fn)
      local listeners = member.driver.services.listeners
      local heard = listeners[method](listeners, name, event, fn)
      return heard
    end)
  return of_it
end

--- The proxy that is a field of the handle; nil where it is no service.
function M.field(handle, member, name)
  if not member.services[name] then return nil end
  return M.of_member(handle, member, name)
end

--- A proxy over a client.
function M.of_client(client, name, opts)
  local sim, members = client.sim, {}
  for i, id in ipairs(sim.ids) do members[i] = sim.members[id] end
  local of_it = made("client:service", client, members, name, opts)
  return of_it
end

return M
