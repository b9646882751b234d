--- What must hold of a cluster, looked at after every turn of every process.
--
--   election safety        one leader a term, and one life of it
--   log matching           an index and a term mean one entry, and one before
--   leader completeness    a new leader has what earlier terms committed
--   state machine safety   all apply the same commands in the same order, with
--                          the same results
--   commit                 a new commit is on the disks of a quorum, of all
--                          halves of the configuration in force
--   configuration          one that is committed is in force at all who know
--                          that much, also those that a snapshot brought up
--   nothing goes back      term, commit, applied of one life
--   order                  base <= snapshot, applied <= commit <= last
--   directories            one that was wiped, or put back to an older copy, is
--                          nobody's peer and leads nothing
--   acknowledged           what a client was told is on the disks of a quorum
--   fresh                  a linearizable answer knows all that was
--                          acknowledged before it was asked for
--   queries                of services change nothing
--   bounds                 on memory and queues
--
-- Beside these the core's own check of itself. The first that is broken is
-- kept, in words.
local commands = require "raft.sim.invariants.commands"
local logs = require "raft.sim.invariants.logs"
local members = require "raft.sim.invariants.members"

local M = {}

local Invariants = { __name = "raft.sim.invariants" }
Invariants.__index = Invariants

local MEMORY_BYTES_MAX <const> = 96 << 20   -- of a core's log in memory
local CORE_CHECK_SHARE <const> = 32         -- entries per turn without a check

--- @param sim the simulation
function M.new(sim)
  return setmetatable({
    sim = sim,
    broken = nil,      -- the first thing that did not hold, in words
    leaders = {},      -- term -> "n1/2": who led it, in which life
    entries = {},      -- index -> term -> { before = term, command = }
    committed = {},    -- index -> term
    configs = {},      -- indexes of committed configurations, ascending
    commit = 0,        -- newest committed index, as any of them knows it
    commits = {},      -- term -> the newest that was first known in that term
    forgotten = 0,     -- entries up to here are not kept any more
    ran = {},          -- "session sequence" -> index where it was run
    results = {},      -- index -> the result of apply, encoded
    acked = 0,         -- index that covers all that clients were told
    views = {},        -- member id -> what we saw of it last
  }, Invariants)
end

--- Says that something does not hold.
function Invariants:fail(member, text, ...)
  if self.broken then return end
  self.broken = ("%s at %.3f ms: %s"):format(member.id,
    self.sim.world.now / 1e6, text:format(...))
  self.sim.trace:note("check", self.broken)
end

function Invariants:acknowledged()
  return self.acked
end

-- What we know of this life of a member.
local function view_of(self, member)
  local view = self.views[member.id]
  if view and view.boot == member.boot then return view end
  view = { boot = member.boot, term = 0, commit = 0, applied = 0, last = 0,
    first = false, role = "follower", log = {}, status = {},
    turns_to_check = 0, config = false, config_before = false,
    is_config_new = false, shipping = {} }
  self.views[member.id] = view
  return view
end

---------------------------------------------------------------------- roles --

-- What leaders of this term must have. One that was elected long ago, and only
-- hears of it now, knows nothing of what later terms have committed.
local function committed_before(self, term)
  local newest = 0
  for known_in, index in pairs(self.commits) do
    if known_in < term then newest = math.max(newest, index) end
  end
  return newest
end

local function check_leader(self, member, core, status)
  local life = member.id .. "/" .. member.boot
  local known = self.leaders[status.term]
  if known and known ~= life then
    self:fail(member, "election safety: %s and %s lead term %d", known, life,
      status.term)
  end
  self.leaders[status.term] = life
  local index = committed_before(self, status.term)
  local term, mine = self.committed[index], logs.term_at(core, index)
  if status.last < index or (term and mine and term ~= mine) then
    self:fail(member, "leader completeness: the new leader of term %d lacks "
      .. "committed entry %d", status.term, index)
  end
end

-- What a change of role says for the coverage marks.
local function mark_role(marks, view, status)
  local from, to = view.role, status.role
  if from == "leader" and status.term == view.term then
    marks:see("check_quorum")
  elseif from == "leader" then
    marks:see("deposed")
  elseif from == "candidate" and to ~= "leader" then
    marks:see("lost_election")
  elseif from == "pre_candidate" and to == "follower" then
    marks:see("refused_pre_vote")
  end
  if to == "leader" then marks:see("election") end
end

local function check_role(self, member, view, core, status)
  if status.role == "leader" and (view.role ~= "leader"
    or view.term ~= status.term) then
    check_leader(self, member, core, status)
  end
  if status.role ~= view.role or status.term ~= view.term then
    self.sim.trace:note(member.id, status.role, status.term)
    local reads = member.driver.reads
    if reads and (#reads.fresh > 0 or next(reads.asked)) then
      self.sim.marks:see("read_retry")
    end
  end
  if status.role ~= view.role then mark_role(self.sim.marks, view, status) end
  if status.role == "candidate" and view.role == "candidate"
    and status.term > view.term then
    self.sim.marks:see("lost_election")
  end
end

------------------------------------------------------------------- numbers --

local function check_numbers(self, member, view, status)
  for _, name in ipairs { "term", "commit", "applied" } do
    if status[name] < view[name] then
      self:fail(member, "%s went back from %d to %d", name, view[name],
        status[name])
    end
  end
  if status.applied > status.commit or status.commit > status.last then
    self:fail(member, "order: applied %d, commit %d, last %d", status.applied,
      status.commit, status.last)
  end
  if status.first > status.snapshot + 1 then
    self:fail(member, "order: the log begins at %d, the snapshot ends at %d",
      status.first, status.snapshot)
  elseif view.first and status.first > view.first then
    self.sim.marks:see("compacted")
  end
  view.first = status.first
  if status.memory_bytes > MEMORY_BYTES_MAX then
    self:fail(member, "bounds: %d bytes of log in memory", status.memory_bytes)
  end
  local options = member.driver.options
  local max = 2 * options.max_pending_bytes + options.max_command_bytes
  if status.role == "leader" and status.pending_bytes > max then
    self:fail(member, "bounds: %d bytes pending", status.pending_bytes)
  end
end

-- The core's check of itself takes time with the length of its log, so long
-- logs are looked at more rarely.
local function check_core(self, member, view, core, status)
  view.turns_to_check = view.turns_to_check - 1
  if view.turns_to_check > 0 then return end
  view.turns_to_check = (status.last - status.memory_first) // CORE_CHECK_SHARE
  local ok, what = core:check()
  if not ok then self:fail(member, "core: %s", what) end
end

-- Damage is repaired once the core says so; and who is being repaired asks for
-- no votes.
local function check_repair(self, member, view, status)
  if status.repairing and status.role ~= "follower" then
    self:fail(member, "repair: a %s lacks what damage took", status.role)
  end
  if status.repairing then view.is_repairing = true end
  if status.repairing or member.rotten_last == 0 then return end
  if view.is_repairing then self.sim.marks:see("repair") end
  member.rotten_last = 0
end

--- After a turn of this member's process.
function Invariants:look(member)
  local driver = member.driver
  if self.broken or not driver or driver.is_closed or not driver.has_turns then
    return
  end
  local core, view = driver.core, view_of(self, member)
  local status = core:status(view.status)
  check_numbers(self, member, view, status)
  logs.check(self, member, view, core, status)
  check_role(self, member, view, core, status)
  logs.note_config(member, view, status)
  if view.is_config_new then members.note(self, member, view) end
  if status.commit > view.commit then
    self.sim.trace:note(member.id, "commit", status.commit)
    logs.check_commit(self, member, view, core, status)
  end
  if status.role == "leader" then
    members.note_shipping(self, view, status)
  end
  if member:is_lost() then members.check_lost(self, member, status) end
  check_core(self, member, view, core, status)
  check_repair(self, member, view, status)
  member.last_index = status.stored  -- for when it has died
  view.term, view.role = status.term, status.role
  view.commit, view.applied = status.commit, status.applied
end

---------------------------------------------------------- applied, answered --

--- A node has applied the command of this index.
Invariants.applied = commands.applied

--- A node says that results differ. Here they did not, or it was said above.
function Invariants:diverged(member, info)
  if self.sim.options.may_diverge then return end
  self:fail(member, "a false alarm: results are said to differ at %d",
    info.index)
end

--- A client was told the result of a proposal.
function Invariants:told(member)
  self:told_upto(member, member.driver and member.driver.acknowledged or 0)
end

--- A client was told of what stands up to this index.
function Invariants:told_upto(member, index)
  if index <= self.acked then return end
  self.acked = index
  local term = self.committed[index]
  if not term then return end
  logs.check_quorum(self, member, "acknowledged", index, term, true)
end

--- A client outside was told so: it is judged by the configuration of who
-- knows most of what is committed, be it up or not.
function Invariants:told_client(index)
  local best, commit = false, 0
  for _, id in ipairs(self.sim.ids) do
    local view = self.views[id]
    if view and view.commit > commit then best, commit = id, view.commit end
  end
  if commit >= index then
    self:told_upto(self.sim.members[best], index)
  else  -- who knew it has died since: commits were looked at as they came
    self.acked = math.max(self.acked, index)
  end
end

--- A read was answered by this member.
-- @param covered what acknowledged() was when it was asked for
function Invariants:read_answered(member, covered)
  local applied = member.driver and member.driver.applied or covered
  if applied < covered then
    self:fail(member, "fresh: a read was answered at %d, and %d had been "
      .. "acknowledged before it began", applied, covered)
  end
end

return M
