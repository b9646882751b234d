--- The user's code inside a simulation. All nodes share one Lua state, so what
-- differs between real processes would be the same everywhere here, and hide:
-- the order of pairs, random numbers, the time. While a node's code runs, these
-- are drawn for that node, from the seed.
--
-- Limits. What a chunk has taken into a local before (`local pairs = pairs`) is
-- out of reach. Tables, functions and userdata as keys have no order that is
-- the same in two runs.

local M = {}

local Code = { __name = "raft.sim.code" }
Code.__index = Code

local raw_next, raw_os_date, raw_os_time = next, os.date, os.time
local NS_PER_S <const> = 1000000000

--- @param random the stream of this start of the node
-- @param host whose wall clock the code reads
-- @param loop whose monotonic clock os.clock shows
function M.new(random, host, loop)
  local self = setmetatable({
    random = random,
    host = host,
    loop = loop,
    salt = random:bits(),  -- makes the order of keys this node's own
    hashes = {},           -- key -> its hash with this salt
    globals = false,       -- name -> what stands in for it
    depth = 0,             -- how many calls of this node we are in
    kept = {},             -- what they replaced
  }, Code)
  self.globals = self:make_globals()
  return self
end

--------------------------------------------------------------- order of keys --

local function hash_of(key, salt)
  local h = salt
  if math.type(key) == "integer" then
    h = h ~ key * 0x9e3779b97f4a7c15
  else
    local text = type(key) == "number" and ("%a"):format(key) or tostring(key)
    for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
  end
  h = (h ~ h >> 29) * 0xbf58476d1ce4e5b9
  return h ~ h >> 32
end

-- Keys that are the same in every run.
local HAS_TEXT <const> = { number = true, string = true, boolean = true }

-- The hashes are sorted, not the keys: without a function to compare them that
-- is several times faster. Keys without a text come last, in the order of next.
local function keys_of(self, t)
  local hashes, owners, rest = {}, {}, {}
  local known = self.hashes
  for key in raw_next, t do
    if HAS_TEXT[type(key)] then
      local hash = known[key]
      if not hash then
        hash = hash_of(key, self.salt)
        known[key] = hash
      end
      assert(owners[hash] == nil, "two keys have one hash")
      owners[hash] = key
      hashes[#hashes + 1] = hash
    else
      rest[#rest + 1] = key
    end
  end
  table.sort(hashes)
  for i, hash in ipairs(hashes) do hashes[i] = owners[hash] end
  return table.move(rest, 1, #rest, #hashes + 1, hashes)
end

local function make_next(self)
  return function(t, key)
    local keys = keys_of(self, t)
    if key == nil then return keys[1], t[keys[1]] end
    for i, other in ipairs(keys) do
      if other == key then
        local following = keys[i + 1]
        if following == nil then return nil end
        return following, rawget(t, following)
      end
    end
    return raw_next(t, key)  -- gone meanwhile, or never there: Lua's error
  end
end

local function make_pairs(self)
  return function(t)
    local meta = getmetatable(t)
    if type(meta) == "table" and meta.__pairs then return meta.__pairs(t) end
    assert(type(t) == "table", "bad argument #1 to 'for iterator'")
    local keys, i = keys_of(self, t), 0
    return function()
      local key, value
      repeat  -- what was removed on the way does not come
        i = i + 1
        key = keys[i]
        value = key ~= nil and rawget(t, key)
      until key == nil or value ~= nil
      if key ~= nil then return key, value end
    end, t, nil
  end
end

------------------------------------------------------------ numbers and time --

local function make_random(self)
  return function(low, high)
    local random = self.random
    if not low then return random:real() end
    if not high then low, high = 1, low end
    if low == 1 and high == 0 then return random:bits() end
    assert(low <= high, "bad argument #1 to 'random' (interval is empty)")
    return random:between(low, high)
  end
end

function Code:make_globals()
  local drawn_next = make_next(self)
  local function seconds() return self.host.wall() // 1000 end
  return {
    next = drawn_next,
    pairs = make_pairs(self),
    random = make_random(self),
    randomseed = function() return 0, 0 end,
    time = function(t) return t and raw_os_time(t) or seconds() end,
    clock = function() return self.loop:hrtime() / NS_PER_S end,
    date = function(format, time)
      return raw_os_date(format, time or seconds())
    end,
  }
end

-- Written out: this runs for every command of every node.
local function put(globals)
  _G.pairs, _G.next = globals.pairs, globals.next
  math.random, math.randomseed = globals.random, globals.randomseed
  os.time, os.clock, os.date = globals.time, globals.clock, globals.date
end

local function take(globals)
  globals.pairs, globals.next = pairs, next
  globals.random, globals.randomseed = math.random, math.randomseed
  globals.time, globals.clock, globals.date = os.time, os.clock, os.date
end

local function enter(self)
  self.depth = self.depth + 1
  if self.depth > 1 then return end
  take(self.kept)
  put(self.globals)
end

local function leave(self)
  self.depth = self.depth - 1
  if self.depth == 0 then put(self.kept) end
end

-- A to-be-closed value: globals come back however the code ends.
local Scope = { __close = function(scope) leave(scope.code) end }

--- fn, run as the code of this node.
function Code:wrap(fn)
  local scope = setmetatable({ code = self }, Scope)
  return function(...)
    enter(self)
    local _ <close> = scope
    return fn(...)
  end
end

return M
