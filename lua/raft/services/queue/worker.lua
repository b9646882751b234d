--- Works a queue off: pops a message, runs a function with it, acknowledges.
-- Where the proxy hears events it pops as soon as something is ready, and else
-- every poll_ms.
--
-- Promises. A message is acknowledged once the function has returned, and given
-- back when it raises. So it is run at least once: again, if the process ends
-- in between, or if it took longer than the lease.
local Bell = require "raft.services.support.bell"
local errors = require "raft.errors"
local proxies = require "raft.service.proxy"
local schema = require "raft.schema"
local task = require "raft.task"

local M = {}

local POLL_MS <const> = 1000   -- unless it is said otherwise
local RETRY_MS <const> = 1000  -- before a message that failed comes again
local MS_MAX <const> = 1 << 31

-- Errors after which there is nothing to ask again.
local FINAL <const> = { closed = true, failed = true, unsupported = true }

local Worker = { __name = "raft.services.queue.worker" }
Worker.__index = Worker

local function caught(value)
  if errors.is_error(value) then return value end
  return errors.caught("function of queue.worker", value,
    debug.traceback(nil, 2))
end

local function late(message)
  return errors.new("timeout", ("message %d: its lease had ended before it was "
    .. "done: it comes again"):format(message.id), { outcome = "unknown" })
end

-- Runs one message.
local function work(self, message)
  local ok, why = xpcall(self.fn, caught, message.value, message)
  local id, attempt = message.id, message.attempt
  local done, err
  if ok then
    done, err = self.proxy.ack(id, attempt)
  else
    self.report(why, message)
    done, err = self.proxy.nack(id, attempt, self.retry_ms)
  end
  if err then
    self.report(err, message)
  elseif ok and not done then
    self.report(late(message), message)
  end
end

-- The next message. Does it make sense to look again?
local function step(self)
  local message, err = self.proxy.pop(self.lease_ms)
  if err and FINAL[err.code] then
    self.report(err)
    return false
  elseif message then
    work(self, message)
  elseif not self.is_closed then
    self.bell:wait(self.poll_ms)
  end
  return true
end

local function run(self)
  while not self.is_closed and step(self) do end
  self:close()
end

-------------------------------------------------------------------- the face --

--- Ends it: what it works on is worked to its end, and nothing more is popped.
function Worker:close()
  if self.is_closed then return end
  self.is_closed = true
  if self.heard then self.proxy.off("ready", self.heard) end
  self.bell:ring()
end

Worker.__close = Worker.close

local options = schema.fields {
  { "lease_ms", schema.integer(1, MS_MAX, "ms") },
  { "poll_ms", schema.integer(1, MS_MAX, "ms"), default = POLL_MS },
  { "retry_ms", schema.integer(0, MS_MAX, "ms"), default = RETRY_MS },
  { "error", schema.callable },
}

--- Runs fn(value, message) for one message after the other, in a coroutine of
-- its own; fn may wait. Several workers at once are several calls.
-- @param opts lease_ms: that of the queue by default; poll_ms: how often to ask
--   where no events are heard; retry_ms: how long a message waits after fn has
--   raised; error: function(err, message) hears that, what else goes wrong, and
--   the error with which a worker ends
-- @return the worker: `worker:close()`
function M.start(proxy, fn, opts)
  if type(fn) ~= "function" then
    error(("queue.worker: expected a function(value, message), got %s"):format(
      schema.show(fn)), 2)
  end
  local given = schema.check("queue.worker", 3, options, opts or {})
  local bell = Bell.new()
  local self = setmetatable({
    proxy = proxy, fn = fn, bell = bell,
    lease_ms = given.lease_ms or nil, poll_ms = given.poll_ms,
    retry_ms = given.retry_ms,
    report = given.error or function(err) bell:report(err) end,
    is_closed = false,
    heard = false,  -- our handler of events, where there are any
  }, Worker)
  if proxies.can_hear(proxy) then
    self.heard = proxy.on("ready", function() bell:ring() end)
  end
  task.spawn(function() run(self) end)
  return self
end

return M
