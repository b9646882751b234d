--- Events by name: handlers, and a queue that its owner empties.
-- Nothing is delivered by queue(): the owner calls drain() from its loop, so
-- a handler never runs inside another call, and events come in order. What
-- a handler raises goes to the owner's report.
local guard = require "raft.guard"

local M = {}

local Emitter = { __name = "raft.emitter" }
Emitter.__index = Emitter

-- Both blame the line that called the method which calls them.
local function check_name(self, name, method)
  if type(name) == "string" and self.handlers[name] then return end
  local shown = type(name) == "string" and '"' .. name .. '"'
    or "of type " .. type(name)
  error(("%s:%s: there is no event %s, only %s"):format(self.owner, method,
    shown, table.concat(self.names, ", ")), 3)
end

local function check_handler(self, fn, method)
  if type(fn) == "function" then return end
  error(("%s:%s: expected a function as handler, got %s"):format(self.owner,
    method, type(fn)), 3)
end

--- An emitter.
-- @param names the events there are, as an array
-- @param report function(err): what to do with an error of a handler
-- @param owner how messages call the owner: "node"
-- @param on the first handlers, by name, checked; or nil
function M.new(names, report, owner, on)
  assert(type(report) == "function", "an emitter reports to somebody")
  local handlers = {}
  for _, name in ipairs(names) do
    local fn = on and on[name]
    handlers[name] = fn and { { fn = fn, is_on = true } } or {}
  end
  return setmetatable({
    names = names,        -- as given, for messages
    report = report,      -- function(err)
    owner = owner or "emitter",
    handlers = handlers,  -- name -> array of { fn=, is_on= }, never changed
                          -- in place: a delivery may be walking along it
    queued = {},          -- array of packed { name, ... }
    is_draining = false,  -- is drain at work further up the stack?
  }, Emitter)
end

--- Adds a handler, which hears what is queued from now on.
-- @return fn, for off
function Emitter:on(name, fn)
  check_name(self, name, "on")
  check_handler(self, fn, "on")
  local old = self.handlers[name]
  local new = table.move(old, 1, #old, 1, {})
  new[#new + 1] = { fn = fn, is_on = true }
  self.handlers[name] = new
  return fn
end

--- Removes a handler: it hears nothing more, not even what is queued.
-- @return true if it was there
function Emitter:off(name, fn)
  check_name(self, name, "off")
  local kept, is_found = {}, false
  for _, handler in ipairs(self.handlers[name]) do
    if handler.fn == fn and not is_found then
      handler.is_on, is_found = false, true
    else
      kept[#kept + 1] = handler
    end
  end
  self.handlers[name] = kept
  return is_found
end

--- Does anybody listen?
function Emitter:has(name)
  assert(self.handlers[name], "no such event")
  return #self.handlers[name] > 0
end

--- Puts an event at the end of the queue, if anybody listens.
function Emitter:queue(name, ...)
  assert(self.handlers[name], "no such event")
  if #self.handlers[name] == 0 then return end
  self.queued[#self.queued + 1] = table.pack(name, ...)
end

--- Is anything queued?
function Emitter:is_pending()
  return #self.queued > 0
end

local function deliver(self, event)
  local name = event[1]
  for _, handler in ipairs(self.handlers[name]) do
    if handler.is_on then
      guard.run("handler of " .. name, self.report, handler.fn,
        table.unpack(event, 2, event.n))
    end
  end
end

--- Delivers what is queued now; what handlers queue meanwhile stays for the
-- next time, so that a loop of events cannot hold up the owner's loop. Does
-- nothing while it is at work already.
-- @return true when something is left
function Emitter:drain()
  local events = self.queued
  if self.is_draining or #events == 0 then return #events > 0 end
  self.queued, self.is_draining = {}, true
  for _, event in ipairs(events) do deliver(self, event) end
  self.is_draining = false
  return #self.queued > 0
end

return M
