--- Tokens of node:token(): an index as text, so that it can travel.
local M = {}

local FORMAT <const> = "r1:%d"
local PATTERN <const> = "^r1:(%d+)$"

--- The token that covers everything up to `index`.
function M.make(index)
  return FORMAT:format(index)
end

--- The index of a token; nil when it is none.
function M.index(text)
  local digits = text:match(PATTERN)
  return digits and math.tointeger(tonumber(digits))
end

return M
