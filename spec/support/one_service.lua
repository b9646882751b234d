--- A service in a machine of its own, entry by entry, as a node would run it:
-- what it answers, what it tells, and that a refusal changes nothing.
local codec = require "raft.codec"
local machine = require "raft.service.machine"
local request = require "raft.service.request"

local M = {}

local OneService = { __name = "spec.one_service" }
OneService.__index = OneService

--- @param definition of raft.service
function M.new(definition)
  return setmetatable({ definition = definition,
    machine = machine.new { definition }, index = 0, time = 1000 }, OneService)
end

--- Runs a command at self.time, in ms: the result; or nil and why not.
function OneService:run(command, ...)
  self.index = self.index + 1
  local bytes = codec.encode(request.of(self.definition.name, command,
    table.pack(...), self.definition.version))
  return self.machine:apply(bytes, { index = self.index, term = 1,
    time = self.time })
end

--- Asks a query: a copy of the answer; or nil and why not.
function OneService:ask(query, ...)
  local answer, why = self.machine:query(request.of(self.definition.name, query,
    table.pack(...)))
  return codec.decode(codec.encode(answer)), why
end

--- The state as bytes; where nothing was applied yet, the first one.
function OneService:bytes()
  local used = self.machine.in_use.services[self.definition.name]
  return used and codec.encode(used.state) or ""
end

--- Why this command is refused. It must be, and change nothing.
function OneService:refusal(command, ...)
  local before, told = self:bytes(), #self.machine.told
  local value, why = self:run(command, ...)
  assert(value == nil, "not refused")
  assert(before == "" or before == self:bytes(), "it has changed something")
  assert(#self.machine.told == told, "it has told something")
  return why
end

--- Why this query is refused; it must be.
function OneService:no_answer(query, ...)
  local answer, why = self:ask(query, ...)
  assert(answer == nil and why, "not refused")
  return why
end

--- What was emitted since, each as { event, values... }.
function OneService:told()
  local list = {}
  for i, item in ipairs(self.machine:take_told()) do
    list[i] = { item.event, table.unpack(item.values, 1, item.values.n) }
  end
  return list
end

--- Goes on as after a restart: from a snapshot, with this definition, or the
-- same one.
function OneService:restart(definition)
  local bytes = self.machine:snapshot()
  self.definition = definition or self.definition
  self.machine = machine.new { self.definition }
  self.machine:restore(bytes)
  assert(bytes == self.machine:snapshot(), "a snapshot is not what it was")
end

--- A newer definition, which all members have from now on.
function OneService:upgrade(definition)
  self.definition = definition
  local bytes = self.machine:snapshot()
  self.machine = machine.new({ definition }, "n1")
  self.machine:restore(bytes)
  self.index = self.index + 2
  local entry = { index = self.index - 1, term = 1, time = self.time }
  self.machine:configure({ "n1" }, entry)
  entry.index = self.index
  self.machine:apply(request.announcement("n1",
    self.machine.in_use:announcement()), entry)
end

--- What takes the place of a proxy, for watches and workers: it answers at
-- once. While its field `err` is one it answers that.
function OneService:proxy()
  local is_query = {}
  for _, name in ipairs(self.definition.query_names) do
    is_query[name] = true
  end
  local proxy = { err = false }
  return setmetatable(proxy, { __index = function(_, name)
    return function(...)
      if proxy.err then return nil, proxy.err end
      local method = is_query[name] and self.ask or self.run
      return method(self, name, ...)
    end
  end })
end

return M
