--- Which key's time is over first: a heap of { time, key }.
-- A key whose deadline was changed or taken back stays in it until its old
-- time has come, or until `keep` is told what is still meant.
local M = {}

local Deadlines = { __name = "redis.deadlines" }
Deadlines.__index = Deadlines

function M.new()
  return setmetatable({
    times = {},  -- heap: times[i // 2] <= times[i]
    keys = {},   -- i -> the key whose time is times[i]
    count = 0,
  }, Deadlines)
end

local function put(self, i, time, key)
  self.times[i], self.keys[i] = time, key
end

--- Notes that the key ends at this time.
function Deadlines:add(time, key)
  local times, i = self.times, self.count + 1
  self.count = i
  while i > 1 and times[i // 2] > time do
    put(self, i, times[i // 2], self.keys[i // 2])
    i = i // 2
  end
  put(self, i, time, key)
end

--- The first time, or nil.
function Deadlines:first()
  return self.times[1]
end

-- Where the hole at the root comes to lie when something of this time fills
-- it, with all that is earlier moved up.
local function sink(self, time)
  local times, i = self.times, 1
  while 2 * i <= self.count do
    local below = 2 * i
    if below < self.count and times[below + 1] < times[below] then
      below = below + 1
    end
    if times[below] >= time then break end
    put(self, i, times[below], self.keys[below])
    i = below
  end
  return i
end

--- Takes out the first: its time and key.
function Deadlines:take()
  local time, key = self.times[1], self.keys[1]
  local n = self.count
  local last_time, last_key = self.times[n], self.keys[n]
  put(self, n, nil, nil)
  self.count = n - 1
  if n > 1 then put(self, sink(self, last_time), last_time, last_key) end
  return time, key
end

return M
