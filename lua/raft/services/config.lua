--- A configuration: named settings that are changed, checked and taken back as
-- a whole. A battery.
--
--   local config = require "raft.services.config"
--   local service = config { fields = {
--     workers = { type = "integer", default = 4, min = 1, max = 64 },
--     colour = { type = "string", one_of = { "red", "green" } },
--   } }
--   node.config.set("workers", 8)              1, the version
--   node.config.get("workers")                 8
--   node.config.rollback(0)                    2: as it was at version 0
--   config.watch(node.config, function(settings, version) ... end)
--
-- A change that leads to settings that cannot be is refused, and has changed
-- nothing; so has one that leads to those that are there already.
local arguments = require "raft.services.support.arguments"
local battery = require "raft.services.support.battery"
local documents = require "raft.services.config.document"
local fields = require "raft.services.config.fields"
local schema = require "raft.schema"
local watching = require "raft.services.config.watch"

local PAGE <const> = 10  -- versions of history and since, by default
local BYTES_MAX <const> = 1 << 20

-- A copy of the settings, with these.
local function with(settings, changes)
  local all = {}
  for name, value in pairs(settings) do all[name] = value end
  for name, value in pairs(changes) do all[name] = value end
  return all
end

---------------------------------------------------------------- the commands --

-- The commands of a configuration whose documents this function checks; false:
-- none does.
local function commands_of(check)
  local function put(s, settings)
    local why = documents.refusal(s, settings, check)
    if why ~= nil then return nil, why end
    local version, is_new = documents.put(s, settings)
    if is_new then emit("change", version) end
    return version
  end

  local function update(s, changes) return put(s, with(s.settings, changes)) end

  local function unset(s, name)
    local why = documents.no_such(s, name)
    if why then return nil, why end
    local settings = with(s.settings, {})
    settings[name] = nil
    return put(s, settings)
  end

  local function compare_and_set(s, version, changes)
    if version ~= s.version then return false end
    return update(s, changes)
  end

  local function rollback(s, version)
    local kept = s.history[version]
    if not kept then
      return nil, ("version %d is not kept"):format(version)
    end
    return put(s, kept.settings)
  end

  return { put = put, update = update, unset = unset, rollback = rollback,
    compare_and_set = compare_and_set,
    set = function(s, name, value) return update(s, { [name] = value }) end }
end

----------------------------------------------------------------- the queries --

local function get(s, name)
  local why = documents.no_such(s, name)
  if why then return nil, why end
  return documents.complete(s, s.settings)[name]
end

local function all(s) return documents.at(s, s.version) end

local function history(s, before, limit)
  local list, version = {}, math.min(before or s.version + 1, s.version + 1)
  while #list < (limit or PAGE) and s.history[version - 1] do
    version = version - 1
    list[#list + 1] = documents.at(s, version)
  end
  return list
end

local function since(s, version, limit)
  local list = {}
  if version < s.version and not s.history[version + 1] then return false end
  for later = version + 1, math.min(s.version, version + (limit or PAGE)) do
    list[#list + 1] = documents.at(s, later)
  end
  return list
end

-------------------------------------------------------------------- the face --

local optional = arguments.optional
local name = { "name", arguments.key }
local version = { "version", arguments.version }
local value = { "value", function(given)
  if given == nil then return "a value (unset takes one back)" end
end }
local settings = { "settings", function(given)
  if type(given) ~= "table" then return "a table" end
end }
local limit = { "limit", optional(arguments.integer(1, 100)) }

local QUERIES <const> = {
  get = { rules = { name }, run = get },
  all = { rules = {}, run = all },
  version = { rules = {}, run = function(s) return s.version end },
  at = { rules = { version }, run = documents.at },
  history = { rules = { { "before", optional(arguments.version) }, limit },
    run = history },
  since = { rules = { version, limit }, run = since },
}

local function functions(given)
  local run = commands_of(given.check)
  return { queries = QUERIES, commands = {
    set = { rules = { name, value }, run = run.set },
    unset = { rules = { name }, run = run.unset },
    update = { rules = { settings }, run = run.update },
    replace = { rules = { settings }, run = run.put },
    compare_and_set = { rules = { version, settings },
      run = run.compare_and_set },
    rollback = { rules = { version }, run = run.rollback },
  } }
end

return battery.module({
  name = "config",
  options = {
    { "fields", schema.or_false(fields.rule) },
    { "check", schema.callable },
    { "bytes_max", schema.integer(1, BYTES_MAX, "bytes"), default = 64 << 10 },
    { "key_bytes_max", schema.integer(1, 1 << 16, "bytes"), default = 256 },
    { "history_max", schema.integer(0, 1 << 32, "versions"), default = 100 },
  },
  first = documents.first,
  upgrade = function(s, given) documents.adapt(s, given.check) end,
  functions = functions,
}, { watch = watching.start })
