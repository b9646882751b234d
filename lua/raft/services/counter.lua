--- Counters, by key: a battery.
--
--   local counter = require "raft.services.counter" { name = "hits" }
--   node.hits.add("home")      1
--   node.hits.add("home", 5)   6
--   node.hits.get("home")      6
--
-- A counter begins at 0, and one that is at 0 takes no room. A service has as
-- many as keys_max; where the key is left out it is the one without a name.
-- Values are integers from min to max: what leads out of that is refused and
-- changes nothing. Everywhere a command that fails has changed nothing.
local arguments = require "raft.services.support.arguments"
local battery = require "raft.services.support.battery"
local plain = require "raft.plain"
local schema = require "raft.schema"
local sorted = require "raft.services.support.sorted"

local UNNAMED <const> = ""
local PAGE <const> = 100  -- items of a list, unless it is said otherwise

local key = { "key", arguments.optional(arguments.prefix) }

------------------------------------------------------------------- the state --

-- values: key -> what it counts, never 0. keys: the same keys, sorted.

-- The counter has this value from now on; or nil, and why not.
local function put(s, name, value)
  local old = s.values[name]
  if not old and value ~= 0 and s.keys.size >= s.limits.keys_max then
    return nil, ("there are %d counters, which is keys_max"):format(s.keys.size)
  end
  if not old and value ~= 0 then
    sorted.insert(s.keys, name, plain.key_order())
  elseif old and value == 0 then
    sorted.remove(s.keys, name, plain.key_order())
  end
  s.values[name] = value ~= 0 and value or nil
  if value ~= (old or 0) then emit("change", name, value) end
  return value
end

-- The sum, or nil where no integer holds it.
local function sum(a, b)
  local result = a + b
  local has_wrapped = (b >= 0) ~= (result >= a)
  if not has_wrapped then return result end
end

-- Why a counter cannot have this value, or nil.
local function outside(s, name, value)
  local low, high = s.limits.min, s.limits.max
  if value and value >= low and value <= high then return nil end
  return ("%s would be %s, and may be from %d to %d"):format(schema.show(name),
    value or "beyond every integer", low, high)
end

---------------------------------------------------------------- the commands --

local function add(s, name, n)
  name, n = name or UNNAMED, n or 1
  local value = sum(s.values[name] or 0, n)
  local why = outside(s, name, value)
  if why then return nil, why end
  return put(s, name, value)
end

local function set(s, name, n)
  name = name or UNNAMED
  local old, why = s.values[name] or 0, outside(s, name, n)
  if why then return nil, why end
  local value
  value, why = put(s, name, n)
  if not value then return nil, why end
  return old
end

local function reset(s, name)
  return set(s, name, 0)
end

local function compare_and_set(s, name, from, to)
  name = name or UNNAMED
  local why = outside(s, name, to)
  if why then return nil, why end
  if (s.values[name] or 0) ~= from then return false end
  local value
  value, why = put(s, name, to)
  if not value then return nil, why end
  return true
end

----------------------------------------------------------------- the queries --

local function get(s, name)
  return s.values[name or UNNAMED] or 0
end

local function list(s, prefix, after, limit)
  prefix, limit = prefix or "", limit or PAGE
  local less = plain.key_order()
  local from = after and less(prefix, after) and after or prefix
  local page = { items = {}, next = nil }
  for name in sorted.from(s.keys, from, less) do
    local count = #page.items
    if name:sub(1, #prefix) ~= prefix then break end
    if count == limit then
      page.next = page.items[count].key
      break
    elseif name ~= after then
      page.items[count + 1] = { key = name, value = s.values[name] }
    end
  end
  return page
end

local function size(s) return s.keys.size end

------------------------------------------------------------------- the face --

local n = { "n", arguments.any_integer }

local function keyed(rules, run)
  return { rules = rules, run = run, is_keyed = true }
end

local functions <const> = {
  commands = {
    add = keyed({ key, { "n", arguments.optional(arguments.any_integer) } },
      add),
    set = keyed({ key, n }, set),
    reset = keyed({ key }, reset),
    compare_and_set = keyed({ key, { "from", arguments.any_integer },
      { "to", arguments.any_integer } }, compare_and_set),
  },
  queries = {
    get = keyed({ key }, get),
    list = { rules = { { "prefix", arguments.optional(arguments.prefix) },
      { "after", arguments.optional(arguments.prefix) },
      { "limit", arguments.optional(arguments.page) } }, run = list },
    size = { rules = {}, run = size },
  },
}

return battery.module {
  name = "counter",
  options = {
    { "min", schema.integer(math.mininteger, 0), default = math.mininteger },
    { "max", schema.integer(0, math.maxinteger), default = math.maxinteger },
    { "keys_max", schema.integer(1, 1 << 32, "keys"), default = 100000 },
    { "key_bytes_max", schema.integer(1, 1 << 16, "bytes"), default = 256 },
  },
  first = function() return { values = {}, keys = sorted.new() } end,
  functions = function() return functions end,
}
