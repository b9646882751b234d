--- Random numbers that follow from an entry: the same on every node, and again
-- when the entry is applied again. One stream per command.
local M = {}

local STEP <const> = 0x9e3779b97f4a7c15  -- odd, and far from any pattern

local Chance = { __name = "raft.service.chance" }
Chance.__index = Chance

-- Every bit of what goes in counts for every bit of what comes out.
local function mixed(z)
  z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
  z = (z ~ (z >> 27)) * 0x94d049bb133111eb
  return z ~ (z >> 31)
end

--- The numbers of the entry of this index and term.
function M.new(index, term)
  return setmetatable({ state = mixed(index) ~ mixed(~term) }, Chance)
end

--- 64 bits.
function Chance:bits()
  self.state = self.state + STEP
  return mixed(self.state)
end

-- An integer of [0, range], as an unsigned one: what is above is drawn again.
local function below(self, range)
  local mask = range
  for shift = 0, 5 do mask = mask | mask >> (1 << shift) end
  local drawn
  repeat drawn = self:bits() & mask until math.ult(drawn, range + 1)
    or range == -1
  return drawn
end

local function integer(value, position)
  local found = math.tointeger(value)
  if found then return found end
  error(("bad argument #%d to 'random' (an integer expected, got %s)"):format(
    position, type(value) == "number" and value or type(value)), 4)
end

--- As math.random is called.
function Chance:random(...)
  local count = select("#", ...)
  if count == 0 then return (self:bits() >> 11) * 0x1p-53 end
  local low, high = ...
  low, high = integer(low, 1), count > 1 and integer(high, 2)
  if count > 2 then error("wrong number of arguments to 'random'", 3) end
  if not high then
    if low == 0 then return self:bits() end
    low, high = 1, low
  end
  if low > high then
    error(("bad argument #%d to 'random' (interval is empty)"):format(count), 3)
  end
  return low + below(self, high - low)
end

return M
