--- Drives one replica: facts from luv become events, effects become I/O.
--   poll: reads, disk completions -> core events        (any callback)
--   check: tick if due, flush, apply a slice, callbacks (once per turn)
--   prepare: flush what timers and callbacks proposed, arm the timer
--
-- Promises. Nothing of the user runs inside a flush. A failure of ours, or of
-- the disk, is final: nothing held is sent. The loop never sleeps on work.
local Machine = require "raft.machine"
local replica_state = require "raft.replica_state"
local Health = require "raft.node.health"
local Membership = require "raft.node.membership"
local Patience = require "raft.node.patience"
local Services = require "raft.node.services"
local Snapshots = require "raft.node.snapshots"
local applying = require "raft.node.applying"
local effects = require "raft.node.effects"
local errors = require "raft.errors"
local proposals = require "raft.node.proposals"
local reads = require "raft.node.reads"
local repair = require "raft.node.repair"
local ring = require "raft.ring"
local telling = require "raft.node.telling"
local transfers = require "raft.node.transfers"
local view = require "raft.node.view"

local M = {}

local ROUNDS_MAX <const> = 4    -- flushes per turn

local Driver = { __name = "raft.driver" }
Driver.__index = Driver

local function add_parts(self)
  self.services = Services.new(self) or false
  self.machine = Machine.new(self.services and self.services:functions()
    or self.options)
  self.proposals = proposals.new(self)
  self.reads = reads.new(self)
  self.transfers = transfers.new(self)
  self.health = Health.new(self)
  self.patience = Patience.new(self)
  self.membership = Membership.new(self)
  self.snapshots = Snapshots.new(self)
end

--- A driver; life.lua opens and closes what it drives.
-- @param options checked by raft.options
-- @param node the public object, for the registry and events
function M.new(options, node)
  local self = setmetatable({
    options = options,
    node = node,
    id = options.id,
    uv = options.uv,
    host = false, logger = false, emitter = false,
    core = false,             -- raft.core replica, while open
    storage = false, transport = false, clock = false, shipping = false,
    peers = false, receiving = false, joining = false, gateway = false,
    services = false,         -- in the place of apply; or none
    machine = false,          -- the user's state
    kept = replica_state.new(),  -- what we keep beside that
    state = "new",            -- as status() names it
    role = "follower",
    term = 0,
    leader = false,           -- id or false
    formed = false,           -- does the cluster exist?
    config = false,           -- in force, as core:config() gives it
    config_index = 0,         -- of its entry
    stored = 0,               -- newest durable batch
    held = effects.new(), patient = {},  -- what waits for disk, or turn's end
    applied = 0,
    apply_last = 0,           -- what may be applied
    void_upto = 0,            -- no apply up to here counts: see applying.lua
    lacks_commands = false,   -- is the state none, as a witness's?
    diverged = false,         -- where its results left the majority's
    acknowledged = 0,         -- index that covers all that users were told
    has_turns = false,        -- does the loop call us? And has it ever?
    has_run = false, reminder = false,
    is_wall_fresh = false,    -- was the core told the time in this turn?
    is_replaying = false,     -- does start apply what the disk knows?
    repairing = false,        -- what damage took and is not back yet
    is_dirty = false,         -- was anything heard or asked since a flush?
    is_flushing = false, is_closed = false,
    is_drain_due = false,     -- will the scheduler deliver our events?
    failure = false,          -- the error that ended us
    last_places = false,      -- where the log stood when we ended
    stopping = false, stop_timer = false,  -- a stop; and its deadline
    stop_waiters = {},        -- functions to call once it has stopped
    deferred = ring.new(),    -- functions for the end of this turn
    loop_lag_ms = 0,          -- how late the loop woke us, of late
    started_at = 0,           -- now() at start
    recorder = false,         -- of what the core is told; or none
    proposals = false, reads = false, transfers = false, health = false,
    membership = false, snapshots = false, patience = false,
  }, Driver)
  add_parts(self)
  return self
end

function Driver:now()
  return self.clock:now()
end

------------------------------------------------------------------- flushing --

--- Performs the work that the events since the last flush caused.
function Driver:flush()
  if not self.is_dirty or self.is_flushing or self.is_closed then return end
  self.is_flushing = true
  self:tell_wall()
  local rounds = 0
  repeat
    self.is_dirty = false
    self.proposals.outbox:dispatch()
    self.reads:dispatch()
    self.transfers:dispatch()
    self.membership:dispatch()
    effects.take(self, self.held)
    rounds = rounds + 1
  until not self.is_dirty or rounds == ROUNDS_MAX or self.is_closed
  self.is_flushing = false
  if not self.is_closed then self.proposals.outbox:look_for_room() end
end

--- After each event: true, or the core's code, which is final for some.
function Driver:step(ok, code)
  self.is_dirty = true
  if ok then return true end
  if code == "no_memory" then
    self:fail(errors.new("failed", "out of memory in the core"))
  elseif code == "diverged" then
    self:fail(errors.new("diverged", "the leader has another entry where one "
      .. "is committed here"))
  end
  return false, code
end

--- The disk has made everything up to batch `seq` durable.
function Driver:on_stored(seq)
  if self.is_closed then return end
  self.stored = seq
  self:step(self.core:stored(self:now(), seq))
  self.peers:stored()
  repair.look(self)
  self.snapshots:stored(seq)
  effects.release(self, self.held)
end

--- Users were told of what stands at this index.
function Driver:acknowledge(index)
  if index > self.acknowledged then self.acknowledged = index end
end

------------------------------------------------------------------- turns --

-- Runs what was deferred until now; what that defers waits for the next turn.
-- One of them may close the node, and then the rest is not ours any more.
function Driver:run_deferred()
  for _ = 1, self.deferred.count do
    local fn = self.deferred:pop()
    if not fn then return end
    fn()
  end
end

--- Tells the core the time of day, for stamps: once a turn, and anew for what
-- the user proposes, perhaps after long work.
function Driver:tell_wall(is_anew)
  if self.is_wall_fresh and not is_anew then return end
  self.is_wall_fresh = true
  self.core:wall(self.clock:wall())
end

--- Once per loop turn, after all reads.
function Driver:on_check()
  self.has_run = true
  if self.clock:is_due() then self:tick() end
  self.health:look()
  self.patience:look()
  self:flush()
  self:apply_some()
  self.snapshots:look()
  self.reads:deliver()
  self:run_deferred()
  if self.is_closed then return end
  self.emitter:drain()
  self.gateway:look()
  if self.stopping and not self.is_closed then self.stopping:look() end
end

function Driver:tick()
  local now = self:now()
  self:tell_wall()
  self.loop_lag_ms = math.max(self.clock.late_ms, self.loop_lag_ms * 7 // 8)
  self:step(self.core:tick(now))
  self.health:tick(self.loop_lag_ms)
  self.proposals:sweep(now)
  self.reads:sweep(now)
  self.transfers:sweep(now)
  self.membership:sweep(now)
  self.snapshots:sweep(now)
end

local function earlier(a, b)
  if not b or a and a <= b then return a end
  return b
end

function Driver:has_work()
  return self.is_dirty or self.deferred.count > 0
    or self.applied < self.apply_last or self.emitter:is_pending()
    or self.reads:are_ready() or self.clock.due or self.gateway.has_output
end

--- Before the loop sleeps.
function Driver:on_prepare()
  self.is_wall_fresh = false  -- what the user does takes its time
  self:flush()
  effects.send_patient(self)
  if self.is_closed then return end
  local waiters = earlier(earlier(self.proposals.soonest, self.reads.soonest),
    self.transfers.soonest)
  waiters = earlier(waiters, self.membership:next_time())
  waiters = earlier(waiters, self.snapshots:next_time())
  self.clock:arm(earlier(self.core:deadline(), waiters))
  self.clock:stay_awake(self:has_work())
  self.is_wall_fresh = false  -- it sleeps now
end

--- Something was asked for: the loop must not sleep on it.
function Driver:wants_flush()
  self.is_dirty = true
  if self.has_turns then self.clock:stay_awake(true) end
end

--- Runs fn soon, from the loop.
function Driver:defer(fn)
  if not self.has_turns then return self.node.scheduler:defer(fn) end
  self.deferred:push(fn)
  self.clock:stay_awake(true)
end

--- May this node block for so many ms now? False: it leads, and hands over
-- first; ask again in a turn to come. Then has_blocked.
function Driver:about_to_block(ms) return self.health:about_to_block(ms) end

function Driver:has_blocked() self.health:has_blocked() end

--- Ends the node for good: life.lua knows how.
function Driver:fail(err)
  self.node:fail(err)
end

--- Every callback from luv comes through here: what raises ends the node.
function Driver:guard(fn)
  return function(...)
    if self.is_closed then return end
    local ok, what = xpcall(fn, debug.traceback, ...)
    if not ok then
      self:fail(errors.new("failed", "a fault of the library: "
        .. errors.text(what)))
    end
  end
end

for _, name in ipairs { "reaches", "address_of", "members", "leader_error",
  "why_no_leader" } do
  Driver[name] = view[name]
end
for _, name in ipairs { "apply_some", "may_apply", "restore",
  "snapshot_received", "install" } do
  Driver[name] = applying[name]
end
Driver.emit = telling.emit
Driver.report = telling.report
Driver.warn = telling.warn

--- No turn comes any more: what was meant for them goes another way.
function Driver:end_turns()
  self.has_turns = false
  for _, fn in ipairs(self.deferred:take_all()) do
    self.node.scheduler:defer(fn)
  end
  telling.drain_soon(self)
end

return M
