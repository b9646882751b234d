--- Who is enough, by a configuration: written anew for the simulation, so that
-- it shares no mistake with the core. Pure functions.
--
-- A half is { rule = of raft.configuration or nil, voters = ids that count,
-- witnesses = id -> true }. A configuration has one, a joint one two; what its
-- goals lead to is one more, which is not in force yet.
local configuration = require "raft.configuration"

local M = {}

local function old_role(member) return member.role end
local function new_role(member) return member.next_role end

local function half_of(config, rule, role_of)
  local half = { rule = rule or nil, voters = {}, witnesses = {} }
  for id, member in pairs(config.members) do
    local role = role_of(member)
    if role == "voter" or role == "witness" then
      half.voters[#half.voters + 1] = id
    end
    if role == "witness" then half.witnesses[id] = true end
  end
  table.sort(half.voters)
  return half
end

local function split(config)
  local halves = { half_of(config, config.quorum, old_role) }
  if config.joint then
    halves[2] = half_of(config, config.next_quorum, new_role)
  end
  local all = { table.unpack(halves) }
  if not config.joint and not configuration.is_settled(config) then
    local rule = config.next_quorum
    if rule == nil then rule = config.quorum end
    all[2] = half_of(config, rule, configuration.goal)
  end
  return { in_force = halves, all = all }
end

-- Configurations do not change, and are asked about often.
local known = setmetatable({}, { __mode = "k" })

local function parts_of(config)
  local parts = known[config]
  if not parts then
    parts = split(config)
    known[config] = parts
  end
  return parts
end

--- The halves that are in force.
function M.in_force(config) return parts_of(config).in_force end

--- The same, and the one that is to come.
function M.all(config) return parts_of(config).all end

local function count_of(ids, has)
  local count = 0
  for _, id in ipairs(ids) do
    if has[id] then count = count + 1 end
  end
  return count
end

--- Are those in `has` enough for this purpose ("election" or "commit") in one
-- half?
function M.is_enough(half, purpose, has)
  local count = count_of(half.voters, has)
  local rule = half.rule and half.rule[purpose]
  if not rule then return 2 * count > #half.voters end
  if type(rule) ~= "table" then return count >= rule end
  for _, set in ipairs(rule) do
    if count_of(set, has) == #set then return true end
  end
  return false
end

--- Are they, in all halves that are in force?
function M.has(config, purpose, has)
  for _, half in ipairs(M.in_force(config)) do
    if not M.is_enough(half, purpose, has) then return false end
  end
  return true
end

return M
