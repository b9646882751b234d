--- The services in use: from which entry on, at which version, with which
-- state.
--
-- Promises. All of it follows from the log alone: from what members announce,
-- and from who is a member. A node that cannot do what the others can ends with
-- `unsupported`. An upgrade takes effect at one entry on every node, or, where
-- it raises, on none.
local codec = require "raft.codec"
local errors = require "raft.errors"
local fault = require "raft.fault"
local moment = require "raft.service.moment"
local names = require "raft.service.names"
local plain = require "raft.plain"
local versions = require "raft.service.versions"

local M = {}

local InUse = { __name = "raft.service.in_use" }
InUse.__index = InUse

local NO_ENTRY <const> = { index = 0, term = 0, time = 0 }

--- @param definitions of raft.service, an array
-- @param id of this node; nil where there is none
function M.new(definitions, id)
  local self = setmetatable({
    id = id,
    definitions = {},      -- name -> definition
    services = {},         -- name -> { version=, state=, refused= the version
                           -- whose upgrade has raised, or false }
    versions = versions.new(),
    was_upgraded = false,  -- of late? Who wants to know takes it back
  }, InUse)
  for _, definition in ipairs(definitions) do
    self.definitions[definition.name] = definition
  end
  return self
end

--- Calls fn(...) under the guard.
function M.run(now, fn, ...)
  return moment.run(now, names.string_methods, fn, ...)
end

------------------------------------------------------------- what is there --

-- This node ends, for it cannot do what is to be done with this service.
local function unsupported(name, text, ...)
  error(fault.new(errors.new("unsupported",
    ("service %s %s"):format(name, text:format(...)), { service = name })), 0)
end

--- The definition that can run this version; without one this node ends.
function InUse:definition_of(name, version)
  local found = self.definitions[name]
  if not found then
    unsupported(name, "is in use, and this node has no definition of it")
  elseif found.version < version then
    unsupported(name, "is in use at version %d, and this node has version %d: "
      .. "start it with the newer definition", version, found.version)
  end
  return found
end

--- What runs while this version is in use.
function M.at_version(definition, version)
  return definition.older[version] or definition
end

--- The first state of a service, as bytes. Raises what init raises.
function M.first_state(definition)
  local now = moment.new(NO_ENTRY, definition.version, "init")
  local state = M.run(now, definition.init)
  if type(state) ~= "table" then
    error(("init of service %s: expected a table as the state, got %s"):format(
      definition.name, type(state)), 0)
  end
  return codec.encode(state, "init of service " .. definition.name)
end

--- What this node can run, as raft.service.versions has it. The first state
-- goes with it: a newer definition may have another one.
function InUse:announcement()
  local services = {}
  for name, definition in pairs(self.definitions) do
    local commands = { [definition.version] = definition.command_names }
    for version, older in pairs(definition.older) do
      commands[version] = older.command_names
    end
    services[name] = { version = definition.version, commands = commands,
      first = M.first_state(definition) }
  end
  return services
end

---------------------------------------------------------------- from here on --

-- Who was removed has no part in what the others can do now. It has no state of
-- that from here on, and ends should it have to run something of it.
local function is_out_of_it(self, name, version)
  local definition = self.definitions[name]
  if definition and definition.version >= version then return false end
  if not self.id or self.versions:has(self.id) then return false end
  self.services[name] = { version = version, refused = false, state = false }
  return true
end

local function begin(self, name, version, first)
  if is_out_of_it(self, name, version) then return end
  self:definition_of(name, version)
  self.services[name] = { version = version, refused = false,
    state = codec.decode(first) }
end

-- The state of the new version, from a copy of the old one. What no snapshot
-- can hold is none: that is found here, where the old one is still there.
local function upgraded(definition, used, entry)
  local state = plain.copy(used.state, "the state of service "
    .. definition.name)
  if not definition.upgrade then return state end
  local now = moment.new(entry, definition.version, "upgrade")
  local result = M.run(now, definition.upgrade, state, used.version)
  if result == nil then result = state end
  if type(result) ~= "table" then
    error(("expected a table as the state, got %s"):format(type(result)), 0)
  end
  return plain.copy(result, "the new state")
end

-- The definition of exactly this version.
local function upgrading(self, name, version)
  local newest = self:definition_of(name, version)
  local definition = M.at_version(newest, version)
  if definition.version ~= version then
    unsupported(name, "was upgraded to version %d here, and this node has only "
      .. "version %d: start it with a definition that has the older one, too",
      version, newest.version)
  end
  return definition
end

-- All have a newer version. Nil, or why the upgrade has failed.
local function upgrade(self, name, version, entry)
  local used = self.services[name]
  if used.refused == version or is_out_of_it(self, name, version) then
    return nil
  end
  local definition = upgrading(self, name, version)
  local ok, state = fault.pcall(upgraded, definition, used, entry)
  if not ok then
    used.refused = version
    return ("service %s: upgrade to version %d: %s"):format(name, version,
      errors.text(state))
  end
  self.services[name] = { version = version, state = state, refused = false }
  self.was_upgraded = true
end

-- What follows from an announcement or a configuration. Raises what an upgrade
-- has raised, once all is done.
local function look(self, entry)
  local failure
  for _, name in ipairs(self.versions:services()) do
    local version, first, is_of_all = self.versions:common(name)
    local used = self.services[name]
    if is_of_all and not used then
      begin(self, name, version, first)
    elseif is_of_all and version > used.version then
      failure = upgrade(self, name, version, entry) or failure
    end
  end
  if failure then error(failure, 0) end
end

--- A member says what it can run.
function InUse:announce(id, services, entry)
  if self.versions:announce(id, services) then look(self, entry) end
end

--- These apply commands from now on.
-- @param ids sorted
function InUse:configure(ids, entry)
  self.versions:configure(ids)
  look(self, entry)
end

-- A service that is used before all members have announced it: by those that
-- have, all must have the same version; before anybody has, the one who uses it
-- says the version.
local function begin_early(self, name, version)
  local common, first = self.versions:common(name)
  if common then return begin(self, name, common, first) end
  local is_first = next(self.versions.announced) == nil
  if not is_first or not version then
    return ("service %s is not in use: %s"):format(name, first)
  end
  local definition = self:definition_of(name, version)
  if definition.version ~= version then
    unsupported(name, "begins with version %d, and this node has version %d",
      version, definition.version)
  end
  begin(self, name, version, M.first_state(definition))
end

------------------------------------------------------------------ a command --

local function list(words)
  return #words > 0 and table.concat(words, ", ") or "none"
end

local function sorted(set)
  local words = {}
  for word in pairs(set) do words[#words + 1] = word end
  table.sort(words)
  return words
end

--- What runs when this command is applied, and on what.
-- @param version of the definition that the caller has, or nil
-- @return the function, { version=, state= }, the definition; or nil and why
--   there is none: the same on every node
function InUse:command(name, command, version)
  local why = not self.services[name] and begin_early(self, name, version)
  if why then return nil, why end
  local used = self.services[name]
  local definition = M.at_version(self:definition_of(name, used.version),
    used.version)
  local fn = definition.commands[command]
  local all = self.versions:commands_at(name, used.version)
  local can_run = not all or all[command]
  if fn and can_run then return fn, used, definition end
  if all and can_run then
    unsupported(name, "has the command %s in the log, and the definition of "
      .. "this node has only %s", command, list(definition.command_names))
  end
  -- A result, so nothing in it may be of this node alone.
  return nil, ("service %s, version %d: not all members have a command %s%s")
    :format(name, used.version, command, all and ", only "
    .. list(sorted(all)) or "")
end

--- What answers this query, and from what: before a service is in use, from its
-- first state. Nil and why nothing does.
function InUse:query(name, query)
  local newest, used = self.definitions[name], self.services[name]
  if not newest then
    return nil, ("there is no service %s here"):format(name)
  end
  local version = used and used.version or newest.version
  local definition = M.at_version(newest, version)
  local fn = definition.queries[query]
  if not fn then
    return nil, ("service %s, version %d, has no query %s, only %s"):format(
      name, version, query, list(definition.query_names))
  end
  return fn, used or { version = version,
    state = codec.decode(M.first_state(definition)) }
end

------------------------------------------------------------------- snapshots --

--- All of it, as a plain value; the states as bytes.
function InUse:plain()
  local services = {}
  for name, used in pairs(self.services) do
    services[name] = { version = used.version, refused = used.refused,
      state = codec.encode(used.state, "the state of service " .. name) }
  end
  return { services = services, versions = self.versions:plain() }
end

--- Takes over what plain() gave.
function InUse:take(t)
  local services = {}
  for name, used in pairs(t.services) do
    self:definition_of(name, used.version)
    local state, err = codec.decode(used.state)
    if err then error(err, 0) end
    if not state then
      unsupported(name, "has no state here: this node was removed before it "
        .. "had version %d", used.version)
    end
    services[name] = { version = used.version, refused = used.refused,
      state = state }
  end
  self.services = services
  self.versions = versions.of_plain(t.versions)
end

return M
