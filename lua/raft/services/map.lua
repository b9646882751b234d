--- A map from keys to plain values, with versions and watches: a battery.
--
--   local map = require "raft.services.map"
--   local service = map { name = "settings" }
--   node.settings.put("colour", "blue")          1, the version
--   node.settings.put_if("colour", 1, "green")   2; false: it is not 1 any more
--   map.watch(node.settings, "", function(key, value, version) ... end)
--
-- Every change has a version: 1, 2, 3 and so on, without a gap. Keys that were
-- put with a time to live are gone for every reader when it is over; the change
-- that tells so comes with the next command. A command that fails has changed
-- nothing.
local arguments = require "raft.services.support.arguments"
local battery = require "raft.services.support.battery"
local plain = require "raft.plain"
local schema = require "raft.schema"
local sorted = require "raft.services.support.sorted"
local states = require "raft.services.map.state"
local watching = require "raft.services.map.watch"

local PAGE <const> = 100  -- items of a list, unless it is said otherwise
local BYTES_MAX <const> = 1 << 30

---------------------------------------------------------------- the commands --

local function put(s, key, value, ttl_ms)
  states.sweep(s)
  return states.put(s, key, value, ttl_ms)
end

-- Does the key have this version? 0: it is not there.
local function has_version(s, key, version)
  local item = s.items[key]
  return (item and item.version or 0) == version
end

local function put_if(s, key, version, value, ttl_ms)
  states.sweep(s)
  if not has_version(s, key, version) then return false end
  return states.put(s, key, value, ttl_ms)
end

local function delete(s, key)
  states.sweep(s)
  if not s.items[key] then return false end
  return states.remove(s, key)
end

local function delete_if(s, key, version)
  states.sweep(s)
  if not s.items[key] or not has_version(s, key, version) then return false end
  return states.remove(s, key)
end

local function touch(s, key, ttl_ms)
  states.sweep(s)
  if not s.items[key] then return false end
  states.set_time(s, key, s.items[key], ttl_ms)
  return true
end

----------------------------------------------------------------- the queries --

local function get(s, key)
  local item = states.live(s, key)
  if item then return item.value end
end

local function item_of(s, key)
  local item = states.live(s, key)
  if not item then return nil end
  return { key = key, value = item.value, version = item.version,
    until_ms = item.until_ms }
end

-- The keys with this prefix, from the one behind `after` on: an iterator.
local function keys_from(s, prefix, after)
  local less = plain.key_order()
  local from = after and less(prefix, after) and after or prefix
  local following = sorted.from(s.keys, from, less)
  return function()
    local key = following()
    if key and key == after then key = following() end
    if key and key:sub(1, #prefix) == prefix then return key end
  end
end

local function list(s, prefix, after, limit)
  prefix, limit = prefix or "", limit or PAGE
  local page = { items = {}, next = nil, version = s.version }
  for key in keys_from(s, prefix, after) do
    local item = item_of(s, key)
    if #page.items == limit then
      page.next = page.items[limit].key
      break
    elseif item then
      page.items[#page.items + 1] = item
    end
  end
  return page
end

local function size(s)
  return s.keys.size - states.count_over(s)
end

local function changes(s, since, limit)
  local last = math.min(s.version, since + (limit or PAGE))
  if since < s.version and not s.history[since + 1] then return false end
  local page = { changes = {}, version = math.max(since, last),
    is_all = last == s.version }
  for version = since + 1, last do
    local change = s.history[version]
    page.changes[#page.changes + 1] = { version = version, key = change.key,
      value = change.value }
  end
  return page
end

-------------------------------------------------------------------- the face --

local optional = arguments.optional
local key, value = { "key", arguments.key }, { "value", arguments.value }
local version = { "version", arguments.version }
local ttl = { "ttl_ms", optional(arguments.ms) }
local limit = { "limit", optional(arguments.page) }

local functions <const> = {
  commands = {
    put = { rules = { key, value, ttl }, run = put },
    put_if = { rules = { key, version, value, ttl }, run = put_if },
    delete = { rules = { key }, run = delete },
    delete_if = { rules = { key, version }, run = delete_if },
    touch = { rules = { key, ttl }, run = touch },
    sweep = { rules = {}, run = states.sweep },
  },
  queries = {
    get = { rules = { key }, run = get },
    item = { rules = { key }, run = item_of },
    list = { rules = { { "prefix", optional(arguments.prefix) },
      { "after", optional(arguments.prefix) }, limit }, run = list },
    size = { rules = {}, run = size },
    version = { rules = {}, run = function(s) return s.version end },
    changes = { rules = { { "since", arguments.version }, limit },
      run = changes },
  },
}

return battery.module({
  name = "map",
  options = {
    { "keys_max", schema.integer(1, 1 << 32, "keys"), default = 100000 },
    { "key_bytes_max", schema.integer(1, 1 << 16, "bytes"), default = 256 },
    { "value_bytes_max", schema.integer(1, BYTES_MAX, "bytes"),
      default = 64 << 10 },
    { "history_max", schema.integer(1, 1 << 32, "changes"), default = 1000 },
  },
  first = states.first,
  upgrade = states.trim,
  functions = function() return functions end,
}, { watch = watching.start })
