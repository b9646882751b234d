--- What must hold of the logs of a cluster: see raft.sim.invariants.
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
local function check_entry(self, member, index, term, before, command)
  local terms = self.entries[index]
  if not terms then
    terms = {}
    self.entries[index] = terms
  end
  local known = terms[term]
  if not known then
    terms[term] = { before = before, command = command }
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
        shown)
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

-- The members whose disks count in a half of a configuration.
local function voters_of(config, role_of)
  local ids = {}
  for id, member in pairs(config.members) do
    local role = role_of(member)
    if role == "voter" or role == "witness" then ids[#ids + 1] = id end
  end
  return ids
end

local function count_of(ids, has)
  local count = 0
  for _, id in ipairs(ids) do
    if has[id] then count = count + 1 end
  end
  return count
end

-- Are those in `has` enough for a commit, by this rule?
local function is_enough(rule, ids, has)
  local count = count_of(ids, has)
  if not rule then return 2 * count > #ids end
  if type(rule.commit) ~= "table" then return count >= rule.commit end
  for _, set in ipairs(rule.commit) do
    if count_of(set, has) == #set then return true end
  end
  return false
end

local function old_role(member) return member.role end
local function new_role(member) return member.next_role end

local function is_quorum(config, has)
  local ids = voters_of(config, old_role)
  if not is_enough(config.quorum, ids, has) then return false end
  if not config.joint then return true end
  return is_enough(config.next_quorum, voters_of(config, new_role), has)
end

--- Keeps the configuration in force, and the one before: what was committed in
-- a turn may have been so under either.
function M.note_config(view, driver)
  if driver.config == view.config then return end
  view.config_before, view.config = view.config or driver.config, driver.config
end

--- An entry that counts as safe is on the disks of a quorum.
function M.check_quorum(self, member, what, index, term)
  if index <= FIRST then return end
  local has, count = {}, 0
  for _, id in ipairs(self.sim.ids) do
    has[id] = M.is_stored(self.sim.members[id], index, term)
    if has[id] then count = count + 1 end
  end
  local view = self.views[member.id]
  local config = view and view.config
  if config and (is_quorum(config, has) or is_quorum(view.config_before, has))
  then
    return
  elseif not config and 2 * count > #self.sim.ids then
    return
  end
  self:fail(member, "%s: entry %d of term %d is on %d of %d disks", what,
    index, term, count, #self.sim.ids)
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

--- New committed entries: the same for all, and on a quorum.
function M.check_commit(self, member, view, core, status)
  local commit = status.commit
  for index = math.max(view.commit, self.forgotten) + 1, commit do
    local term = M.term_at(core, index)
    local known = self.committed[index]
    if known and term and known ~= term then
      self:fail(member, "state machine safety: entry %d is committed with term "
        .. "%d here, and with term %d elsewhere", index, term, known)
    elseif not known and term then
      self.committed[index] = term
    end
  end
  if commit <= self.commit then return end
  self.commit, self.commits[status.term] = commit, commit
  forget(self)
  local term = M.term_at(core, commit)
  if term then M.check_quorum(self, member, "commit", commit, term) end
end

return M
