--- Somebody who asks the nodes of a simulated cluster themselves, and goes on
-- to another one where an answer says that nothing has happened. What may have
-- happened is not tried again, and answered as it is: `unknown` is an answer.
-- So it shows what a node tells, which a client would not.
local errors = require "raft.errors"
local handle = require "raft.sim.handle"
local schema = require "raft.schema"
local token = require "raft.token"
local waiting = require "raft.waiting"

local M = {}

local PAUSE_MS <const> = 20      -- before another try
local FORWARDS <const> = 0.2     -- share of proposals that may be passed on
local ATTEMPT_MS <const> = 1000  -- of a read, which may be asked again

local Caller = { __name = "raft.sim.caller" }
Caller.__index = Caller

-------------------------------------------------------------- where to ask --

-- The node that an answer names, the leader we know, or any that is up.
local function choose(self)
  local sim = self.sim
  local hinted = self.hint and sim.members[self.hint]
  self.hint = false
  if hinted and hinted:is_up() then return hinted end
  local leader = sim:leader()
  if leader and self.random:chance(0.9) then return sim.members[leader] end
  local picked = sim.members[self.random:pick(sim.ids)]
  if sim:is_outside(picked) then
    return sim.members[sim.ids[self.random:between(1, sim.options.initial)]]
  end
  return picked
end

-- Did it certainly not happen, so that another try is no second one?
local function may_try_again(err, is_read)
  if err.code == "failed" or err.code == "closed" or err.code == "not_leader"
    or err.code == "busy" or err.code == "lost" or err.code == "unsupported"
    or err.code == "diverged"
  then  -- of these the last: a witness, or one whose state is another
    return is_read or err.outcome == "none"
  end
  return is_read and (err.code == "timeout" or err.code == "unknown")
end

local function attempt(self, call)
  local left_ms = call.opts.timeout
    and math.ceil((call.deadline - self.sim.world.now) / 1000000)
  if left_ms and left_ms <= 0 then return call.finish(call.err) end
  local opts = {}
  for name, value in pairs(call.opts) do opts[name] = value end
  opts.timeout = call.is_read and math.min(left_ms or ATTEMPT_MS, ATTEMPT_MS)
    or left_ms
  local member = choose(self)
  if call.name == "propose" then
    opts.forward = self.random:chance(FORWARDS)
    local is_passed_on = opts.forward and member.id ~= self.sim:leader()
    if is_passed_on then self.sim.marks:see("forward") end
  end
  handle.call(member, call.name, call.args, call.argument, opts,
    function(err, result)
      if self.is_closed then return end
      if not err or not may_try_again(err, call.is_read) then
        return call.finish(err, result)
      end
      call.err, self.hint = err, err.leader or false
      self.loop:after(PAUSE_MS, function()
        if not self.is_closed then attempt(self, call) end
      end)
    end)
end

-------------------------------------------------------------------- calls --

local function begin(self, opts, answer, call)
  local sim = self.sim
  if self.is_closed then
    return answer(errors.new("closed", "the caller is closed",
      { outcome = "none" }))
  end
  local operation = sim.operations:begin(self.name, call.name, call.argument)
  call.opts = opts
  call.deadline = sim.world.now + (opts.timeout or 0) * 1000000
  call.err = errors.new("timeout", ("not done after %s ms"):format(
    tostring(opts.timeout)), { outcome = "none" })
  self.open[operation.number] = call
  call.finish = function(err, result)
    if not self.open[operation.number] then return end
    self.open[operation.number] = nil
    sim.operations:finish(operation, err, result)
    if operation.outcome == "unknown" then sim.marks:see("unknown") end
    answer(err, result)
  end
  attempt(self, call)
end

local read_options = {
  { "consistency", schema.text, default = "linearizable" },
  { "at_least", schema.text },
}

local function method(name, args, is_read, options)
  Caller[name] = waiting.method {
    name = "caller:" .. name, args = args, options = options,
    start = function(self, opts, answer, argument)
      if name == "propose" then
        handle.check_command("caller:propose", argument)
      end
      begin(self, opts, answer, { name = name, args = args,
        argument = argument, is_read = is_read })
    end,
  }
end

method("propose", 1, false)
method("query", 1, true, read_options)
Caller.query = handle.optional(Caller.query)
method("read", 0, true, read_options)
method("ready", 0, true)

-- The handle of a node; of the leader, or of who is up, where none is named.
local function handle_of(self, id)
  local sim = self.sim
  id = id or sim:leader()
  for _, other in ipairs(sim.ids) do
    if not id and sim.members[other]:is_up() then id = other end
  end
  return sim:node(id or sim.ids[1])
end

-- What a person does and not a program: asked once, of the leader.
for _, name in ipairs { "add", "remove", "change", "transfer" } do
  Caller[name] = function(self, ...)
    local node = handle_of(self)
    return node[name](node, ...)
  end
end

--- A node's snapshot, now.
function Caller:take_snapshot(id, ...)
  return handle_of(self, id):take_snapshot(...)
end

--- Covers everything that was acknowledged to this client, and more.
function Caller:token()
  return token.make(self.sim.invariants:acknowledged())
end

--- A node's status; of the leader where no id is given.
function Caller:status(id)
  local member = self.sim.members[id or self.sim:leader() or self.sim.ids[1]]
  return member:ask("status")
end

--- The members of the cluster.
function Caller:members()
  return self.sim.members[self.sim:leader() or self.sim.ids[1]]:ask("members")
end

function Caller:defer(fn) self.loop:defer(fn) end
function Caller:report(err) self.loop:report(err) end

--- Ends it; what is under way is answered `closed`, outcome unknown.
function Caller:close()
  if self.is_closed then return end
  local numbers = {}
  for number in pairs(self.open) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  for _, number in ipairs(numbers) do
    self.open[number].finish(errors.new("closed", "the caller was closed",
      { outcome = "unknown" }))
  end
  self.is_closed = true
end

Caller.__close = Caller.close

--- Somebody who calls the nodes of this simulation.
function M.new(sim, name)
  return setmetatable({
    sim = sim,
    name = name,
    loop = sim.script.scheduler,
    random = sim.world:random("client " .. name),
    hint = false,       -- whom the last answer named as leader
    open = {},          -- number of the operation -> call under way
    is_closed = false,
  }, Caller)
end

return M
