--- Services as a client sees them: it has no definitions, and asks a node what
-- there is, once, when the first call is made. What is called meanwhile waits,
-- and goes on in call order.
local errors = require "raft.errors"
local proxies = require "raft.service.proxy"
local schema = require "raft.schema"
local waiting = require "raft.waiting"

local M = {}

-- A call whose kind is not known yet, as the call of a client.
-- @param call it: of M.new; name, values: of the call
local late = waiting.method {
  name = "a call of a service", args = 1,
  start = function(_, opts, answer, call)
    call.it:described(call.name, opts, function(err)
      if err then return answer(err) end
      call.values[call.values.n + 1] = answer
      call.it.real[call.name](table.unpack(call.values, 1, call.values.n + 1))
    end)
  end,
}

local Service = { __name = "raft.client.service" }
Service.__index = Service

function Service:knows(name)
  local description = self.description
  return description ~= false
    and (description.commands[name] or description.queries[name]) or false
end

-- The node has said what there is.
local function learn(self, description)
  self.description = description
  self.real = proxies.new(self.client, self.name, { version = nil,
    commands = description.commands, queries = description.queries },
    self.options)
end

--- Calls done(err) once it is known whether there is something of that name.
function Service:described(name, opts, done)
  if self:knows(name) then return done() end
  self.waiting[#self.waiting + 1] = done
  if #self.waiting > 1 then return end
  self.describe(self.name, opts, function(err, description)
    if not err then learn(self, description) end
    local all = self.waiting
    self.waiting = {}
    for _, fn in ipairs(all) do fn(err) end
  end)
end

-- A colon puts the proxy in front.
local function without(proxy, ...)
  if select("#", ...) > 0 and rawequal((...), proxy) then
    return select(2, ...)
  end
  return ...
end

local function method_of(it, name)
  return function(...)
    if #it.waiting == 0 and it:knows(name) then
      return it.real[name](without(it.proxy, ...))
    end
    local values, callback = proxies.split(it.proxy, ...)
    local opts = { timeout = it.options.timeout }
    return late(it.client, { it = it, name = name, values = values }, opts,
      callback)
  end
end

local function read_only(proxy, name)
  error(("%s: %s: a proxy takes no fields"):format(tostring(proxy),
    tostring(name)), 2)
end

local function unheard(it, name)
  return function()
    error(("%s.%s: events are heard at a node"):format(it.name, name), 2)
  end
end

--- A proxy over a client.
-- @param client the public object
-- @param describe function(name, opts, done(err, description)): asks a node
-- @param level whom to blame for options, as for error: 2 is the caller
function M.new(client, name, opts, describe, level)
  schema.check("client:service", level + 1, schema.name, name)
  local it = setmetatable({
    client = client, name = name, describe = describe, proxy = {},
    options = proxies.options("client:service", opts or {}, level + 1),
    description = false,  -- what there is, once a node has said it
    real = false,         -- the proxy by that
    waiting = {},         -- for the description: functions(err), in call order
  }, Service)
  local methods = { on = unheard(it, "on"), off = unheard(it, "off") }
  return setmetatable(it.proxy, {
    __index = function(_, key)
      if not methods[key] then methods[key] = method_of(it, key) end
      return methods[key]
    end,
    __newindex = read_only, __name = "raft.service.proxy",
    __tostring = function()
      return "raft.service.proxy " .. errors.text(name)
    end,
  })
end

return M
