--- Which members can run what: replicated state, made of announcements and
-- configurations. A command runs only where all can run it, and a new version
-- is in use only once all have it.
--
-- Promises. What is answered here follows from the log alone. Members that have
-- announced nothing yet are counted among those that can do all: the scripts of
-- a new cluster are alike, and nobody has to wait for all of them.
local M = {}

local Versions = { __name = "raft.service.versions" }
Versions.__index = Versions

--- An announcement is service -> { version=, first= the first state of that
-- version as bytes, commands = { [version] = { name, ... } } }, with the
-- commands that can be run while that version is in use.
function M.new()
  return setmetatable({
    members = {},    -- ids of those who apply commands, sorted
    announced = {},  -- id -> announcement. Invariant: of members only
    commands = {},   -- service -> version -> set of commands all can run
  }, Versions)
end

---------------------------------------------------------------- what is told --

--- These apply commands from now on.
-- @param ids sorted
function Versions:configure(ids)
  local announced = {}
  for _, id in ipairs(ids) do announced[id] = self.announced[id] end
  self.members, self.announced, self.commands = ids, announced, {}
end

--- A member says what it can run: true; false: it is none.
function Versions:announce(id, services)
  if not self:has(id) then return false end
  self.announced[id], self.commands = services, {}
  return true
end

--------------------------------------------------------------- what is asked --

--- Is this one of those who apply commands?
function Versions:has(id)
  for _, member in ipairs(self.members) do
    if member == id then return true end
  end
  return false
end

--- What this member has announced of this service, or nil.
function Versions:of(id, service)
  local services = self.announced[id]
  return services and services[service]
end

-- All that was announced of this service, in the order of the members; and who
-- has announced something, but not this.
local function all_of(self, service)
  local found, lacking = {}, {}
  for _, id in ipairs(self.members) do
    local item = self:of(id, service)
    if item then
      found[#found + 1] = item
    elseif self.announced[id] then
      lacking[#lacking + 1] = id
    end
  end
  return found, lacking
end

--- The members that have not announced this version, sorted.
function Versions:lacking(service, version)
  local ids = {}
  for _, id in ipairs(self.members) do
    local item = self:of(id, service)
    if not item or item.version ~= version then ids[#ids + 1] = id end
  end
  return ids
end

--- Which version do those have who have announced any, and its first state?
-- @return version, state as bytes, have all announced it?; or nil and why not
function Versions:common(service)
  local found, lacking = all_of(self, service)
  if #lacking > 0 then
    return nil, ("%s cannot run it"):format(table.concat(lacking, ", "))
  elseif #found == 0 then
    return nil, "no member has announced it"
  end
  for i = 2, #found do
    if found[i].version ~= found[1].version then
      return nil, ("members have versions %d and %d of it"):format(
        found[1].version, found[i].version)
    end
  end
  return found[1].version, found[1].first, #found == #self.members
end

local function commands_of(item, version)
  return item.commands[version] or item.commands[item.version]
end

-- What all of these can run while this version is in use.
local function common_commands(found, version)
  local counts, set = {}, {}
  for _, item in ipairs(found) do
    for _, name in ipairs(commands_of(item, version)) do
      counts[name] = (counts[name] or 0) + 1
      set[name] = counts[name] == #found or nil
    end
  end
  return set
end

--- The set of commands that all can run while this version is in use; false:
-- nobody has announced the service.
function Versions:commands_at(service, version)
  local by_version = self.commands[service] or {}
  self.commands[service] = by_version
  if by_version[version] == nil then
    local found = all_of(self, service)
    by_version[version] = #found > 0 and common_commands(found, version)
  end
  return by_version[version]
end

--- The services that anybody has announced, sorted.
function Versions:services()
  local names, is_known = {}, {}
  for _, id in ipairs(self.members) do
    for name in pairs(self.announced[id] or {}) do
      if not is_known[name] then names[#names + 1] = name end
      is_known[name] = true
    end
  end
  table.sort(names)
  return names
end

------------------------------------------------------------------- snapshots --

--- What is to be kept, as a plain value.
function Versions:plain()
  return { members = self.members, announced = self.announced }
end

--- From what plain() gave.
function M.of_plain(t)
  local self = M.new()
  self.members, self.announced = t.members, t.announced
  return self
end

return M
