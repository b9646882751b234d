--- What looks at a service again and again, in a coroutine of its own: when an
-- event tells that there is something to see, where the proxy hears events, and
-- every poll_ms. Watches and workers are made of it.
local Bell = require "raft.services.support.bell"
local Machine = require "raft.machine"
local guard = require "raft.guard"
local proxies = require "raft.service.proxy"
local schema = require "raft.schema"
local task = require "raft.task"

local M = {}

local POLL_MS <const> = 1000  -- unless it is said otherwise

-- Errors after which there is nothing to ask again.
local FINAL <const> = { closed = true, failed = true, unsupported = true }

local Follower = { __name = "raft.services.support.follower" }
Follower.__index = Follower

--- A rule for the options: poll_ms and error, and these fields.
function M.options(fields)
  local all = {
    { "poll_ms", schema.integer(1, 1 << 31, "ms"), default = POLL_MS },
    { "error", schema.callable },
  }
  return schema.fields(table.move(fields, 1, #fields, #all + 1, all))
end

-- What the user's functions raise is told, and ends nothing.
function Follower:call(fn, ...)
  guard.run(self.name, self.report, fn, ...)
end

--- Ends it, as soon as what it is at has ended.
function Follower:close()
  if self.is_closed then return end
  self.is_closed = true
  if self.heard then self.proxy.off(self.event, self.heard) end
  self.bell:ring()
end

Follower.__close = Follower.close

local function run(self)
  while not self.is_closed do
    local has_more, err = self.step(self)
    if err and FINAL[err.code] then
      self.report(err)
      break
    elseif not has_more and not self.is_closed then
      self.bell:wait(self.poll_ms)
    end
  end
  self:close()
end

-- Level 4 is the user.
local function check_function(spec)
  if type(spec.fn) == "function" then return end
  error(("%s: expected a function, got %s"):format(spec.name,
    schema.show(spec.fn)), 4)
end

--- Starts it; it has everything of `spec` as fields.
-- @param spec name: of the call that made it, for messages; proxy; event: after
--   which there is something to see; fn: the user's function; opts: the user's,
--   and `rule` for them, of M.options; step(self), which looks once: is there
--   more to see at once?, an error or nil
-- @return the object: obj:close(), and what spec says. Level 3 is the user
function M.start(spec)
  Machine.check_outside(spec.name)
  check_function(spec)
  local opts, bell = schema.check(spec.name, 4, spec.rule, spec.opts or {}),
    Bell.new()
  spec.opts, spec.poll_ms, spec.bell = opts, opts.poll_ms, bell
  spec.report = opts.error or function(err) bell:report(err) end
  spec.is_closed, spec.heard = false, false
  local self = setmetatable(spec, Follower)
  if proxies.can_hear(self.proxy) then
    self.heard = self.proxy.on(self.event, function() bell:ring() end)
  end
  task.spawn(function() run(self) end)
  return self
end

return M
