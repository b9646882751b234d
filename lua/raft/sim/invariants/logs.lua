--- What must hold of the logs of a cluster: see raft.sim.invariants.
local quorums = require "raft.sim.quorums"

local M = {}

local KEPT_MAX <const> = 20000  -- committed entries looked back at
local FIRST <const> = 1         -- the entry that forming makes: all promised it

--- The term at an index, or nil where a snapshot has taken the place of the
-- entry, or nothing stands.
function M.term_at(core, index)
  local term = core:term_at(index)
  return term ~= 0 and term or nil
end

-- @param command false: a witness has none to show
local function check_entry(self, member, index, term, before, kind, command)
  local terms = self.entries[index]
  if not terms then
    terms = {}
    self.entries[index] = terms
  end
  local known = terms[term]
  if not known then
    terms[term] = { before = before, command = command, kind = kind }
    return
  end
  known.command = known.command or command
  if known.before == before and (not command or known.command == command) then
    return
  end
  self:fail(member, "log matching: entry %d of term %d differs from what "
    .. "another log had there", index, term)
end

--- Looks at what is new in the member's log, from its end back.
function M.check(self, member, view, core, status)
  local index, log = status.last, view.log
  for old = status.last + 1, view.last do log[old] = nil end
  local low = math.max(status.memory_first, self.forgotten + 1, 1)
  while index >= low do
    local term = core:term_at(index)
    if log[index] == term then break end
    local kind, _, _, command = core:entry(index)
    if kind then
      local shown = kind ~= "stripped" and (command or kind)
      check_entry(self, member, index, term, core:term_at(index - 1) or 0,
        kind, shown)
    end
    if log[index] then self.sim.marks:see("truncation") end
    log[index] = term
    index = index - 1
  end
  if status.last < view.last then self.sim.marks:see("truncation") end
  view.last = status.last
end

--- Is the entry on the disk of this member? Of one that is down, has failed or
-- has not read its disk yet we know only how far its log went. What damage took
-- counts as long as it is missing: it was there, and its owner votes by it.
function M.is_stored(member, index, term)
  if index <= member.rotten_last then return true end
  local stored = member:stored()
  if not stored then return member.last_index >= index end
  if stored < index then return false end
  local core = member.driver.core
  local at = core:term_at(index)
  if at == 0 then return index < core:status().first end  -- in a snapshot
  return at == term or at == nil
end

-- Does this disk count for a configuration? It means one directory of a member.
-- What is gone with that one does: it was there, and nobody else is counted.
local function counts(config, member, index, term)
  local incarnation = config.members[member.id].incarnation
  if index <= (member.lost[incarnation] or 0) then return true end
  local is_it = incarnation == 0 or incarnation == member.incarnation
  return is_it and M.is_stored(member, index, term)
end

-- On which disks, as this configuration counts them: id -> true.
local function disks(self, config, index, term)
  local has = {}
  for id in pairs(config.members) do
    local member = self.sim.members[id]
    has[id] = member and counts(config, member, index, term) or nil
  end
  return has
end

--- Keeps the configuration in force, and the one before: what was committed in
-- the turn that brings it may have been so under either.
function M.note_config(member, view, status)
  local driver = member.driver
  view.is_config_new = driver.config ~= view.config
  if not view.is_config_new then return end
  view.config_before, view.config = view.config or driver.config, driver.config
  member.config, member.config_index = driver.config, status.config_index
end

-- Not known: nothing has formed here.
local function count_all(self, index, term)
  local count = 0
  for _, id in ipairs(self.sim.ids) do
    if M.is_stored(self.sim.members[id], index, term) then count = count + 1 end
  end
  return count
end

--- An entry that counts as safe is on the disks of a quorum: of that of the
-- configuration in force, or where `may_be_before` of the one before it.
function M.check_quorum(self, member, what, index, term, may_be_before)
  if index <= FIRST then return end
  local view = self.views[member.id]
  local config = view and view.config
  if config then
    local before = may_be_before and view.config_before or config
    if quorums.has(config, "commit", disks(self, config, index, term))
      or quorums.has(before, "commit", disks(self, before, index, term)) then
      return
    end
  end
  local count = count_all(self, index, term)
  if not config and 2 * count > #self.sim.ids then return end
  self:fail(member, "%s: entry %d of term %d is on %d of %d disks", what,
    index, term, count, #self.sim.ids)
end

-- A configuration that is committed is in force at all who know that much, or
-- was followed by another one; also where a snapshot took its place.
local function check_config(self, member, status)
  local newest = 0
  for i = #self.configs, 1, -1 do
    newest = self.configs[i]
    if newest <= status.commit then break end
  end
  if newest <= status.commit and status.config_index < newest then
    self:fail(member, "configuration: entry %d is committed, and that of entry "
      .. "%d is in force", newest, status.config_index)
  end
  if status.commit >= status.config_index then
    member.decided_index = math.max(member.decided_index, status.config_index)
  end
end

-- Keeps where configurations are committed, in order.
local function note_committed(self, index, term)
  self.committed[index] = term
  local entry = self.entries[index] and self.entries[index][term]
  if not entry or entry.kind ~= "config" then return end
  local list = self.configs
  local i = #list
  while i > 0 and list[i] > index do i = i - 1 end
  table.insert(list, i + 1, index)
end

local function forget(self)
  local keep_from = self.commit - KEPT_MAX
  while self.forgotten < keep_from do
    self.forgotten = self.forgotten + 1
    self.entries[self.forgotten] = nil
    self.committed[self.forgotten] = nil
    self.results[self.forgotten] = nil
    for _, id in ipairs(self.sim.ids) do
      local view = self.views[id]
      if view then view.log[self.forgotten] = nil end
    end
  end
end

--- New committed entries: the same for all, and on a quorum. A leader counts by
-- the configuration in force, be the entries older than that.
function M.check_commit(self, member, view, core, status)
  local commit = status.commit
  for index = math.max(view.commit, self.forgotten) + 1, commit do
    local term = M.term_at(core, index)
    local known = self.committed[index]
    if known and term and known ~= term then
      self:fail(member, "state machine safety: entry %d is committed with term "
        .. "%d here, and with term %d elsewhere", index, term, known)
    elseif not known and term then
      note_committed(self, index, term)
    end
  end
  check_config(self, member, status)
  if commit <= self.commit then return end
  self.commit, self.commits[status.term] = commit, commit
  forget(self)
  local term = M.term_at(core, commit)
  if not term then return end
  M.check_quorum(self, member, "commit", commit, term, view.is_config_new
    or status.role ~= "leader")
end

return M
