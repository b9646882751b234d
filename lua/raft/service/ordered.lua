--- Orders that are the same on every node: of the keys of a table, which is
-- that of raft.codec (1..n first, then false < true < integers < floats <
-- strings), and of what is sorted, where equal items keep their places.
--
-- Promises. What is removed on the way through a table does not come; what is
-- added may not. A table, function or thread as a key has no such order: that
-- raises. The first key costs a look at all of them, unless it is 1.
local plain = require "raft.plain"

local M = {}

local raw_next = next

-- Table -> the way through it that next() has begun. Only for one command: one
-- that went on from the command before would differ after a restart.
local walks = {}

--- Another command begins.
function M.forget()
  if raw_next(walks) then walks = {} end
end

---------------------------------------------------------------------- keys --

-- How many keys 1..n there are, and all others, in any order.
local function keys_of(t)
  local n, others, only_strings = 0, {}, true
  while rawget(t, n + 1) ~= nil do n = n + 1 end
  for key in raw_next, t do
    local kind = math.type(key) or type(key)
    if kind ~= "integer" or key < 1 or key > n then
      if not plain.key_rank(key) then
        error(("a %s as a key has no place in an order that is the same on "
          .. "every node"):format(kind), 0)
      end
      only_strings = only_strings and kind == "string"
      others[#others + 1] = key
    end
  end
  return n, others, only_strings
end

local function check_table(t, name)
  if type(t) == "table" then return end
  error(("bad argument #1 to '%s' (table expected, got %s)"):format(name,
    type(t)), 3)
end

--- pairs, in that order. It honours __pairs.
function M.pairs(t)
  local meta = getmetatable(t)
  local own = type(meta) == "table" and meta.__pairs
  if own then
    local fn, state, first = own(t)
    return fn, state, first
  end
  check_table(t, "pairs")
  local n, others, only_strings = keys_of(t)
  plain.sort_keys(others, only_strings)
  local i = 0
  return function()
    local key, value
    repeat
      i = i + 1
      if i <= n then key = i else key = others[i - n] end
      if key ~= nil then value = rawget(t, key) end
    until key == nil or value ~= nil
    if key ~= nil then return key, value end
  end, t, nil
end

---------------------------------------------------------------------- next --

local function smallest(others)
  local less, first = plain.key_order(), others[1]
  for i = 2, #others do
    if less(others[i], first) then first = others[i] end
  end
  return first
end

-- Who only asks for the first key, to see whether there is one, does not pay
-- for sorting.
local function begin(t)
  if raw_next(t) == nil then return nil end
  local n, others, only_strings = keys_of(t)
  walks[t] = { n = n, others = others, only_strings = only_strings,
    is_sorted = false, place = 0 }
  if n > 0 then return 1, rawget(t, 1) end
  local key = smallest(others)
  return key, rawget(t, key)
end

local function sorted_walk(t)
  if not walks[t] then begin(t) end
  local walk = walks[t]
  if walk and not walk.is_sorted then
    plain.sort_keys(walk.others, walk.only_strings)
    walk.is_sorted = true
  end
  return walk
end

-- Where this key stands among 1..n and the others; nil: nowhere.
local function place_of(walk, key)
  if math.type(key) == "integer" and key >= 1 and key <= walk.n then
    return key
  elseif walk.place > 0 and walk.others[walk.place] == key then
    return walk.n + walk.place
  end
  for i, other in ipairs(walk.others) do
    if other == key then return walk.n + i end
  end
end

--- next, in that order.
function M.next(t, key)
  check_table(t, "next")
  if key == nil then return begin(t) end
  if math.type(key) == "float" then key = math.tointeger(key) or key end
  local walk = sorted_walk(t)
  local place = walk and place_of(walk, key)
  if not place then
    walks[t] = nil  -- it was added since
    walk = sorted_walk(t)
    place = walk and place_of(walk, key)
  end
  if not place then error("invalid key to 'next'", 2) end
  local following, value
  repeat
    place = place + 1
    walk.place = math.max(0, place - walk.n)
    if place <= walk.n then following = place
    else following = walk.others[walk.place] end
    if following ~= nil then value = rawget(t, following) end
  until following == nil or value ~= nil
  if following ~= nil then return following, value end
end

---------------------------------------------------------------------- sort --

local function native_less(a, b) return a < b end

-- Merges from[low..middle] and from[middle + 1..high] into the same places of
-- `into`: of two that are equal the left one comes first.
local function merge(from, into, low, middle, high, less)
  local i, j = low, middle + 1
  for k = low, high do
    local takes_right = i > middle or (j <= high and less(from[j], from[i]))
    if takes_right then
      into[k], j = from[j], j + 1
    else
      into[k], i = from[i], i + 1
    end
  end
end

--- table.sort, where equal items keep their places. Where `less` raises, the
-- list stays as it is.
function M.sort(list, less)
  check_table(list, "sort")
  if less ~= nil and type(less) ~= "function" then
    error(("bad argument #2 to 'sort' (function expected, got %s)"):format(
      type(less)), 2)
  end
  local n, width = #list, 1
  local from, into = table.move(list, 1, n, 1, {}), {}
  while width < n do
    for low = 1, n, 2 * width do
      merge(from, into, low, math.min(low + width - 1, n),
        math.min(low + 2 * width - 1, n), less or native_less)
    end
    from, into, width = into, from, 2 * width
  end
  table.move(from, 1, n, 1, list)
end

return M
