--- What must hold of members and directories: see raft.sim.invariants.
local configuration = require "raft.configuration"

local M = {}

-- Those that vote in either half, now or soon: id -> "voter" or "witness".
local function voters_of(config)
  local voters = {}
  for id, member in pairs(config.members) do
    local role = member.role
    if role ~= "voter" and role ~= "witness" then role = member.next_role end
    if role == "voter" or role == "witness" then voters[id] = role end
  end
  return voters
end

local function has_new_one(before, now)
  for id in pairs(now) do
    if not before[id] then return true end
  end
  return false
end

-- Only a leader's are counted, so that one change is met once.
local function mark(self, member, before, now)
  local marks = self.sim.marks
  if now.joint and not before.joint then marks:see("joint") end
  if before.joint and not now.joint then
    marks:see("joint_left")
    if not now.members[member.id] then marks:see("leader_removed") end
  end
  local old, new = voters_of(before), voters_of(now)
  if has_new_one(old, new) then marks:see("promoted") end
  if next(now.members) and now.quorum and not before.quorum then
    marks:see("quorum_rule")
  end
end

--- Another configuration is in force at a member.
function M.note(self, member, view)
  local config, before = view.config, view.config_before
  if not config then return end
  self.sim.trace:note(member.id, "configuration", member.config_index)
  for id, other in pairs(config.members) do
    local is_witness = other.role == "witness" or other.next_role == "witness"
      or configuration.goal(other) == "witness"
    local known = self.sim.members[id]
    if known and is_witness then known.was_witness = true end
  end
  local is_leading = view.role == "leader" or member.driver.role == "leader"
  if is_leading and before and before ~= config then
    mark(self, member, before, config)
  end
end

--- A leader that sends a snapshot is met once for each.
function M.note_shipping(self, view, status)
  local shipping = view.shipping
  for id, peer in pairs(status.peers) do
    local is_shipped = peer.state == "snapshot"
    if is_shipped and not shipping[id] then self.sim.marks:see("shipped") end
    shipping[id] = is_shipped
  end
end

--- A directory that was wiped, or put back, leads nothing and is let in by
-- nobody who remembers.
function M.check_lost(self, member, status)
  if status.role == "leader" then
    self:fail(member, "directories: one that is lost leads term %d",
      status.term)
  end
  for id, link in pairs(member.driver.peers.links) do
    if link.phase == "open" then
      self:fail(member, "directories: one that is lost is let in by %s", id)
    end
  end
end

return M
