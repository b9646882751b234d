--- A battery as a state machine with a log of its own, for its specs: time goes
-- as the spec says, and nothing waits.
--
--   local log = service_log.new(lock {})
--   log.time = 1000
--   log:apply("acquire", "key", "ann", 500)  -> result; or nil and why
--   log:ask("get", "key")
-- luacheck: read globals entry
local codec = require "raft.codec"
local machine = require "raft.service.machine"
local raft = require "raft"
local request = require "raft.service.request"

local M = {}

local Log = {}
Log.__index = Log

--- @param service of raft.service
function M.new(service)
  return setmetatable({ service = service, machine = machine.new { service },
    index = 0, time = 1 }, Log)
end

--- Applies a command at the log's time.
function Log:apply(command, ...)
  self.index = self.index + 1
  local call = request.of(self.service.name, command, table.pack(...), 1)
  return self.machine:apply(codec.encode(call),
    { index = self.index, term = 1, time = self.time })
end

--- Asks a query.
function Log:ask(query, ...)
  return self.machine:query(request.of(self.service.name, query,
    table.pack(...)))
end

--- What was emitted since the last time: { "acquired", "key", ... } each.
function Log:told()
  local list = {}
  for i, item in ipairs(self.machine:take_told()) do
    list[i] = { item.event, table.unpack(item.values, 1, item.values.n) }
  end
  return list
end

--- The state, as bytes.
function Log:state()
  return self.machine:snapshot()
end

--- Goes on from a snapshot of itself.
function Log:restart()
  local bytes = self.machine:snapshot()
  self.machine = machine.new { self.service }
  self.machine:restore(bytes)
end

--- The same service, whose commands write down what became of them: `seen`, by
-- index of the entry, { index=, time=, command=, arguments=, result=, why= }.
-- So a model can go through the log as the nodes did. (A service proper must
-- not write into an upvalue; here every node writes the same.)
function M.watched(service, seen)
  local commands = {}
  for name, command in pairs(service.commands) do
    commands[name] = function(s, ...)
      local result, why = command(s, ...)
      seen[entry.index] = { index = entry.index, time = entry.time,
        command = name, arguments = table.pack(...), result = result,
        why = why }
      return result, why
    end
  end
  return raft.service { name = service.name, init = service.init,
    commands = commands, queries = service.queries }
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

-- The functions of this class that a file of annotations has, as a set.
local function annotated(text, class)
  local names = {}
  for name in text:gmatch("\nfunction " .. class .. "%.([%w_]+)%(") do
    names[name] = true
  end
  return names
end

local function same_names(expected, found)
  for name in pairs(expected) do assert(found[name], "not said: " .. name) end
  for name in pairs(found) do assert(expected[name], "not there: " .. name) end
end

--- Raises unless the annotations of a battery have the functions of its module,
-- and the commands and queries of the service, and no others.
function M.check_annotations(name, module, service)
  local text = read(("lua/raft/annotations/%s.lua"):format(name))
  assert(type(assert(load(text))()) == "table")
  same_names(module, annotated(text, name))
  local calls = {}
  for _, group in ipairs { service.commands, service.queries } do
    for call in pairs(group) do calls[call] = true end
  end
  same_names(calls, annotated(text, "Proxy"))
end

--- Raises unless the Lua of a battery's page compiles, its links lead to files,
-- and it names every command, query and function.
function M.check_page(name, module, service)
  local text = read(("docs/services/%s.md"):format(name))
  for block in text:gmatch("```lua\n(.-)```") do assert(load(block)) end
  for target in text:gmatch("%]%(([%w_./-]+)[#%w_-]*%)") do
    assert(os.rename("docs/services/" .. target, "docs/services/" .. target),
      target)
  end
  for _, names in ipairs { module, service.commands, service.queries } do
    for word in pairs(names) do
      assert(text:find("`[%l.]-%f[%w]" .. word .. "%("), "not said: " .. word)
    end
  end
end

--- What `seen` holds, in the order of the log.
function M.in_order(seen)
  local list = {}
  for _, item in pairs(seen) do list[#list + 1] = item end
  table.sort(list, function(a, b) return a.index < b.index end)
  return list
end

return M
