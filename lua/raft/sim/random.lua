--- Random numbers from a seed: the same everywhere, no state shared.
-- A stream is SplitMix64. `derive(name)` gives another stream, so that what
-- one part of a simulation draws does not change what another part draws.

local M = {}

local Random = { __name = "raft.sim.random" }
Random.__index = Random

local GOLDEN <const> = 0x9e3779b97f4a7c15
local TWO_53 <const> = 2.0 ^ -53

-- A good mixture of all bits.
local function mix(z)
  z = (z ~ z >> 30) * 0xbf58476d1ce4e5b9
  z = (z ~ z >> 27) * 0x94d049bb133111eb
  return z ~ z >> 31
end

--- A stream of its own.
-- @param seed any integer
function M.new(seed)
  return setmetatable({ state = seed, seed = seed }, Random)
end

--- Another stream, which depends on our seed and the name alone.
function Random:derive(name)
  local hash = mix(self.seed + GOLDEN)
  for i = 1, #name do hash = mix((hash ~ name:byte(i)) + GOLDEN) end
  return M.new(hash)
end

--- 64 random bits.
function Random:bits()
  self.state = self.state + GOLDEN
  return mix(self.state)
end

--- A number of [0, 1).
function Random:real()
  return (self:bits() >> 11) * TWO_53
end

--- An integer of [0, n).
function Random:below(n)
  assert(n > 0, "an empty range")
  return (self:bits() >> 1) % n
end

--- An integer of [low, high].
function Random:between(low, high)
  return low + self:below(high - low + 1)
end

--- True once in a while: with probability p.
function Random:chance(p)
  if p <= 0 then return false end
  return self:real() < p
end

--- A number of [low, high], each order of magnitude as likely as another.
function Random:log_uniform(low, high)
  assert(low > 0 and high >= low, "a range of positive numbers")
  return low * (high / low) ^ self:real()
end

--- One of the list's items.
function Random:pick(list)
  return list[1 + self:below(#list)]
end

--- A copy of the list in another order.
function Random:shuffled(list)
  local out = table.move(list, 1, #list, 1, {})
  for i = #out, 2, -1 do
    local j = 1 + self:below(i)
    out[i], out[j] = out[j], out[i]
  end
  return out
end

--- n random bytes.
function Random:bytes(n)
  local words = {}
  for i = 1, (n + 7) // 8 do words[i] = string.pack("<i8", self:bits()) end
  return table.concat(words):sub(1, n)
end

return M
