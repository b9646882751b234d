--- What the events of a plan ask for, as raft.change takes it: kind of wish ->
-- function(sim, event, config) -> { members =, quorum =, ... }, or nil where it
-- makes no sense with this configuration. Pure.
local configuration = require "raft.configuration"
local quorums = require "raft.sim.quorums"

local M = {}

local VOTERS_MIN <const> = 2  -- of a change that takes one away

local wish = {}

local function address_of(sim, id) return sim.members[id].address end

local function is_voter(member)
  return member and configuration.goal(member) == "voter"
end

local function voters_of(config)
  local half = quorums.all(config)
  return half[#half].voters
end

local function newcomer(sim, event, id)
  return { address = address_of(sim, id), role = event.role,
    priority = event.priority }
end

function wish.add(sim, event, config)
  if config.members[event.id] then return nil end
  return { members = { [event.id] = newcomer(sim, event, event.id) } }
end

-- The leader, or who is named; then somebody else is to be left.
local function leaver(sim, event)
  return event.is_leader and sim:leader() or event.id
end

function wish.remove(sim, event, config)
  local id = leaver(sim, event)
  if not config.members[id] then return nil end
  if is_voter(config.members[id]) and #voters_of(config) <= VOTERS_MIN then
    return nil
  end
  return { members = { [id] = false } }
end

-- One step: somebody leaves, and another one comes.
function wish.replace(sim, event, config)
  local id = leaver(sim, event)
  if not config.members[id] or config.members[event.other] then return nil end
  return { members = { [id] = false,
    [event.other] = newcomer(sim, event, event.other) } }
end

-- Another role, or priority.
function wish.role(sim, event, config)
  local id = leaver(sim, event)
  local member = config.members[id]
  if not member then return nil end
  local loses_one = is_voter(member) and event.role ~= "voter"
  if loses_one and #voters_of(config) <= VOTERS_MIN then return nil end
  return { members = { [id] = { role = event.role,
    priority = event.priority } } }
end

-- Another port of the same machine.
function wish.move(_, event, config)
  local member = config.members[event.id]
  if not member then return nil end
  local host, port = member.address:match("^(.*):(%d+)$")
  return { members = {
    [event.id] = { address = ("%s:%d"):format(host, port + 1) } } }
end

-- Another rule: sizes of the voters there are; or the majority again.
function wish.quorum(_, event, config)
  local count = #voters_of(config)
  local election = math.min(count, count // 2 + 1 + event.extra)
  local rule = event.extra > 0
    and { election = election, commit = count - election + 1 }
  return { members = {}, quorum = rule }
end

function wish.settings(_, event)
  return { members = {}, election_min_ms = event.election_min_ms }
end

--- What an event of a plan asks for now, or nil.
function M.of(sim, event, config)
  return wish[event.what](sim, event, config)
end

return M
