--- Works a queue off: pops a message, runs a function with it, acknowledges.
-- Where the proxy hears events it pops as soon as something is ready, and else
-- every poll_ms.
--
-- Promises. A message is acknowledged once the function has returned, and given
-- back when it raises. So it is run at least once: again, if the process ends
-- in between, or if it took longer than the lease.
local errors = require "raft.errors"
local follower = require "raft.services.support.follower"
local schema = require "raft.schema"

local M = {}

local RETRY_MS <const> = 1000  -- before a message that failed comes again
local MS_MAX <const> = 1 << 31

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
    done, err = self.proxy.nack(id, attempt, self.opts.retry_ms)
  end
  if err then
    self.report(err, message)
  elseif ok and not done then
    self.report(late(message), message)
  end
end

-- The next message. Was there one?
local function step(self)
  local message, err = self.proxy.pop(self.opts.lease_ms or nil)
  if not message then return false, err end
  work(self, message)
  return true
end

local rule = follower.options {
  { "lease_ms", schema.integer(1, MS_MAX, "ms") },
  { "retry_ms", schema.integer(0, MS_MAX, "ms"), default = RETRY_MS },
}

--- Runs fn(value, message) for one message after the other, in a coroutine of
-- its own; fn may wait. Several workers at once are several calls.
-- @param opts lease_ms: that of the queue by default; poll_ms: how often to ask
--   where no events are heard; retry_ms: how long a message waits after fn has
--   raised; error: function(err, message) hears that, what else goes wrong, and
--   the error with which a worker ends
-- @return the worker: `worker:close()`; what it works on is worked to its end
function M.start(proxy, fn, opts)
  local worker = follower.start {
    name = "queue.worker", event = "ready", step = step, rule = rule,
    proxy = proxy, fn = fn, opts = opts,
  }
  return worker  -- no tail call: whom errors blame is counted from here
end

return M
