--- Numbers as Redis reads and bounds them.
local M = {}

local DIGITS_MAX <const> = 20  -- of a 64-bit integer, with its sign

M.NOT_INTEGER = "-ERR value is not an integer or out of range\r\n"

--- The 64-bit integer that a text is, or nil: "007", "+1" and " 1" are none.
function M.integer(text)
  local is_decimal = #text <= DIGITS_MAX
    and (text == "0" or text:find("^-?[1-9]%d*$"))
  local n = is_decimal and tonumber(text)
  return math.type(n) == "integer" and n or nil  -- a float has lost digits
end

--- The sum, or nil where 64 bits do not hold it.
function M.sum(a, b)
  if b > 0 and a > math.maxinteger - b then return nil end
  if b < 0 and a < math.mininteger - b then return nil end
  return a + b
end

-- Unit of a time -> ms in it, and does it count from now on?
local units <const> = {
  ex = { 1000, true }, px = { 1, true },
  exat = { 1000, false }, pxat = { 1, false },
}

--- The moment that a time in a unit means: ms since 1970; nil: out of range.
function M.moment(n, unit, now)
  local scale, is_relative = units[unit][1], units[unit][2]
  local most = math.maxinteger // scale
  local is_beyond = scale > 1 and (n > most or n < -most)
  if is_beyond then return nil end
  return M.sum(n * scale, is_relative and now or 0)
end

return M
