--- Who hears what commands emit. Handlers are called by deliver, from the loop,
-- in the order of the commands; what one raises goes to its node's report.
local guard = require "raft.guard"
local plain = require "raft.plain"

local M = {}

local Listeners = { __name = "raft.service.listeners" }
Listeners.__index = Listeners

--- @param report function(err)
function M.new(report)
  return setmetatable({
    report = report,
    by_service = {},  -- service -> event -> array of { fn=, is_on= }, never
                      -- changed in place: a delivery may be walking along it
  }, Listeners)
end

local function check(service, method, event, fn)
  if type(event) ~= "string" then
    error(("%s.%s: expected the name of an event, got %s"):format(service,
      method, type(event)), 4)
  elseif type(fn) ~= "function" then
    error(("%s.%s: expected a function as handler, got %s"):format(service,
      method, type(fn)), 4)
  end
end

local function list_of(self, service, event)
  local events = self.by_service[service] or {}
  self.by_service[service] = events
  return events[event] or {}, events
end

--- Hears what commands of this service emit under this name, from now on.
-- @return fn, for off
function Listeners:on(service, event, fn)
  check(service, "on", event, fn)
  local old, events = list_of(self, service, event)
  local new = table.move(old, 1, #old, 1, {})
  new[#new + 1] = { fn = fn, is_on = true }
  events[event] = new
  return fn
end

--- Hears it no more. Returns true if fn was there.
function Listeners:off(service, event, fn)
  check(service, "off", event, fn)
  local old, events = list_of(self, service, event)
  local kept, is_found = {}, false
  for _, item in ipairs(old) do
    if item.fn == fn and not is_found then
      item.is_on, is_found = false, true
    else
      kept[#kept + 1] = item
    end
  end
  events[event] = kept
  return is_found
end

-- A handler may keep what it is told, or change it.
local function copies(values)
  local copied = {}
  for i = 1, values.n do copied[i] = plain.copy(values[i]) end
  return table.unpack(copied, 1, values.n)
end

--- Tells { service=, event=, values= } one after the other.
function Listeners:deliver(told)
  for _, item in ipairs(told) do
    for _, handler in ipairs((list_of(self, item.service, item.event))) do
      if handler.is_on then
        guard.run(("handler of %s.%s"):format(item.service, item.event),
          self.report, handler.fn, copies(item.values))
      end
    end
  end
end

return M
