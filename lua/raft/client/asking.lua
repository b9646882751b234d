--- The calls of a client that are those of a node: sent as they are, by name.
-- The node says what is wrong with them.
local Connection = require "raft.client.connection"
local codec = require "raft.codec"
local errors = require "raft.errors"
local frames = require "raft.client.frames"
local limits = require "raft.client.limits"
local schema = require "raft.schema"

local M = {}

local ASIDE_ID <const> = 2   -- of the only request on a connection of its own
local NOT_GIVEN <const> = {} -- what was not given is not asked for

-- The node looks at it.
local function as_it_is(value) return value end

local function options(...)
  local fields = {}
  for i, name in ipairs { ... } do
    fields[i] = { name, as_it_is, default = NOT_GIVEN }
  end
  return fields
end

--- Name -> what raft.waiting needs of it; `names_node`: its argument is the
-- node that is asked; `acts`: it is no mere question, and not asked again.
M.METHODS = {
  ready = { args = 0 },
  members = { args = 0 },
  read = { args = 0, options = {
    { "consistency", schema.one_of { "linearizable", "lease", "stale" },
      default = "linearizable" },
    { "at_least", schema.text, default = NOT_GIVEN },
  } },
  status = { args = 1, is_optional = true, names_node = true },
  take_snapshot = { args = 1, is_optional = true, names_node = true,
    acts = true },
  transfer = { args = 1, is_optional = true, acts = true },
  add = { args = 2, timeout = false, acts = true,
    options = options("role", "priority", "force") },
  remove = { args = 1, timeout = false, acts = true,
    options = options "force" },
  change = { args = 1, timeout = false, acts = true,
    options = options("force", "quorum", "leases", "election_timeout_min") },
}

local ANYWHERE <const> = { status = true, members = true }

-- What a call says, as bytes. The node has less time than we have.
local function body_of(name, spec, opts, a, b)
  local said = {}
  for key, value in pairs(opts) do
    if value ~= NOT_GIVEN then said[key] = value end
  end
  if opts.timeout then said.timeout = math.max(1, opts.timeout - 5) end
  local first = not spec.names_node and a or nil
  return codec.encode { name = name, a = first, b = b, opts = said }
end

--- The request that asks what a service has.
function M.service(name)
  return { kind = "question", is_anywhere = true,
    body = codec.encode { name = "service", a = name, opts = {} } }
end

-------------------------------------------------------------- other nodes --

-- How often a node writes: all of a cluster alike.
local function ping_ms(self)
  local connection = self.search:any()
  return connection and connection.head.ping_ms
end

-- Asks one node on a connection of its own.
-- @param deadline in now(), or false
local function ask_aside(self, where, body, deadline, answer)
  local connection, timer
  local function finish(err, result)
    if self.asides[timer] == nil then return end
    self.asides[timer] = nil
    self.sockets:close(timer)
    connection:close("done", nil, true)
    answer(err, result)
  end
  timer = self.sockets:timer()
  self.asides[timer] = finish
  if deadline then
    self.sockets:start(timer, math.max(1, deadline - self:now()), 0, function()
      finish(errors.new("timeout", "no answer from " .. where))
    end)
  end
  connection = Connection.dial {
    sockets = self.sockets, id = self.id, cluster = self.cluster, where = where,
    ping_ms = ping_ms(self),
    opened = function(own)
      own.writer:frame(frames.KINDS.call, ASIDE_ID, 0, body)
      own:flush()
    end,
    result = function(_, _, _, ok, value)
      if ok then return finish(nil, value) end
      finish(value)
    end,
    closed = function(_, reason)
      finish(errors.new("unknown", where .. ": " .. reason))
    end,
  }
end

--- Ends what is asked of single nodes.
function M.finish_asides(self)
  local all = {}
  for _, finish in pairs(self.asides) do all[#all + 1] = finish end
  for _, finish in ipairs(all) do
    finish(errors.new("closed", "the client was closed",
      { outcome = "unknown" }))
  end
end

-- The members are asked for first: they say where it is.
local function ask_node(self, ask, id, body, opts, answer, can_wait)
  local deadline = opts.timeout and self:now() + opts.timeout
  local function found(err, members)
    if err then return answer(err) end
    local member = members[id]
    if not member then
      return answer(errors.new("bad_membership", id .. " is no member"))
    end
    local where = type(member) == "table" and member.address or member
    ask_aside(self, where, body, deadline, answer)
  end
  local spec = M.METHODS.members
  ask(self, opts, found, can_wait, { kind = "question", is_anywhere = true,
    body = body_of("members", spec, { timeout = opts.timeout }) })
end

----------------------------------------------------------------------- ask --

--- Asks what a method of the client was called for.
-- @param ask function(self, opts, answer, can_wait, request)
function M.start(self, ask, name, opts, answer, a, b, can_wait)
  local spec = M.METHODS[name]
  local body = body_of(name, spec, opts, a, b)
  if not spec.names_node or a == nil then
    local kind = spec.acts and "call" or "question"
    return ask(self, opts, answer, can_wait, { kind = kind, body = body,
      is_anywhere = ANYWHERE[name] or false })
  elseif type(a) ~= "string" then
    error(("client:%s: expected the id of a node, got %s"):format(name,
      type(a)), 4)
  end
  ask_node(self, ask, a, body, opts, answer, can_wait)
end

--- Tells the cluster that the session is not needed any more, if that can be
-- told at once.
function M.say_goodbye(self)
  local connection = self.search:usable()
  if not connection or not self.requests.session.id then return end
  connection.writer:frame(frames.KINDS.session, 1 << 40, limits.MAY_FORWARD,
    self.requests.session:closing())
  connection:flush()
end

return M
