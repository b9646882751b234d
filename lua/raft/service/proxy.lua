--- A proxy: the commands and queries of a service as functions of a table.
--
--   p.add(5)        the result; or nil, err     in a coroutine
--   p:add(5)        the same
--   p.add(5, cb)    cb(err, result)
--   p.on(event, fn), p.off(event, fn)
--
-- It is made over an object that can ask, a node or a client. Of that it uses:
--   propose(self, bytes, opts, cb)   opts: timeout
--   query(self, request, opts, cb)   opts: timeout, consistency, at_least
--   defer(self, fn), report(self, err)   as raft.waiting has them
-- and where events are heard: hear(method, event, fn), with "on" or "off".
--
-- What waits is the object's own call, which says so where nothing can wait.
local Machine = require "raft.machine"
local codec = require "raft.codec"
local errors = require "raft.errors"
local plain = require "raft.plain"
local request = require "raft.service.request"
local schema = require "raft.schema"
local waiting = require "raft.waiting"

local M = {}

local ARGUMENTS_MAX <const> = 250  -- they pass the stack in one call

local option_rule = schema.fields {
  { "timeout", schema.or_false(schema.integer(0, 1 << 53, "ms")) },
  { "consistency", schema.one_of { "linearizable", "lease", "stale" } },
  { "at_least", schema.text },
}

--- The arguments of a call, packed, and the callback or nil. The proxy itself
-- in front comes from a colon. Level 3 is the user.
function M.split(proxy, ...)
  local values = table.pack(...)
  if values.n > 0 and rawequal(values[1], proxy) then
    values = table.pack(select(2, ...))
  end
  local callback = values[values.n]
  if type(callback) == "function" then
    values[values.n], values.n = nil, values.n - 1
  else
    callback = nil
  end
  if values.n > ARGUMENTS_MAX then
    error(("a call takes %d arguments at most"):format(ARGUMENTS_MAX), 3)
  end
  return values, callback
end

-- Raises for what cannot be carried, naming which argument it is.
local function check_values(it, name, values)
  for i = 1, values.n do
    if not plain.is_scalar(values[i]) then
      plain.copy(values[i], ("%s.%s: argument %d"):format(it.service, name, i))
    end
  end
end

local function command(it, name)
  return function(...)
    local values, callback = M.split(it.proxy, ...)
    local is_plain, bytes = pcall(codec.encode, request.of(it.service, name,
      values, it.version))
    if not is_plain then
      check_values(it, name, values)
      error(bytes, 0)
    end
    return it.object:propose(bytes, it.propose_opts, callback)
  end
end

local function query(it, name)
  return function(...)
    local values, callback = M.split(it.proxy, ...)
    check_values(it, name, values)
    return it.object:query(request.of(it.service, name, values), it.query_opts,
      callback)
  end
end

local function words_of(description)
  local words = {}
  for _, group in ipairs { "commands", "queries" } do
    local names = {}
    for name in pairs(description[group]) do names[#names + 1] = name end
    table.sort(names)
    words[#words + 1] = ("%s %s"):format(group, #names > 0
      and table.concat(names, ", ") or "none")
  end
  return table.concat(words, "; ")
end

local answer_unknown = waiting.method {
  name = "a call of a service", args = 1,
  check = function() Machine.check_outside("a call of a service") end,
  start = function(_, _, answer, err) answer(err) end,
}

-- A name that is none: the answer to the call says so.
local function unknown(it, name)
  return function(...)
    local _, callback = M.split(it.proxy, ...)
    local err = errors.new("unsupported", ("service %s has no command or query "
      .. "%s: %s"):format(it.service, errors.text(name), it.words))
    return answer_unknown(it.object, err, {}, callback)
  end
end

local function hearing(it, method)
  return function(...)
    Machine.check_outside("proxy." .. method)
    local values = table.pack(...)
    if values.n > 0 and rawequal(values[1], it.proxy) then
      values = table.pack(select(2, ...))
    end
    if not it.hear then
      error(("%s.%s: events are heard at a node"):format(it.service, method), 2)
    end
    return it.hear(method, values[1], values[2])
  end
end

local function read_only(proxy, name)
  error(("%s: %s: a proxy takes no fields"):format(tostring(proxy),
    tostring(name)), 2)
end

--- The options of a proxy, checked: those that were given.
-- @param level whom to blame, as for error: 2 is the caller
function M.options(who, opts, level)
  local checked, given = schema.check(who, level + 1, option_rule, opts), {}
  for name in pairs(opts) do given[name] = checked[name] end
  return given
end

-- Of the options those with these names; nil where there are none: then there
-- is nothing to check in every call.
local function those_of(options, names)
  local found
  for _, name in ipairs(names) do
    if options[name] ~= nil then
      found = found or {}
      found[name] = options[name]
    end
  end
  return found
end

-- Proxy -> does it hear events? Weak: it may go.
local hears = setmetatable({}, { __mode = "k" })

--- Does this proxy hear what commands emit? One over a client does not.
function M.can_hear(proxy)
  return hears[proxy] or false
end

--- A proxy.
-- @param object see above
-- @param service its name
-- @param description { commands = { name = true }, queries = { name = true },
--   version = of the definition, or nil }
-- @param options of M.options, or {}
-- @param hear function(method, event, fn); nil: nothing can be heard there
function M.new(object, service, description, options, hear)
  local proxy = {}
  local it = {
    object = object, service = service, proxy = proxy, hear = hear or false,
    version = description.version,  -- or nil
    words = words_of(description),  -- what there is
    propose_opts = those_of(options, { "timeout" }),
    query_opts = those_of(options, { "timeout", "consistency",
      "at_least" }),
  }
  local methods = { on = hearing(it, "on"), off = hearing(it, "off") }
  for name in pairs(description.commands) do
    methods[name] = command(it, name)
  end
  for name in pairs(description.queries) do methods[name] = query(it, name) end
  setmetatable(methods, { __index = function(_, name)
    return unknown(it, name)
  end })
  hears[proxy] = hear ~= nil
  return setmetatable(proxy, {
    __index = methods, __newindex = read_only, __name = "raft.service.proxy",
    __tostring = function() return "raft.service.proxy " .. service end,
  })
end

return M
