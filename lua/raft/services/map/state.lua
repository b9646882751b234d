--- The state of the battery `map`, and what is done to it: every change has a
-- version, and the newest changes are kept.
--
--   items    key -> { value =, version =, until_ms = ms or nil }
--   keys     the same keys, sorted
--   due      { until_ms, version, key } of those that expire, sorted
--   version  how many changes there have been
--   history  version -> { key =, value = nil where it was deleted }: as many
--            of the newest as limits.history_max, without a gap
local plain = require "raft.plain"
local sorted = require "raft.services.support.sorted"

local M = {}

local due_less = sorted.pair_less

function M.first()
  return { items = {}, keys = sorted.new(), due = sorted.new(), version = 0,
    history = {} }
end

-- A change: it gets a version, and is told.
local function note(s, key, value)
  s.version = s.version + 1
  s.history[s.version] = { key = key, value = value }
  s.history[s.version - s.limits.history_max] = nil
  emit("change", s.version, key, value)
  return s.version
end

--- Lets go of what is older than history_max, after that has become another.
function M.trim(s)
  local version = s.version - s.limits.history_max
  while s.history[version] do
    s.history[version] = nil
    version = version - 1
  end
end

------------------------------------------------------------------------ time --

-- It expires at that time no more.
local function forget_time(s, key, item)
  if not item.until_ms then return end
  sorted.remove(s.due, { item.until_ms, item.version, key }, due_less)
  item.until_ms = nil
end

--- The item expires so long after this command, or never.
function M.set_time(s, key, item, ttl_ms)
  forget_time(s, key, item)
  if not ttl_ms then return end
  item.until_ms = entry.time + ttl_ms
  sorted.insert(s.due, { item.until_ms, item.version, key }, due_less)
end

--- Removes what has expired by now.
-- @return how many
function M.sweep(s)
  local count, first = 0, sorted.first(s.due)
  while first and first[1] <= entry.time do
    M.remove(s, first[3])
    count, first = count + 1, sorted.first(s.due)
  end
  return count
end

--------------------------------------------------------------------- changes --

--- The key has this value from now on.
-- @return the version of that; or nil and why not
function M.put(s, key, value, ttl_ms)
  local item = s.items[key]
  if not item and s.keys.size >= s.limits.keys_max then
    return nil, ("there are %d keys, which is keys_max"):format(s.keys.size)
  elseif item then
    forget_time(s, key, item)
  else
    sorted.insert(s.keys, key, plain.key_order())
  end
  item = { value = value, version = note(s, key, value), until_ms = nil }
  s.items[key] = item
  M.set_time(s, key, item, ttl_ms)
  return item.version
end

--- Takes a key out, which must be there.
function M.remove(s, key)
  forget_time(s, key, s.items[key])
  sorted.remove(s.keys, key, plain.key_order())
  s.items[key] = nil
  return note(s, key, nil)
end

--------------------------------------------------------------------- reading --

--- The item of a key that has not expired; or nil.
function M.live(s, key)
  local item = s.items[key]
  local is_over = item and item.until_ms and item.until_ms <= entry.time
  return not is_over and item or nil
end

--- How many have expired and wait for the next command to be removed.
function M.count_over(s)
  local count = 0
  for item in sorted.each(s.due) do
    if item[1] > entry.time then break end
    count = count + 1
  end
  return count
end

return M
