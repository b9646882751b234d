--- The documents of the battery `config`: what one is, whether it may be the
-- configuration, and the newest ones.
--
--   version   how often it has changed
--   settings  name -> value, of those that are set
--   history   version -> { settings =, time = }: limits.history_max of them
--             and the newest, without a gap. A table of settings is never
--             changed, so that two may be the same one
local arguments = require "raft.services.support.arguments"
local codec = require "raft.codec"
local fields = require "raft.services.config.fields"
local plain = require "raft.plain"
local schema = require "raft.schema"

local M = {}

function M.first()
  return { version = 0, settings = {},
    history = { [0] = { settings = {}, time = 0 } } }
end

-------------------------------------------------------------------- reading --

--- The settings with the defaults of those that are not set.
function M.complete(s, settings)
  local all = {}
  for name, field in pairs(s.limits.fields or {}) do
    all[name] = field.default
  end
  for name, value in pairs(settings) do all[name] = value end
  return all
end

local function known(s)
  local names = {}
  for name in pairs(s.limits.fields) do names[#names + 1] = name end
  return table.concat(names, ", ")
end

--- Why there can be no setting of this name; nil: there can.
function M.no_such(s, name)
  local list = s.limits.fields
  if not list or list[name] then return nil end
  return ("there is no setting %s: known are %s"):format(schema.show(name),
    known(s))
end

--- A version as it is told; nil: it is not kept.
function M.at(s, version)
  local kept = s.history[version]
  if not kept then return nil end
  return { version = version, time = kept.time,
    settings = M.complete(s, kept.settings) }
end

------------------------------------------------------------------- checking --

-- Why this cannot be a setting, or nil.
local function refusal_of_setting(s, name, value)
  if type(name) ~= "string" or #name < 1 or #name > s.limits.key_bytes_max then
    return ("a name is a string of 1 to %d bytes, and not %s"):format(
      s.limits.key_bytes_max, schema.show(name))
  end
  if arguments.is_deep(value) then
    return ("%s: expected %s"):format(name, arguments.NOT_DEEP)
  end
  local field = s.limits.fields and s.limits.fields[name]
  local expected = field and fields.expected(field, value)
  if expected then
    return ("%s: expected %s, got %s"):format(name, expected,
      schema.show(value))
  end
  return M.no_such(s, name)
end

--- Why these cannot be the settings; nil: they can.
-- @param check the user's function of whole documents, or false
function M.refusal(s, settings, check)
  for name, value in pairs(settings) do
    local why = refusal_of_setting(s, name, value)
    if why then return why end
  end
  local bytes = #codec.encode(settings)
  if bytes > s.limits.bytes_max then
    return ("the settings would be %d bytes, and may be %d, which is "
      .. "bytes_max"):format(bytes, s.limits.bytes_max)
  end
  if not check then return nil end
  local ok, why = check(plain.copy(M.complete(s, settings)))
  if ok == false or (ok == nil and why ~= nil) then
    return why == nil and "check has refused the settings" or why
  end
end

------------------------------------------------------------------- changing --

--- Lets go of what is older than history_max.
function M.trim(s)
  local version = s.version - s.limits.history_max - 1
  while s.history[version] do
    s.history[version] = nil
    version = version - 1
  end
end

--- These are the settings from now on.
-- @return their version, and whether it is new; the one there is, where nothing
--   is another
function M.put(s, settings)
  if codec.encode(settings) == codec.encode(s.settings) then
    return s.version, false
  end
  s.version, s.settings = s.version + 1, settings
  s.history[s.version] = { settings = settings, time = entry.time }
  M.trim(s)
  return s.version, true
end

--- The settings that will do for the fields of now, where the fields have
-- become others. Raises where the user's function refuses them as a whole.
function M.adapt(s, check)
  local settings = {}
  for name, value in pairs(s.settings) do
    if not refusal_of_setting(s, name, value) then settings[name] = value end
  end
  local why = M.refusal(s, settings, check)
  if why then error(why, 0) end
  M.put(s, settings)
  M.trim(s)
end

return M
