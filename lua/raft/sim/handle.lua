--- A node as the script of a simulation sees it: the calls of raft.node, on
-- whatever process runs under that id. Answers come on the script's loop; a
-- node that dies meanwhile answers `closed`, outcome unknown.
local errors = require "raft.errors"
local schema = require "raft.schema"
local services = require "raft.sim.services"
local waiting = require "raft.waiting"

local M = {}

local SLACK_MS <const> = 100  -- after its own time-out, for a stopped process

local Handle = {}

local members = setmetatable({}, { __mode = "k" })

local function member_of(handle)
  return members[handle] or error("call it with a colon, on the node", 3)
end

-- The answer of a process that stands still does not come in time.
local function bounded(member, opts, answer)
  if not opts.timeout then return answer end
  local loop = member.sim.script.scheduler
  local is_answered, timer = false, nil
  local function once(err, result)
    if is_answered then return end
    is_answered = true
    loop:close(timer)
    answer(err, result)
  end
  timer = loop:after(opts.timeout + SLACK_MS, function()
    once(errors.new("timeout", ("%s has not answered in %d ms"):format(
      member.id, opts.timeout), { outcome = "unknown" }))
  end)
  return once
end

--- Raises for a command that is none, as the node would: there it would end
-- the process, and the run with it. Level 4 is the script.
function M.check_command(name, command)
  if type(command) == "string" then return end
  error(("%s: expected the command as a string, got %s (raft.codec.encode "
    .. "makes one of any plain value)"):format(name, type(command)), 4)
end

-- Calls the method of the same name in the process, and notes what came of it.
local function forwarded(name, spec)
  local kind = spec.kind
  spec.name = "node:" .. name
  spec.start = function(self, opts, answer, argument)
    local member = member_of(self)
    if name == "propose" then M.check_command(spec.name, argument) end
    local history = kind and member.sim.operations
    local operation = history and history:begin(member.id, kind, argument)
    local once = bounded(member, opts, function(err, result)
      if operation then history:finish(operation, err, result) end
      answer(err, result)
    end)
    M.call(member, name, spec.args, argument, opts, once)
  end
  Handle[name] = waiting.method(spec)
end

-- What the library promises of an answer, looked at when it is given.
local function check_answer(member, name, opts, covered, err)
  if err then return end
  local invariants = member.sim.invariants
  if name == "propose" then
    invariants:told(member)
  elseif opts.consistency == "linearizable" and not opts.at_least then
    invariants:read_answered(member, covered)
  end
end

-- The options as they were given: an absent one is false among checked ones.
local function as_given(opts)
  local given = {}
  for name, value in pairs(opts) do given[name] = value end
  given.at_least = opts.at_least or nil
  return given
end

--- Calls node:<name> in the member's process: done(err, result).
function M.call(member, name, args, argument, opts, done)
  local covered = member.sim.invariants:acknowledged()
  opts = as_given(opts)
  member:call(function(node, answer)
    local function answered(err, result)
      check_answer(member, name, opts, covered, err)
      answer(err, result)
    end
    if args == 0 then return node[name](node, opts, answered) end
    node[name](node, argument, opts, answered)
  end, done)
end

--- A call whose request may be left out, and may be a table: so a lone table is
-- the request, and no options.
function M.optional(ask)
  return function(self, ...)
    local is_left_out = select("#", ...) == 0 or type((...)) == "function"
    if is_left_out then return ask(self, nil, ...) end
    return ask(self, ...)
  end
end

local read_options = {
  { "consistency", schema.text, default = "linearizable" },
  { "at_least", schema.text },
}

forwarded("propose", { args = 1, kind = "propose",
  options = { { "forward", schema.boolean, default = true } } })
forwarded("query", { args = 1, kind = "query", options = read_options })
Handle.query = M.optional(Handle.query)
forwarded("read", { args = 0, kind = "read", options = read_options })
forwarded("ready", { args = 0 })
forwarded("transfer", { args = 1, is_optional = true })
forwarded("take_snapshot", { args = 0 })

-- The calls that change the cluster. What is not asked for is not passed on.
local NOT_GIVEN <const> = {}

local function any(value) return value end

local function changing(name, args, options)
  local fields = {}
  for i, option in ipairs(options) do
    fields[i] = { option, any, default = NOT_GIVEN }
  end
  Handle[name] = waiting.method {
    name = "node:" .. name, args = args, timeout = false, options = fields,
    start = function(self, opts, answer, a, b)
      local member, given = member_of(self), {}
      for option, value in pairs(opts) do
        if value ~= NOT_GIVEN then given[option] = value end
      end
      member:call(function(node, done)
        if args == 2 then return node[name](node, a, b, given, done) end
        node[name](node, a, given, done)
      end, bounded(member, opts, answer))
    end,
  }
end

changing("add", 2, { "role", "priority", "force" })
changing("remove", 1, { "force" })
changing("change", 1, { "force", "quorum", "leases", "election_timeout_min" })

-- stop is answered by its own callback, which has no result to give.
Handle.stop = waiting.method {
  name = "node:stop", args = 0,
  start = function(self, opts, answer)
    local member = member_of(self)
    M.call(member, "stop", 0, nil, opts, bounded(member, opts, function(err)
      if not err then member:stopped() end
      answer(nil, true)
    end))
  end,
}

for _, name in ipairs { "status", "leader", "is_leader", "members", "token",
  "on", "off", "close" } do
  Handle[name] = function(self, ...) return member_of(self):ask(name, ...) end
end

--- The proxy of a service of the node.
function Handle:service(name, opts)
  local proxy = services.of_member(self, member_of(self), name, opts)
  return proxy
end

--- For the waiting calls: where answers come.
function Handle:defer(fn) member_of(self).sim.script.scheduler:defer(fn) end
function Handle:report(err) member_of(self).sim.script.scheduler:report(err) end

--- The handle of a member.
function M.new(member)
  local handle = setmetatable({ id = member.id }, {
    __index = function(self, name)
      if Handle[name] ~= nil then return Handle[name] end
      return services.field(self, member, name)
    end,
    __name = "raft.sim.node",
    __tostring = function()
      return ("raft.sim.node %s (%s)"):format(member.id, member.state)
    end,
  })
  members[handle] = member
  return handle
end

return M
