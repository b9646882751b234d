--- What is changed in a C function to see whether a test notices.
--
-- Each operator looks at one token and says which stretch of tokens it would
-- replace by what. Nothing is checked here: what does not compile, or compiles
-- to the same code, is thrown away by who asked.
local tokens = require "tools.mutate.tokens"

local M = {}

-- mark -> what stands there instead, one mutant each
local swaps <const> = {
  ["<"] = { "<=", ">=" }, ["<="] = { "<", ">" },
  [">"] = { ">=", "<=" }, [">="] = { ">", "<" },
  ["=="] = { "!=" }, ["!="] = { "==" },
  ["&&"] = { "||" }, ["||"] = { "&&" },
  ["+="] = { "-=" }, ["-="] = { "+=" },
  ["++"] = { "--" }, ["--"] = { "++" },
  ["<<"] = { ">>" }, [">>"] = { "<<" },
  ["|="] = { "&=" }, ["&="] = { "|=" }, ["^="] = { "|=" },
}
local binary <const> = {
  ["+"] = "-", ["-"] = "+", ["*"] = "/", ["/"] = "*", ["%"] = "/",
  ["&"] = "|", ["|"] = "&", ["^"] = "|",
}
local words <const> = { ["true"] = "false", ["false"] = "true" }
local compares <const> = { ["<"] = true, ["<="] = true, [">"] = true,
  [">="] = true, ["=="] = true, ["!="] = true }
local starts <const> = { [";"] = true, ["{"] = true, ["}"] = true,
  ["else"] = true, ["do"] = true, [":"] = true }
local assigns <const> = { ["="] = true, ["+="] = true, ["-="] = true,
  ["*="] = true, ["/="] = true, ["%="] = true, ["&="] = true, ["|="] = true,
  ["^="] = true, ["<<="] = true, [">>="] = true, ["++"] = true, ["--"] = true,
  ["("] = true }

-- Formatted text has blanks around what joins two operands, and none behind a
-- sign, a star or an ampersand that stands before its only one.
local function is_binary(list, i)
  local before, after = list[i - 1], list[i + 1]
  return before ~= nil and after ~= nil
    and after.at > list[i].at + #list[i].text
    and list[i].at > before.at + #before.text
end

local function swap(list, i, emit)
  for _, other in ipairs(swaps[list[i].text] or {}) do emit(i, i, other) end
  local other = binary[list[i].text]
  if other and is_binary(list, i) then emit(i, i, other) end
  if words[list[i].text] then emit(i, i, words[list[i].text]) end
end

local function shift_constant(list, i, emit)
  local digits, suffix = list[i].text:match("^(%d+)([uUlL]*)$")
  if not digits then digits, suffix = list[i].text:match("^(0x%x+)(u?)$") end
  if not digits then return end
  local value = math.tointeger(tonumber(digits))
  emit(i, i, ("%d%s"):format(value + 1, suffix))
  if value > 0 then emit(i, i, ("%d%s"):format(value - 1, suffix)) end
end

-- Is there one of these at depth 0 of [from, to]?
local function has(list, from, to, set)
  local depth = 0
  for i = from, to do
    local text = list[i].text
    if text == "(" or text == "[" then depth = depth + 1 end
    if text == ")" or text == "]" then depth = depth - 1 end
    if depth == 0 and set[text] then return true end
  end
  return false
end

-- A lone comparison is negated by another mark: not twice.
local function can_negate(list, from, to)
  return not has(list, from, to, compares)
    or has(list, from, to, { ["&&"] = true, ["||"] = true })
end

local function negate_condition(list, i, emit)
  if list[i].text ~= "if" and list[i].text ~= "while" then return end
  local from, to = i + 2, tokens.close_of(list, i + 1) - 1
  if can_negate(list, from, to) then emit(from, to, "!(%s)") end
end

local function end_of_statement(list, from)
  local depth = 0
  for i = from, #list do
    local text = list[i].text
    if text == "(" or text == "{" or text == "[" then depth = depth + 1 end
    if text == ")" or text == "}" or text == "]" then depth = depth - 1 end
    if depth == 0 and text == ";" then return i end
    if depth < 0 then return nil end
  end
end

local function change_return(list, i, emit)
  if list[i].text ~= "return" then return end
  local to = end_of_statement(list, i)
  if to == nil or to == i + 1 then return end
  if can_negate(list, i + 1, to - 1) and not words[list[i + 1].text] then
    emit(i + 1, to - 1, "!(%s)")
  end
  emit(i + 1, to - 1, "0")
end

-- Heads of if, for, while end in a bracket behind which a statement may start.
local function is_after_head(list, i)
  if list[i - 1].text ~= ")" then return false end
  local depth = 0
  for k = i - 1, 1, -1 do
    local text = list[k].text
    if text == ")" then depth = depth + 1 end
    if text == "(" then depth = depth - 1 end
    if depth == 0 then
      local head = list[k - 1] and list[k - 1].text
      return head == "if" or head == "for" or head == "while"
    end
  end
end

-- In a declaration a name follows a name, so it is none of these.
local function can_remove(list, from, to)
  local text = list[from].text
  if text == "break" or text == "continue" then return true end
  if text == "*" or text == "(" or text == "++" or text == "--" then
    return true
  end
  if text:find("^%d") or not text:find("^[%a_]") then return false end
  if text == "return" or text == "goto" or text == "if" or text == "for"
    or text == "while" or text == "switch" or text == "case" then
    return false
  end
  local second = list[from + 1].text
  if second:find("^[%a_]") or second == "*" or second == ":" then
    return false
  end
  return has(list, from, to, assigns) or second == "("
end

local function remove_statement(list, i, emit)
  local is_start = i == 1 or starts[list[i - 1].text] or is_after_head(list, i)
  if not is_start then return end
  local to = end_of_statement(list, i)
  if to and to > i and can_remove(list, i, to) then emit(i, to, ";") end
end

M.all = { swap, shift_constant, negate_condition, change_return,
  remove_statement }

-- The stretch that is replaced keeps its line ends: asserts know their lines.
local function replacement(old, pattern)
  if pattern:find("%s", 1, true) then
    return (pattern:gsub("%%s", function() return old end))
  end
  return pattern .. old:gsub("[^\n]", "")
end

-- Lines [first, last] of a text, joined to one.
local function joined(text, first, last)
  local out, number = {}, 0
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    if number >= first and number <= last then
      out[#out + 1] = line:match("^%s*(.-)%s*$")
    end
    if number == last then break end
  end
  return (table.concat(out, " "):gsub("%s+$", ""))
end

local function mutant_of(text, fn, from, to, pattern)
  local last_byte = to.at + #to.text - 1
  local old = text:sub(from.at, last_byte)
  local new = text:sub(1, from.at - 1) .. replacement(old, pattern)
    .. text:sub(last_byte + 1)
  return {
    fn = fn.name,
    line = from.line,
    text = new,
    before = joined(text, from.line, to.line),
    after = joined(new, from.line, to.line),
  }
end

--- All mutants of a C text, in order: { fn, line, text, before, after }.
-- @param wants  function(fn) -> is it to be changed; nil: all are
function M.mutants(text, wants)
  local found = {}
  for _, fn in ipairs(tokens.functions(text)) do
    local list = (not wants or wants(fn)) and fn.tokens or {}
    local function emit(from, to, pattern)
      found[#found + 1] = mutant_of(text, fn, list[from], list[to], pattern)
    end
    for i = 1, #list do
      for _, operator in ipairs(M.all) do operator(list, i, emit) end
    end
  end
  return found
end

return M
