--- What raft.codec costs: ns per value, in C and in the reference in Lua, the
-- best of some rounds.
local codec = require "raft.codec"
local reference = require "raft.codec.reference"
local tables = require "bench.tables"

local ROUNDS <const> = 9
local ROUND_S <const> = 0.03  -- processor time of one round, about

local function map(size)
  local t = {}
  for i = 1, size do t[("user:%06d"):format(i * 7919 % 100003)] = i end
  return t
end

local function rows(size)
  local t = {}
  for i = 1, size do t[i] = { id = i, name = "name" .. i, active = true } end
  return t
end

local VALUES <const> = {
  { "integer", 7 },
  { "request", { "kv", "set", { "key", "value" }, 2 } },
  { "1000 string keys", map(1000) },
  { "1000 rows", rows(1000) },
}

local function seconds(fn, argument, times)
  local from = os.clock()
  for _ = 1, times do fn(argument) end
  return os.clock() - from
end

-- How many calls make a round.
local function times_of(fn, argument)
  local times = 1
  while seconds(fn, argument, times) < ROUND_S do times = times * 2 end
  return times
end

-- ns per call of both.
local function measure(fast, slow, argument)
  local best = { math.huge, math.huge }
  for i, fn in ipairs { fast, slow } do
    collectgarbage()
    local times = times_of(fn, argument)
    for _ = 1, ROUNDS do
      best[i] = math.min(best[i], seconds(fn, argument, times) / times)
    end
  end
  return best[1] * 1e9, best[2] * 1e9
end

local function row(what, name, argument)
  local fast, slow = measure(codec[what], reference[what], argument)
  return { what, name, ("%.0f"):format(fast), ("%.0f"):format(slow),
    ("%.1f"):format(slow / fast) }
end

return function()
  local lines = {}
  for _, pair in ipairs(VALUES) do
    local name, value = pair[1], pair[2]
    lines[#lines + 1] = row("encode", name, value)
    lines[#lines + 1] = row("decode", name, codec.encode(value))
  end
  tables.print("raft.codec, ns per value", { "call", "value", "C", "Lua",
    "ratio" }, lines)
end
