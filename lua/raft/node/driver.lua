--- Drives one replica: facts from luv become events, effects become I/O.
--
--   poll: reads, disk completions -> core events        (any callback)
--   check: tick if due, flush, apply a slice, callbacks (once per turn)
--   prepare: flush what timers and callbacks proposed, arm the timer
--
-- Promises. An effect is performed once all batches it waits for are durable;
-- only sends overtake. Nothing of the user runs inside a flush. A failure of
-- ours or of the disk is final: nothing held is sent after it.
local Machine = require "raft.machine"
local errors = require "raft.errors"
local proposals = require "raft.node.proposals"
local reads = require "raft.node.reads"
local ring = require "raft.ring"

local M = {}

local SLICE_MS <const> = 5      -- applying per turn
local SLICE_CHECK <const> = 32  -- entries between two looks at the clock
local ROUNDS_MAX <const> = 4    -- flushes per turn
local LOAD_BYTES <const> = 1 << 20

local Driver = { __name = "raft.driver" }
Driver.__index = Driver

--- A driver; life.lua opens and closes what it drives.
-- @param options checked by raft.options
-- @param node the public object, for the registry and events
function M.new(options, node)
  local self = setmetatable({
    options = options,
    node = node,
    id = options.id,
    uv = options.uv,
    host = false,             -- set by life.start
    logger = false,
    emitter = false,
    core = false,             -- raft.core replica, while open
    storage = false,
    transport = false,
    clock = false,
    peers = false,            -- forming and greeting
    machine = Machine.new(options),
    state = "new",            -- as status() names it
    role = "follower",
    term = 0,
    leader = false,           -- id or false
    formed = false,           -- does the cluster exist?
    config = false,           -- in force, as core:config() gives it
    stored = 0,               -- newest durable batch
    held = ring.new(),        -- store, apply, read effects, in order of birth
    held_sends = ring.new(),
    applied = 0,
    applied_term = 0,
    apply_last = 0,           -- what may be applied
    is_dirty = false,         -- has the core heard of anything since a flush?
    is_flushing = false,
    is_closed = false,
    failure = false,          -- the error that ended us
    stop_waiters = {},        -- functions to call once it has stopped
    deferred = ring.new(),    -- functions for the end of this turn
    loop_lag_ms = 0,          -- longest gap between turns of late
    turn_began = false,       -- now() at the last check
    started_at = 0,           -- now() at start
    proposals = false,
    reads = false,
  }, Driver)
  self.proposals = proposals.new(self)
  self.reads = reads.new(self)
  return self
end

function Driver:now()
  return self.clock:now()
end

------------------------------------------------------------------ effects --

local perform = {}  -- effect kind -> function(driver, a, b, c, d, e)

-- Kinds that keep the order of their birth; all others are performed at once
-- when what they wait for is durable.
local IS_ORDERED <const> = { store = true, apply = true, read = true }

function perform.store(self, seq, bytes, term, vote, commit)
  self.storage:store(seq, bytes, term, vote, commit)
end

function perform.send(self, peer, bytes)
  if not self.transport:send(peer, bytes) then
    self.core:unreachable(self:now(), peer)
    self.is_dirty = true
  end
end

function perform.apply(self, _, last)
  self.apply_last = last
end

function perform.read(self, token, index)
  self.reads:serve(token, index)
end

function perform.load(self, peer, first, last)
  self.storage:read(first, last, LOAD_BYTES, function(err, bytes)
    if self.is_closed then return end
    if err then return self:fail(err) end
    self:step(self.core:loaded(self:now(), peer, first, bytes))
  end)
end

function perform.role(self, role, term, leader)
  local was_role, was_leader, was_term = self.role, self.leader, self.term
  self.role, self.term, self.leader = role, term, leader
  self.reads:ask_again()
  if role ~= was_role then
    self.logger:info("became " .. role, { term = term })
    self.emitter:queue("role", role, term)
  end
  if leader ~= was_leader or (leader and term ~= was_term) then
    self.emitter:queue("leader", leader or nil, self:address_of(leader), term)
  end
end

function perform.config(self, index)
  self.config = self.core:config() or false
  self.peers:config_changed(index)
  self.emitter:queue("membership", self:members(), index)
end

function perform.forwarded(self, token, verdict, index, term)
  self.proposals:forwarded(token, verdict, index, term)
end

local function hold(self, kind, after, a, b, c, d, e)
  local list = kind == "send" and self.held_sends or self.held
  list:push({ kind = kind, after = after, a, b, c, d, e })
end

-- The batch of this turn.
local function take(self)
  local held, stored = self.held, self.stored
  for kind, after, a, b, c, d, e in self.core:effects() do
    if after <= stored and (not IS_ORDERED[kind] or held:is_empty()) then
      perform[kind](self, a, b, c, d, e)
    else
      hold(self, kind, after, a, b, c, d, e)
    end
    if self.is_closed then return end
  end
end

local function release(self, list)
  local head = list:peek()
  while head and head.after <= self.stored and not self.is_closed do
    list:pop()
    perform[head.kind](self, head[1], head[2], head[3], head[4], head[5])
    head = list:peek()
  end
end

--- Performs the work that the events since the last flush caused.
function Driver:flush()
  if self.is_flushing or self.is_closed then return end
  self.is_flushing = true
  local rounds = 0
  repeat
    self.is_dirty = false
    self.proposals:dispatch()
    self.reads:dispatch()
    take(self)
    rounds = rounds + 1
  until not self.is_dirty or rounds == ROUNDS_MAX or self.is_closed
  self.is_flushing = false
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
  release(self, self.held_sends)
  release(self, self.held)
end

------------------------------------------------------------------ applying --

local function apply_one(self, index)
  local kind, term, time, command = self.core:entry(index)
  assert(kind, "an entry to apply is not there")
  local ok, value, extra = true, nil, nil
  if kind == "command" then
    ok, value, extra = self.machine:apply(index, term, time, command)
    if not ok and value.is_local then return self:fail(value) end
    if not ok then self:report(value) end
  end
  self.applied, self.applied_term = index, term
  if self.proposals:are_waiting() then
    self.proposals:applied(index, term, ok, value, extra)
  end
end

--- Applies what is committed, for a slice of time or to the end.
function Driver:apply_some(to_the_end)
  if self.applied >= self.apply_last or self.is_closed then return end
  local stop_at = not to_the_end and self:now() + SLICE_MS
  while self.applied < self.apply_last and not self.is_closed do
    apply_one(self, self.applied + 1)
    local looks = stop_at and self.applied % SLICE_CHECK == 0
    if looks and self:now() >= stop_at then break end
  end
  if self.is_closed then return end
  self:step(self.core:applied(self:now(), self.applied))
  self.reads:applied(self.applied)
  self.emitter:queue("applied", self.applied)
  self:look_for_room()
end

-- Says `drain` when proposals that were answered `busy` may come again.
function Driver:look_for_room()
  if not self.proposals.is_full then return end
  local pending = self.core:status().pending_bytes
  if pending * 2 > self.options.max_pending_bytes then return end
  self.proposals.is_full = false
  self.emitter:queue("drain")
end

------------------------------------------------------------------- turns --

-- Runs what was deferred until now; what that defers waits for the next turn.
function Driver:run_deferred()
  for _ = 1, self.deferred.count do self.deferred:pop()() end
end

function Driver:note_lag(now)
  local gap = self.turn_began and now - self.turn_began or 0
  self.loop_lag_ms = math.max(gap, self.loop_lag_ms * 7 // 8)
end

--- Once per loop turn, after all reads.
function Driver:on_check()
  self.core:wall(self.clock:wall())
  if self.clock:is_due() then self:tick() end
  self:flush()
  self:apply_some()
  self:run_deferred()
  if not self.is_closed then self.emitter:drain() end
end

function Driver:tick()
  local now = self:now()
  self:step(self.core:tick(now))
  self.proposals:sweep(now)
  self.reads:sweep(now)
end

local function earlier(a, b)
  if not a then return b end
  if not b then return a end
  return math.min(a, b)
end

function Driver:has_work()
  return self.is_dirty or not self.deferred:is_empty()
    or self.applied < self.apply_last or self.emitter:is_pending()
    or self.clock.due
end

--- Before the loop sleeps.
function Driver:on_prepare()
  self.core:wall(self.clock:wall())
  self:flush()
  if self.is_closed then return end
  local waiters = earlier(self.proposals.soonest, self.reads.soonest)
  self.clock:arm(earlier(self.core:deadline(), waiters))
  self.clock:stay_awake(self:has_work())
end

--- Hands the core what replay needs from the disk: true while there is more.
function Driver:replay_more()
  return false
end

--- Something was asked for: the next turn must not sleep on it.
function Driver:wants_flush()
  self.is_dirty = true
end

--- Runs fn soon, from the loop.
function Driver:defer(fn)
  if self.is_closed or not self.clock then
    return self.node.scheduler:defer(fn)
  end
  self.deferred:push(fn)
end

--- Ends the node for good. Set by the node: life.lua knows how.
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

------------------------------------------------------------ what is known --

--- The address of a member, or nil.
function Driver:address_of(id)
  local members = self.config and self.config.members or self.options.members
  local member = id and members[id]
  return member and member.address or nil
end

--- The members as the option `members` has them.
function Driver:members()
  local source = self.config and self.config.members or self.options.members
  local members = {}
  for id, member in pairs(source) do
    members[id] = { address = member.address, role = member.role,
      priority = member.priority }
  end
  return members
end

--- Is there a link with this node?
function Driver:reaches(id)
  return self.transport:has(id)
end

--- The error for who asked us to lead when another does.
function Driver:leader_error()
  return errors.new("not_leader", ("the leader is %s"):format(self.leader), {
    leader = self.leader,
    address = self:address_of(self.leader),
  })
end

--- Why nothing moves, in words.
function Driver:why_no_leader()
  local refusal = self.peers and self.peers.last_refusal
  local suffix = refusal and "; " .. refusal or ""
  if not self.formed then
    return "the cluster has not formed: " .. self.peers:missing() .. suffix
  elseif not self.leader then
    return "no leader is known" .. suffix
  elseif self.role ~= "leader" and not self:reaches(self.leader) then
    return ("the leader %s cannot be reached"):format(self.leader) .. suffix
  end
  return ("the leader %s has not answered"):format(self.leader) .. suffix
end

--- An error of the user's code, or one that nobody waits for.
function Driver:report(err)
  if self.emitter and self.emitter:has("error") and not self.is_closed then
    self.emitter:queue("error", err)
  else
    self.node.scheduler:report(err)
  end
end

--- Something the user should know of.
function Driver:warn(err)
  self.logger:warn(errors.text(err))
  self.emitter:queue("warning", err)
end

return M
