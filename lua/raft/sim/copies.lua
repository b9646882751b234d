--- Which copies of the log are whole, and how many more may be lost, so that
-- the oracle may demand that nothing acknowledged ever is.
--
-- A directory that was wiped or put back to an older copy is lost for good: its
-- id comes in again with another one. One that rots is lost until the leader
-- has given back what damage took. What is left must be a quorum for all
-- purposes in every configuration that is, or may come to be, in force.
local quorums = require "raft.sim.quorums"

local M = {}

-- Whole, as this configuration counts the member: it means one directory.
local function is_whole(sim, config, id)
  local member = sim.members[id]
  return member ~= nil and member.rotten_last == 0
    and not member.lost[config.members[id].incarnation]
end

--- Those of a configuration that are whole: id -> true.
-- @param but an id that is to count as lost; or nil
function M.whole(sim, config, but)
  local whole = {}
  for id in pairs(config.members) do
    whole[id] = id ~= but and is_whole(sim, config, id) or nil
  end
  return whole
end

-- The configurations that are, or may come to be, in force: none that is older
-- than one known to be committed.
local function configs(sim)
  local decided, list = 0, {}
  for _, id in ipairs(sim.ids) do
    decided = math.max(decided, sim.members[id].decided_index)
  end
  for _, id in ipairs(sim.ids) do
    local member = sim.members[id]
    if member.config and member.config_index >= decided then
      list[#list + 1] = member.config
    end
  end
  for _, target in ipairs(sim.operator:targets()) do
    list[#list + 1] = target
  end
  return list
end

-- Those of a half that are whole and keep commands.
local function full(half, whole)
  local has = {}
  for _, id in ipairs(half.voters) do
    has[id] = whole[id] and not half.witnesses[id] or nil
  end
  return has
end

-- A witness may have entries that nobody else has but one that is lost; then it
-- votes for nobody who is left. So these must be enough without it.
local function is_half_borne(half, whole)
  local has = next(whole) and whole
  if next(half.witnesses) then
    for _, id in ipairs(half.voters) do
      if not whole[id] then has = full(half, whole) end
    end
  end
  return has and quorums.is_enough(half, "election", has)
    and quorums.is_enough(half, "commit", has)
end

--- May this be in force, as things are?
function M.is_borne(sim, config, but)
  local whole = M.whole(sim, config, but)
  for _, half in ipairs(quorums.all(config)) do
    if not is_half_borne(half, whole) then return false end
  end
  return true
end

-- Whole members that keep commands and vote: id -> true.
local function full_voters(sim, config)
  local whole, has = M.whole(sim, config), {}
  for _, half in ipairs(quorums.all(config)) do
    for id in pairs(full(half, whole)) do has[id] = true end
  end
  return has
end

--- May a change lead from one configuration to the other? Where there are
-- witnesses, nobody who is whole and has voted with them is to go: it may lead,
-- and die once a witness alone has what it sent last. (docs/MEMBERSHIP.md)
function M.may_follow(sim, config, target)
  if not M.is_borne(sim, target) then return false end
  local has_witness = false
  for _, half in ipairs(quorums.all(target)) do
    has_witness = has_witness or next(half.witnesses) ~= nil
  end
  if not has_witness then return true end
  local left = full_voters(sim, target)
  for id in pairs(full_voters(sim, config)) do
    if not left[id] then return false end
  end
  return true
end

--- May this member lose what it has? Not while it is being added: then the
-- cluster may count its directory soon.
function M.may_lose(sim, id)
  if not sim:is_formed() then return false end
  local all = configs(sim)
  for _, config in ipairs(all) do
    local member = config.members[id]
    if member and member.incarnation == 0 then return false end
    if not M.is_borne(sim, config, id) then return false end
  end
  return #all > 0
end

--- Is it out, for good: is a configuration without it committed, and no other
-- may come that has it?
function M.is_out(sim, id)
  if not sim:is_formed() then return false end
  local all = configs(sim)
  for _, config in ipairs(all) do
    if config.members[id] then return false end
  end
  return #all > 0
end

-- Who is needed beside those in `kept` for this half: the first that helps, or
-- nil. A log that only witnesses share with one voter waits for that voter.
local function needed(half, whole, kept, order)
  local has, wants_all = {}, next(half.witnesses) ~= nil
  for id in pairs(kept) do has[id] = whole[id] end
  local is_met = quorums.is_enough(half, "election", has)
    and quorums.is_enough(half, "commit", has)
  local is_voter = {}
  for _, id in ipairs(half.voters) do is_voter[id] = true end
  for _, id in ipairs(order) do
    local helps = is_voter[id] and whole[id] and not kept[id]
    if helps and (not is_met or (wants_all and not half.witnesses[id])) then
      return id
    end
  end
end

--- Members that are enough, in every configuration that may count, and no more
-- than that: an array of ids. All of them, before the cluster has formed.
-- @param order ids; the first ones are taken
function M.quorum(sim, order)
  local kept, list = {}, {}
  if not sim:is_formed() then return order end
  for _, config in ipairs(configs(sim)) do
    local whole = M.whole(sim, config)
    for _, half in ipairs(quorums.all(config)) do
      local id = needed(half, whole, kept, order)
      while id do
        kept[id], list[#list + 1] = true, id
        id = needed(half, whole, kept, order)
      end
    end
  end
  return list
end

return M
