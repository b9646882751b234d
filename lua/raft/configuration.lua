--- Configurations of a cluster as tables: what the options plan, what a change
-- asks for, what is in force. Pure functions; raft.core has the last word.
--
-- A configuration is what raft.core makes of it (csrc/lua_config.c): members =
-- { id = { address=, role=, goal=, priority=, incarnation= } }, quorum,
-- election_min_ms, leases, joint, identity.
local quorum = require "raft.quorum"
local raft_core = require "raft.core"

local M = {}

--- The configuration that the options of a node plan, as raft.core takes it.
function M.plan(options)
  local members = {}
  for id, member in pairs(options.members) do
    members[id] = { address = member.address, role = member.role,
      priority = member.priority, incarnation = 0 }
  end
  return { members = members, quorum = options.quorum or nil,
    leases = options.leases, election_min_ms = options.election_timeout.min }
end

--- The role that a member is to reach, false when it is to leave.
function M.goal(member)
  if member.goal ~= nil then return member.goal end
  if member.next_role ~= nil then return member.next_role end
  return member.role
end

--- The ids of those who apply commands, sorted: all but witnesses. Of a joint
-- one, those of both halves.
function M.appliers(config)
  local ids = {}
  for id, member in pairs(config.members) do
    local now, later = member.role, member.next_role
    local applies = now and now ~= "witness" or later and later ~= "witness"
    if applies then ids[#ids + 1] = id end
  end
  table.sort(ids)
  return ids
end

--- Is a member what it shall be, in all halves?
function M.is_reached(member)
  return member.role == M.goal(member)
    and (member.next_role == nil or member.next_role == member.role)
end

--- Is there nothing under way in it? (Whether it is committed, its index says.)
function M.is_settled(config)
  if config.joint or config.next_quorum ~= nil then return false end
  for _, member in pairs(config.members) do
    if not M.is_reached(member) then return false end
  end
  return true
end

--- Its members for people, of the shape of the option `members`: a new table.
-- Where it is not what it shall be, `goal` is the role that is to be reached,
-- false for a member that leaves.
function M.members(config)
  local members = {}
  for id, member in pairs(config.members) do
    local role = member.role or member.next_role
    members[id] = { address = member.address, role = role,
      priority = member.priority }
    if member.goal ~= nil and member.goal ~= role then
      members[id].goal = member.goal
    end
  end
  return members
end

--- May this be in force? True; or nil, where in it ("quorum" or "members") and
-- what is wrong in words. Sizes and formulas come out as they are kept.
function M.check(config)
  local rule, where, words = quorum.resolve(config.quorum, config.members)
  if rule == nil then
    local path = { [""] = "quorum", members = "members" }
    return nil, path[where] or "quorum." .. where, words
  end
  config.quorum = rule or nil
  local ok, broken = raft_core.config_check(config)
  if ok then return true end
  return nil, "members", broken
end

return M
