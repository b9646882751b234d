--- raft.sim: a whole cluster in one process, in virtual time, from one seed.
-- The nodes are those of raft.node: core, storage, transport and the user's
-- own functions, unchanged. What is simulated is the machine under them: luv,
-- clocks, network, disks. See docs/SIMULATION.md.
--
-- Promises. The same seed and the same script give the same run, byte for
-- byte. After every turn of every process the invariants of Raft are looked
-- at; what breaks them ends the run with an error that names the seed.
local Clients = require "raft.sim.clients"
local History = require "raft.sim.history"
local Invariants = require "raft.sim.invariants"
local Marks = require "raft.sim.marks"
local Member = require "raft.sim.member"
local Network = require "raft.sim.network"
local Operator = require "raft.sim.operator"
local Script = require "raft.sim.script"
local Trace = require "raft.sim.trace"
local World = require "raft.sim.world"
local errors = require "raft.errors"
local explore = require "raft.sim.explore"
local faults = require "raft.sim.faults"
local handle = require "raft.sim.handle"
local option_rules = require "raft.sim.options"
local schema = require "raft.schema"

local M = {}

local WALL_MS <const> = 1780000000000  -- when simulations begin
local WAIT_MS <const> = 60000
local Sim = { __name = "raft.sim" }
Sim.__index = Sim

for name, method in pairs(faults.methods) do Sim[name] = method end

--------------------------------------------------------------- what is asked --

--- id -> address and priority of those that form the cluster, as the option
-- `members` has it: a new table.
function Sim:addresses()
  local addresses = {}
  for i = 1, self.options.initial do
    local id = self.ids[i]
    addresses[id] = { address = self.members[id].address,
      priority = self.options.priority[id] or 0 }
  end
  return addresses
end

--- Does this one still wait to be added to the cluster?
function Sim:is_outside(member)
  if self.options.initial == #self.ids then return false end
  for i = 1, self.options.initial do
    if self.ids[i] == member.id then return false end
  end
  return not (member.driver and member.driver.formed)
end

--- Where the cluster knows this node, as far as anybody has heard.
function Sim:address_of(id)
  local config = self.operator and self.operator:config()
  local known = config and config.members[id]
  return known and known.address or self.members[id].address
end

--- The id of the node that leads the newest term, or nil.
function Sim:leader()
  local found, term = nil, -1
  for _, id in ipairs(self.ids) do
    local member = self.members[id]
    local driver = member:is_up() and member.driver
    if driver and driver.role == "leader" and driver.term > term then
      found, term = id, driver.term
    end
  end
  return found
end

--- A node, with the calls of raft.node. It stays good over restarts.
function Sim:node(id)
  return self.handles[faults.member(self, id, "node").id]
end

--- A client of the cluster.
-- @param name of its operations in the history; a number by default
function Sim:client(name, options)
  return self.clients:open(name, options)
end

--- Somebody who asks the nodes themselves.
function Sim:caller(name)
  return self.clients:caller(name)
end

--- What clients asked for and what came of it: see raft.sim.history.
function Sim:history()
  return self.operations:list()
end

--- 32 hexadecimal digits that cover everything that has happened.
function Sim:digest()
  return self.trace:digest()
end

--- Virtual ms since the beginning.
function Sim:now()
  return self.world.now / World.NS_PER_MS
end

--------------------------------------------------------------------- running --

-- After every event of the world.
local function look(self)
  local broken = self.invariants.broken
  if broken and not self.is_reported then
    self.is_reported = true
    error(errors.new("failed", ("raft.sim: %s (seed %d)"):format(broken,
      self.seed), { seed = self.seed, broken = broken }), 0)
  end
end

--- With a function: runs it in a coroutine until it returns, and hands on its
-- results and errors. With a number: lets so many virtual ms pass.
function Sim:run(what)
  if type(what) == "number" then
    if self.script:is_inside() then return self.script:sleep(what) end
    return self.script:pass(what)
  elseif type(what) ~= "function" then
    error("raft.sim: s:run: expected a function or ms, got "
      .. schema.show(what), 2)
  end
  return self.script:run(what)
end

--- Lets virtual ms pass: suspends the coroutine, where there is one.
function Sim:sleep(ms) return self:run(ms) end

--- Starts fn in a coroutine of its own: a task, task:wait().
function Sim:spawn(fn) return self.script:spawn(fn) end

--- Waits until predicate() is true: its value; or nil and the error `timeout`.
function Sim:wait(predicate, ms)
  return self.script:wait(predicate, ms or WAIT_MS)
end

--- Has every node had the first entry of the log on its disk? Before that the
-- cluster needs all its voters; a quorum is not enough.
function Sim:is_formed()
  for i = 1, self.options.initial do
    if not self.members[self.ids[i]].has_formed then return false end
  end
  return true
end

-- Who belongs to the cluster, as its leader knows it, in the order of ids.
local function members_of(self)
  local leader = self:leader()
  local config = leader and self.members[leader].driver.config
  local ids = {}
  for i, id in ipairs(self.ids) do
    local is_in = i <= self.options.initial
    if config then is_in = config.members[id] ~= nil end
    if is_in then ids[#ids + 1] = id end
  end
  return ids
end

--- Are all members up, and their logs and machines equal, with nothing open?
function Sim:is_settled()
  local first
  for _, id in ipairs(members_of(self)) do
    local member = self.members[id]
    local standing = member:is_up() and member:standing()
    if not standing or (first and standing ~= first) then return false end
    first = standing
  end
  return self:leader() ~= nil
end

--- Does everything hold that must? true, or nil and an error.
function Sim:check()
  local broken = self.invariants.broken
  if not broken then return true end
  return nil, errors.new("failed", ("%s (seed %d)"):format(broken, self.seed),
    { seed = self.seed, broken = broken })
end

--- Ends it: no process of it runs any more.
function Sim:close()
  if self.is_closed then return end
  self.is_closed = true
  for _, id in ipairs(self.ids) do self.members[id]:close() end
  self.script:close()
end

Sim.__close = Sim.close

function Sim:__tostring()
  return ("raft.sim seed=%d nodes=%d at %.3f ms"):format(self.seed, #self.ids,
    self:now())
end

---------------------------------------------------------- for its members --

--- How much faster than the world this member's clock goes, in ppm.
function Sim:draw_rate(id)
  local spread = self.options.clock.rate_ppm
  if spread == 0 then return 0 end
  return self.world:random("clock " .. id):between(-spread, spread)
end

--- Options of its wall clock.
function Sim:wall_options(id)
  local spread = self.options.clock.offset_ms
  local offset = spread == 0 and 0
    or self.world:random("wall " .. id):between(-spread, spread)
  return { wall_ms = WALL_MS + offset, rate_ppm = self.members[id].rate_ppm }
end

--- A turn of its process is over.
function Sim:after_turn(member)
  self.invariants:look(member)
  self.clients:look(member)
  if not member.has_formed then
    member.has_formed = (member:stored() or 0) > 0
  end
end

--- A node has failed, or could not start. A directory that does not count must
-- be refused; and damage may be so deep that a start is.
function Sim:member_failed(member, err)
  local is_refused = err.code == "rolled_back" or err.code == "duplicate_id"
  if is_refused and member:is_without_rights() then
    self.marks:see("refused")
    return
  elseif err.code == "corrupt" and member.rotten_last > 0 then
    return member:give_up()
  elseif self.options.may_fail and not is_refused and err.code ~= "diverged"
  then
    self.marks:see("disk_error")
    return
  end
  self.invariants:fail(member, "the node failed: %s", errors.text(err))
end

---------------------------------------------------------------- construction --

local function build(self)
  for i, id in ipairs(self.ids) do
    local member = Member.new(self, id, i)
    self.members[id] = member
    self.handles[id] = handle.new(member)
    self.network:name(id, member.ip)
  end
  for _, id in ipairs(self.ids) do self.members[id]:start() end
end

--- A simulation; all its nodes are started.
-- @param options see docs/SIMULATION.md
-- @raise when an option is wrong, naming it
function M.new(options)
  local checked = option_rules.check(options)
  local world = World.new(checked.seed)
  local trace = Trace.new(world, checked.trace)
  local self
  self = setmetatable({
    seed = checked.seed,
    options = checked,
    ids = checked.ids,
    world = world,
    trace = trace,
    network = Network.new(world, checked.network),
    script = Script.new(world, function() look(self) end),
    operations = History.new(world, trace),
    marks = Marks.new(),
    invariants = false,
    members = {},        -- id -> raft.sim.member
    operator = false,    -- changes the cluster, for plans
    handles = {},        -- id -> what s:node gives
    clients = false,     -- who asks from outside
    is_reported = false, -- was the broken invariant raised?
    is_planned = false,  -- do plans of faults see to what must not be?
    is_quiet = false,    -- do plans of faults have an effect no more?
    is_closed = false,
  }, Sim)
  self.invariants = Invariants.new(self)
  self.operator = Operator.new(self)
  self.clients = Clients.new(self)
  self.network.note = function(...) self.trace:note("network", ...) end
  build(self)
  return self
end

--- Many seeds, each under a swarm of faults: see raft.sim.explore.
function M.explore(options)
  return explore.explore(options, M.new)
end

return M
