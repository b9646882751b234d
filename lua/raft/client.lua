--- A client of a cluster, in a process that is no node: finds who leads,
-- follows it, asks again. What it proposes is applied once. docs/CLIENTS.md.
local Logger = require "raft.logger"
local Machine = require "raft.machine"
local Requests = require "raft.client.requests"
local Search = require "raft.client.search"
local Sockets = require "raft.transport.sockets"
local asking = require "raft.client.asking"
local errors = require "raft.errors"
local option_rules = require "raft.client.options"
local proposing = require "raft.client.proposing"
local raft_core = require "raft.core"
local scheduler = require "raft.scheduler"
local schema = require "raft.schema"
local sending = require "raft.client.sending"
local services = require "raft.client.services"
local token = require "raft.token"
local waiting = require "raft.waiting"

local M = {}

local LOOK_MS <const> = 1000  -- how often what waits is looked at, at least

local Client = {}

-- client -> Inside; a client has no fields of its own.
local insides = setmetatable({}, { __mode = "k" })

local Inside = { __name = "raft.client.inside" }
Inside.__index = Inside

--------------------------------------------------------------------- inside --

function Inside:now()
  return self.sockets:now()
end

--- Something may be sent: soon, from the loop, with all else of this turn.
function Inside:changed()
  if self.is_due or self.is_closed then return end
  self.is_due = true
  self.scheduler:defer(self.on_due)
end

-- Arms the timer.
local function wake(self, at)
  if self.wake_at and self.wake_at <= at then return end
  self.wake_at = at
  self.timer = self.timer or self.sockets:timer()
  self.sockets:start(self.timer, math.max(1, at - self:now()), 0, function()
    self.wake_at = false
    if not self.is_closed then self:look() end
  end)
end

--- Looks again at that time.
function Inside:wake(at) wake(self, at) end

--- Sends what can be sent, gives up what is overdue.
function Inside:look()
  local now, requests = self:now(), self.requests
  local refusal = self.search:hopeless()
  if refusal then
    requests:finish(function(is_sent)
      return errors.new(refusal.code, refusal.text,
        { outcome = is_sent and "unknown" or "none" })
    end)
  end
  requests:keep_session()
  requests:dispatch()
  local soonest = requests:sweep(now)
  if soonest then wake(self, soonest) end
  if requests.session.id then wake(self, now + LOOK_MS) end
end

--- Runs fn soon from the loop.
function Inside:defer(fn) self.scheduler:defer(fn) end

--- Takes an error that nobody waits for.
function Inside:report(err) self.scheduler:report(err) end

--- A node of this cluster will be asked.
function Inside:met(identity)
  self.requests:met(identity)
end

--- The connection has ended.
function Inside:lost()
  self.requests:lost()
  self:changed()
end

-- Submits; level 3 is the user.
local function ask(self, opts, answer, can_wait, request)
  if self.is_closed then
    return answer(errors.new("closed", "the client is closed"))
  end
  request.answer = answer
  request.deadline = opts.timeout and self:now() + opts.timeout
  self.requests:add(request, can_wait)
  if not self.is_due then self:changed() end
end

--------------------------------------------------------------------- calls --

local function inside_of(client, call)
  local self = insides[client]
  if self then return self end
  error(call .. ": call it with a colon, on the client", 3)
end

--- Runs fn soon from the loop. (For the waiting calls.)
function Client:defer(fn)
  insides[self].scheduler:defer(fn)
end

--- Takes an error that nobody waits for. (For the waiting calls.)
function Client:report(err)
  insides[self].scheduler:report(err)
end

local function timeout_of(client)
  return insides[client].options.timeout
end

local function method(name, spec)
  spec.name = "client:" .. name
  spec.check = function() Machine.check_outside(spec.name) end
  if spec.timeout == nil then spec.timeout_of = timeout_of end
  Client[name] = waiting.method(spec)
end

Client.propose = proposing.method {
  ask = ask, insides = insides, timeout_of = timeout_of }

local read_options = {
  { "consistency", schema.one_of { "linearizable", "lease", "stale" },
    default = "linearizable" },
  { "at_least", schema.text },
}

local query = waiting.method {
  name = "client:query", args = 1, options = read_options,
  timeout_of = timeout_of,
  check = function() Machine.check_outside("client:query") end,
  start = function(self, opts, answer, request, _, can_wait)
    ask(insides[self], opts, answer, can_wait, sending.query(request, opts))
  end,
}

-- A request may be a table, so a lone table is one, and no options.
function Client:query(...)
  local is_left_out = select("#", ...) == 0 or type((...)) == "function"
  if is_left_out then return query(self, nil, ...) end
  return query(self, ...)
end

-- The other calls are those of a node: name -> what waiting.method needs.
for name, spec in pairs(asking.METHODS) do
  method(name, {
    args = spec.args, is_optional = spec.is_optional, options = spec.options,
    timeout = spec.timeout,
    start = function(self, opts, answer, a, b, can_wait)
      asking.start(insides[self], ask, name, opts, answer, a, b, can_wait)
    end,
  })
end

-- Asks a node what a service has.
local function describe(self)
  return function(name, opts, done)
    ask(self, opts, done, true, asking.service(name))
  end
end

--- The proxy of a service of the nodes.
-- @param opts timeout, consistency, at_least: of all calls through it
function Client:service(name, opts)
  Machine.check_outside("client:service")
  local self_ = inside_of(self, "client:service")
  local proxy = services.new(self, name, opts, describe(self_), 2)
  return proxy
end

--- A string that covers everything acknowledged to this client object.
function Client:token()
  Machine.check_outside("client:token")
  return token.make(inside_of(self, "client:token").requests.acknowledged)
end

--- Ends it: what is still open is answered `closed`. Twice is no harm.
function Client:close()
  Machine.check_outside("client:close")
  local self_ = inside_of(self, "client:close")
  if self_.is_closed then return end
  self_.is_closed = true
  asking.say_goodbye(self_)
  asking.finish_asides(self_)
  self_.scheduler:release(self_.held)
  self_.search:close()
  self_.sockets:close(self_.timer)
  self_.requests:finish(function(is_sent)
    return errors.new("closed", "the client was closed",
      { outcome = is_sent and "unknown" or "none" })
  end)
end

-------------------------------------------------------------- construction --

local function metatable_of(self)
  return {
    __index = Client,
    __newindex = function(_, key)
      error(("client.%s: a client takes no fields"):format(tostring(key)), 2)
    end,
    __name = "raft.client",
    __tostring = function()
      return ("raft.client of %s%s"):format(self.cluster,
        self.is_closed and " (closed)" or "")
    end,
    __close = function(client) client:close() end,
  }
end

local function new_inside(options)
  local loop = scheduler.of(options.uv)
  local self = setmetatable({
    options = options,
    cluster = options.cluster,
    max_pending_bytes = options.max_pending_bytes,
    session_ms = options.session_ms,
    scheduler = loop,
    sockets = false,    -- set below: these three report to us
    search = false, requests = false, logger = false,
    asides = {},        -- timer -> function(err): what one node is asked
    id = false,         -- what we call ourselves to nodes
    timer = false, wake_at = false,
    is_due = false,     -- will look() be called soon?
    on_due = false,     -- by this
    is_closed = false,
    held = false,       -- raft.run ends us with the loop
  }, Inside)
  self.on_due = function()
    self.is_due = false
    if not self.is_closed then self:look() end
  end
  self.sockets = Sockets.new(options.uv, function(fn)
    return function(...)
      local ok, what = loop:enter(fn, ...)
      if not ok then loop:report("a fault of the client: " .. what) end
    end
  end)
  self.id = ("client-%08x"):format(
    (self.sockets:random() * (1 << 32)) // 1 | 0)
  self.logger = Logger.new(options.log, { fields = { client = self.id },
    wall_ms = function() return raft_core.host.wall() end })
  self.search = Search.new(self, options.addresses)
  self.requests = Requests.new(self)
  return self
end

--- A client; it connects when it is first asked for something.
-- @param options see docs/API.md
-- @raise when an option is wrong, naming it
function M.new(options)
  local checked = option_rules.client(options)
  checked.uv = checked.uv or scheduler.uv()
  local self = new_inside(checked)
  local client = setmetatable({}, metatable_of(self))
  insides[client] = self
  self.held = self.scheduler:hold(function() client:close() end)
  return client
end

return M
