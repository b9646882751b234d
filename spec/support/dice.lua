--- Random numbers from a seed, one row of them for each purpose: what one
-- draws does not change what another one gets.
local M = {}

local Dice = { __name = "spec.dice" }
Dice.__index = Dice

-- Spreads a seed over 64 bits.
local function spread(z)
  z = (z ~ z >> 30) * 0xbf58476d1ce4e5b9
  z = (z ~ z >> 27) * 0x94d049bb133111eb
  return z ~ z >> 31
end

--- @param purpose another number, another row
function M.new(seed, purpose)
  return setmetatable({ state = spread(seed) ~ spread(purpose + 1) }, Dice)
end

--- An integer in [low, high].
function Dice:integer(low, high)
  self.state = self.state + 0x9e3779b97f4a7c15
  return low + (spread(self.state) >> 1) % (high - low + 1)
end

--- True once in n.
function Dice:once_in(n)
  return self:integer(1, n) == 1
end

--- One of a list.
function Dice:pick(list)
  return list[self:integer(1, #list)]
end

--- A new list of the same, in another order.
function Dice:shuffled(list)
  local out = { table.unpack(list) }
  for i = #out, 2, -1 do
    local j = self:integer(1, i)
    out[i], out[j] = out[j], out[i]
  end
  return out
end

return M
