--- What happens in a simulation, one line an event, and a digest of it all.
-- Same seed, same lines. Lines are made only while somebody keeps them; the
-- digest is always up to date.
local M = {}

local Trace = { __name = "raft.sim.trace" }
Trace.__index = Trace

local NS_PER_MS <const> = 1000000
local PRIME <const> = 0x100000001b3

--- @param world gives the time
-- @param sink function(line), or false: lines are not made
function M.new(world, sink)
  return setmetatable({
    world = world,
    sink = sink,
    low = 0x6c62272e07bb0142,   -- two halves of the digest
    high = -0x21524110ed9e4a5b,
    count = 0,                  -- events so far
  }, Trace)
end

-- Mixes a number into both halves; each in its own way.
local function mix(self, value)
  local low, high = self.low, self.high
  low = (low ~ value) * PRIME
  low = low ~ low >> 31
  high = (high + value) * 0x2545f4914f6cdd1d
  self.low, self.high = low, high ~ high >> 29 ~ low
end

local function mix_text(self, text)
  for i = 1, #text - 7, 8 do mix(self, (string.unpack("<i8", text, i))) end
  local rest = #text % 8
  if rest > 0 then
    mix(self, string.unpack("<I" .. rest, text, #text - rest + 1))
  end
  mix(self, #text)
end

--- Notes an event: who, what, and up to three things about it.
function Trace:note(who, what, a, b, c)
  self.count = self.count + 1
  mix(self, self.world.now)
  mix_text(self, who)
  mix_text(self, what)
  if a ~= nil then mix_text(self, tostring(a)) end
  if b ~= nil then mix_text(self, tostring(b)) end
  if c ~= nil then mix_text(self, tostring(c)) end
  if not self.sink then return end
  local words = { ("%10.3f %s %s"):format(self.world.now / NS_PER_MS, who,
    what) }
  for _, word in ipairs(table.pack(a, b, c)) do
    words[#words + 1] = tostring(word)
  end
  self.sink(table.concat(words, " "))
end

--- 32 hexadecimal digits: equal for equal runs.
function Trace:digest()
  return ("%016x%016x"):format(self.high, self.low)
end

return M
