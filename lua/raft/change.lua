--- A change of the cluster: what is asked for, the configuration that it makes
-- of the one in force, and what there is to say about it. Pure functions.
--
-- What is asked for is { members = { id = { address=, role=, priority= } or
-- false }, quorum=, leases=, election_min_ms= }: a field that is nil (in a
-- member: false) stays as it is; quorum = false is the majority.
local configuration = require "raft.configuration"
local members = require "raft.members"
local quorum = require "raft.quorum"
local raft_core = require "raft.core"

local M = {}

---------------------------------------------------------------- the request --

--- What stands against a request that no leader was asked for yet, in words:
-- it adds somebody who is there already, elsewhere. Once it was sent, what is
-- there may be its own work.
-- @param request with asked; `call` "add", and the `id` of the member; was_sent
function M.objection(config, request)
  local known = config.members[request.id]
  if request.was_sent or request.call ~= "add" or not known then return nil end
  if known.address ~= request.asked.members[request.id].address then
    return ("%s is a member already, at %s: node:change tells that it has "
      .. "moved"):format(request.id, known.address)
  end
end

--- What should be said of a request that needs nothing to be done: words, or
-- nil. It may be a slip, or the second try of what has succeeded.
function M.remark(config, request)
  if request.was_sent or request.call ~= "remove" then return nil end
  return ("node:remove: %s is no member: there are %s"):format(request.id,
    table.concat(members.ids(config.members), ", "))
end

--- The ids of the members at these positions: these follow from the ids, which
-- are numbers without sign.
function M.ids_at(mask, config)
  local names = members.ids(config.members)
  table.sort(names, function(a, b)
    return math.ult(raft_core.id_of(a), raft_core.id_of(b))
  end)
  local found = {}
  for i, name in ipairs(names) do
    if mask >> i - 1 & 1 == 1 then found[#found + 1] = name end
  end
  table.sort(found)
  return found
end

------------------------------------------------------------------ the target --

-- The members that the configuration is to have, be they there yet or not.
local function goals_of(config)
  local goals = {}
  for id, member in pairs(config.members) do
    local goal = configuration.goal(member)
    if goal then
      goals[id] = { address = member.address, role = goal, goal = goal,
        priority = member.priority, incarnation = member.incarnation }
    end
  end
  return goals
end

-- Is this an address that others can dial?
local function is_dialable(where)
  return not where:find(":0$") and members.has_host(where)
end

-- What is asked of a member, as a fault in words; nil when it is possible.
local function fault_of(id, known, wanted)
  if not known and not wanted.address then
    return ('%s is no member, so its address is needed: "host:port"'):format(id)
  elseif wanted.address and not is_dialable(wanted.address) then
    return ("the others could not dial %s"):format(wanted.address)
  elseif known and known.role == "witness" and wanted.role
    and wanted.role ~= "witness" then
    return ("%s is a witness and has no commands: remove it, empty its "
      .. "directory, and add it"):format(id)
  end
end

local function changed(known, wanted)
  known = known or { role = "voter", priority = 0, incarnation = 0 }
  local role = wanted.role or known.role
  return { address = wanted.address or known.address, role = role, goal = role,
    priority = wanted.priority or known.priority,
    incarnation = known.incarnation }
end

-- Two members with one address, in words; or nil.
local function shared_address(goals)
  local owners = {}
  for _, id in ipairs(members.ids(goals)) do
    local where = goals[id].address
    if owners[where] then
      return ("%s is the address of %s and of %s"):format(where, owners[where],
        id)
    end
    owners[where] = id
  end
end

local function apply(goals, asked)
  for _, id in ipairs(members.ids(asked)) do
    local wanted = asked[id]
    local fault = wanted and fault_of(id, goals[id], wanted)
    if fault then return fault end
    goals[id] = wanted and changed(goals[id], wanted) or nil
  end
  return shared_address(goals)
end

-- The rule that is to be in force, nil for the majority.
local function rule_of(config, asked)
  if asked.quorum ~= nil then return asked.quorum or nil end
  if config.next_quorum ~= nil then return config.next_quorum or nil end
  return config.quorum
end

local function either(value, default)
  if value == nil then return default end
  return value
end

--- The configuration that is to come of the one in force.
-- @return it, not joint; or nil and why there is none, in words
function M.target(config, asked)
  local target = {
    identity = config.identity,
    election_min_ms = asked.election_min_ms or config.election_min_ms,
    leases = either(asked.leases, config.leases),
    joint = false,
    members = goals_of(config),
    quorum = rule_of(config, asked),
  }
  local fault = apply(target.members, asked.members)
  if fault then return nil, fault end
  local ok, where, words = configuration.check(target)
  if ok then return target end
  local is_old_rule = where:find("^quorum") and asked.quorum == nil
  return nil, ("%s: %s%s"):format(where, words, is_old_rule
    and " (opts.quorum changes the rule in the same step)" or "")
end

---------------------------------------------------------------- is it there? --

local function is_as_asked(member, wanted)
  if not wanted or not member then return not wanted and not member end
  return member.address == (wanted.address or member.address)
    and member.role == (wanted.role or member.role)
    and member.priority == (wanted.priority or member.priority)
end

-- The settings, with the rule that is in force or is to be.
local function has_settings(config, asked, rule)
  if asked.quorum ~= nil then
    local target = M.target(config, asked)
    if not target or not quorum.same(target.quorum, rule) then return false end
  end
  return either(asked.leases, config.leases) == config.leases
    and (asked.election_min_ms or config.election_min_ms)
      == config.election_min_ms
end

--- Is all that was asked for in force? (Whether it is settled is another
-- question.)
function M.is_in_force(config, asked)
  for id, wanted in pairs(asked.members) do
    local member = config.members[id]
    if not is_as_asked(member, wanted) then return false end
    if member and not configuration.is_reached(member) then return false end
  end
  return has_settings(config, asked, config.quorum)
end

--- Is all that was asked for what the configuration is to become?
function M.is_begun(config, asked)
  local goals = goals_of(config)
  for id, wanted in pairs(asked.members) do
    if not is_as_asked(goals[id], wanted) then return false end
  end
  return has_settings(config, asked, rule_of(config, {}))
end

---------------------------------------------------------------------- words --

local STEPS <const> = {
  voter = "%s is to become a voter",
  learner = "%s is to become a learner",
  witness = "%s is to become a witness",
  [false] = "%s is to leave",
}

--- What is under way in a configuration, in words.
function M.under_way(config)
  local steps = {}
  for _, id in ipairs(members.ids(config.members)) do
    local member = config.members[id]
    if not configuration.is_reached(member) then
      steps[#steps + 1] = STEPS[configuration.goal(member)]:format(id)
    end
  end
  if #steps == 0 then return "its settings change" end
  return table.concat(steps, ", ")
end

--- Why a change would leave no quorum, in words.
-- @param missing the ids of members that the leader does not hear
function M.no_quorum(target, missing)
  if #missing == 0 then
    return "not enough of the new members can be reached"
  end
  local names = table.concat(missing, ", ")
  return ("%s cannot be reached, and without %s the members %s could elect no "
    .. "leader or commit nothing: no write would be answered until enough are "
    .. "back, and if they never come, only raft.recover helps, which may lose "
    .. "writes that were acknowledged (opts.force does it nonetheless)"):format(
    names, #missing == 1 and "it" or "them",
    table.concat(members.ids(target.members), ", "))
end

return M
