--- Patterns as KEYS has them: `*`, `?`, `[abc]`, `[^a-z]`, `\` before what
-- stands for itself. A pattern is read once and matched in time that grows
-- with its length times that of the text, whatever the pattern is.
local M = {}

local STAR <const> = {}  -- any bytes, or none
local ANY <const> = {}   -- one byte, whichever

-- Adds the bytes of "a", "\a" or "a-z" at `at` to the set; what is behind it.
local function add_member(pattern, at, set)
  local byte = pattern:byte(at)
  if byte == 92 and at < #pattern then  -- a backslash, and something behind it
    set[pattern:byte(at + 1)] = true
    return at + 2
  end
  local last = pattern:sub(at + 1, at + 1) == "-" and pattern:byte(at + 2)
  if not last then
    set[byte] = true
    return at + 1
  end
  for b = math.min(byte, last), math.max(byte, last) do set[b] = true end
  return at + 3
end

-- The set behind "[" at `at`, and what is behind it. Without "]" it goes to
-- the end of the pattern.
local function set_at(pattern, at)
  local set, is_negated = {}, pattern:sub(at, at) == "^"
  if is_negated then at = at + 1 end
  while at <= #pattern and pattern:sub(at, at) ~= "]" do
    at = add_member(pattern, at, set)
  end
  if not is_negated then return set, at + 1 end
  local others = {}
  for b = 0, 255 do others[b] = not set[b] end
  return others, at + 1
end

local function step_at(pattern, at)
  local char = pattern:sub(at, at)
  if char == "*" then return STAR, at + 1 end
  if char == "?" then return ANY, at + 1 end
  if char == "[" then return set_at(pattern, at + 1) end
  if char == "\\" and at < #pattern then at = at + 1 end
  return { [pattern:byte(at)] = true }, at + 1
end

local function steps_of(pattern)
  local steps, at = {}, 1
  while at <= #pattern do
    steps[#steps + 1], at = step_at(pattern, at)
  end
  return steps
end

-- Where it fails, the newest star takes one byte more: those before it need
-- not be tried again.
local function matches(steps, text)
  local step, at = 1, 1
  local star, star_at = false, 0
  while at <= #text do
    local wanted = steps[step]
    if wanted == STAR then
      star, star_at = step, at
      step = step + 1
    elseif wanted == ANY or (wanted and wanted[text:byte(at)]) then
      step, at = step + 1, at + 1
    elseif star then
      step, star_at = star + 1, star_at + 1
      at = star_at
    else
      return false
    end
  end
  while steps[step] == STAR do step = step + 1 end
  return step > #steps
end

--- A function(text) -> does it match the pattern?
function M.matcher(pattern)
  local steps = steps_of(pattern)
  return function(text) return matches(steps, text) end
end

return M
