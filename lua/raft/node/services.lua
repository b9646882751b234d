--- The services of a node: between their machine, and the node's log, its loop
-- and its users.
--
-- A node says what it can run whenever the log says something else of it. That
-- is a command like any other: raft.service.versions makes of it, and of the
-- configurations, what is in use.
local Listeners = require "raft.service.listeners"
local codec = require "raft.codec"
local configuration = require "raft.configuration"
local errors = require "raft.errors"
local proxy = require "raft.service.proxy"
local raft_core = require "raft.core"
local request = require "raft.service.request"
local service_machine = require "raft.service.machine"
local view = require "raft.node.view"

local M = {}

local LAST_BYTES_MAX <const> = 16 << 20  -- of a state that is saved in a stop
local LAST_MS_MAX <const> = 2000         -- that this may take

local Services = { __name = "raft.node.services" }
Services.__index = Services

--- @param driver gives id, options, defer(fn), report(err)
-- @return the services of its options; nil where it has none
function M.new(driver)
  local list = driver.options.services
  if not list then return nil end
  return setmetatable({
    driver = driver,
    list = list,
    machine = service_machine.new(list, driver.id),
    listeners = Listeners.new(function(err) driver:report(err) end),
    is_telling = false,  -- is a delivery on its way?
    is_announcing = false,  -- is an announcement on its way?
    announcement = false,   -- what we can run; made at the start
    seen = false,           -- what the log says of that, compared last
  }, Services)
end

------------------------------------------------------------- after a command --

-- What commands have emitted is told from the loop, never inside of apply.
local function tell_soon(self)
  if self.is_telling or #self.machine.told == 0 then return end
  self.is_telling = true
  self.driver:defer(function()
    self.is_telling = false
    self.listeners:deliver(self.machine:take_told())
  end)
end

-- What came before an upgrade needs the old commands, should it be applied
-- again: a snapshot does away with it.
local function snapshot_soon(self)
  local in_use, driver = self.machine.in_use, self.driver
  if not in_use.was_upgraded then return end
  in_use.was_upgraded = false
  driver:defer(function()
    if driver.is_closed then return end
    driver.snapshots:submit { deadline = false, answer = function() end }
  end)
end

--- Takes a snapshot because the node stops, and calls done() when there is
-- nothing to wait for any more; false: there is none to take, or it would take
-- long.
function Services:save(done)
  local driver = self.driver
  local newest = driver.storage.snapshots.newest
  local upto = newest and newest.index or 0
  local is_large = newest and newest.state_bytes > LAST_BYTES_MAX
  if driver.options.volatile or is_large or driver.applied <= upto
    or view.is_stateless(driver) then
    return false
  end
  driver.snapshots:submit { answer = done,
    deadline = driver:now() + LAST_MS_MAX }
  return true
end

--- The functions that raft.machine runs.
function Services:functions()
  local machine = self.machine
  return {
    apply = function(command, entry)
      local value, why = machine:apply(command, entry)
      tell_soon(self)
      snapshot_soon(self)
      return value, why
    end,
    configure = function(bytes, entry)
      local config = assert(raft_core.config_decode(bytes))
      machine:configure(configuration.appliers(config), entry)
      snapshot_soon(self)
    end,
    query = function(call) return machine:query(call) end,
    where = function() return machine.where end,
    snapshot = function() return machine:snapshot() end,
    restore = function(bytes) machine:restore(bytes) end,
  }
end

----------------------------------------------------------------- announcing --

-- Errors after which it is asked for again at once: it waits for a leader then.
-- After others it is when something changes; of some nobody else would tell.
local AGAIN <const> = { unknown = true, lost = true, timeout = true }
local TOLD <const> = { too_large = true, no_space = true }

local function answered(self, err)
  self.is_announcing = false
  if not err then return end
  if TOLD[err.code] then self.driver:warn(err) end
  if AGAIN[err.code] then self:look() end
end

local function announce(self)
  local driver = self.driver
  self.is_announcing = true
  driver.node:propose(request.announcement(driver.id, self.announcement),
    { timeout = false }, function(err) answered(self, err) end)
end

-- Does the log know what we can run?
local function is_known(self)
  local known = self.machine.in_use.versions.announced[self.driver.id]
  if known and known ~= self.seen then
    self.seen = codec.encode(known) == codec.encode(self.announcement) and known
  end
  return known ~= nil and known == self.seen
end

-- Before anything was applied no members are known: we are one, or will be when
-- a leader can be asked.
local function may_be_member(self)
  local versions = self.machine.in_use.versions
  return #versions.members == 0 or versions:has(self.driver.id)
end

--- Announces what we can run, if the log says something else.
function Services:look()
  local driver = self.driver
  if self.is_announcing or view.not_running(driver) then return end
  if view.is_stateless(driver) or is_known(self) then return end
  if may_be_member(self) then announce(self) end
end

--- The node runs.
function Services:begin()
  self.announcement = self.machine.in_use:announcement()
  for _, event in ipairs { "applied", "leader", "membership", "drain" } do
    self.driver.emitter:on(event, function() self:look() end)
  end
  self:look()
end

--------------------------------------------------------------------- proxies --

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

local function described(definition)
  return { version = definition.version,
    commands = set_of(definition.command_names),
    queries = set_of(definition.query_names) }
end

--- Of each service: the version of our definition, the one in use (nil: none
-- yet), and who has not announced ours.
function Services:status()
  local in_use, all = self.machine.in_use, {}
  for _, definition in ipairs(self.list) do
    local name, version = definition.name, definition.version
    local used = in_use.services[name]
    all[name] = { version = version, in_use = used and used.version,
      lacking = in_use.versions:lacking(name, version) }
  end
  return all
end

--- What there is, for those who have no definitions: name -> { version=,
-- commands = { name = true }, queries = { name = true } }.
function Services:descriptions()
  local all = {}
  for _, definition in ipairs(self.list) do
    all[definition.name] = described(definition)
  end
  return all
end

-- The proxy of a service over the node.
local function new_proxy(self, definition, options)
  local name, listeners = definition.name, self.listeners
  return proxy.new(self.driver.node, name, described(definition), options,
    function(method, event, fn)
      local heard = listeners[method](listeners, name, event, fn)
      return heard  -- no tail call: whom it blames is counted from here
    end)
end

--- The proxies that are fields of the node: name -> proxy.
function M.fields(driver)
  local fields = {}
  local list = driver.services and driver.services.list or {}
  for _, definition in ipairs(list) do
    fields[definition.name] = new_proxy(driver.services, definition, {})
  end
  return fields
end

--- The proxy of this service over the node. Level 3 is the user.
function M.of(driver, name, opts)
  local list, names = driver.services and driver.services.list or {}, {}
  for i, definition in ipairs(list) do
    names[i] = definition.name
    if definition.name == name then
      return new_proxy(driver.services, definition,
        proxy.options("node:service", opts or {}, 4))
    end
  end
  error(("node:service: there is no service %s on this node: it has %s"):format(
    errors.text(name), #names > 0 and table.concat(names, ", ") or "none"), 3)
end

return M
