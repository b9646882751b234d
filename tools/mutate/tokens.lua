--- The tokens of the function bodies of a formatted C text.
-- What a mutation may touch: no comments, strings, preprocessor lines, asserts
-- or signatures. Offsets are those of the text, so that a change can be made.
local scan = require "tools.scan"

local M = {}

-- Longest first: the first that fits is it.
local marks <const> = { "<<=", ">>=", "->", "++", "--", "<<", ">>", "<=", ">=",
  "==", "!=", "&&", "||", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=" }

local function mark_at(code, at)
  for _, mark in ipairs(marks) do
    if code:sub(at, at + #mark - 1) == mark then return mark end
  end
  return code:sub(at, at)
end

local function blank(text)
  return (text:gsub("[^\n]", " "))
end

-- Preprocessor lines, with those that a backslash continues.
local function without_directives(code)
  code = "\n" .. code
  code = code:gsub("\n[ ]*#[^\n]*", function(line)
    return "\n" .. blank(line:sub(2))
  end)
  return code:sub(2)
end

-- All tokens: { text, at, line }.
local function split(code)
  local list, at, line = {}, 1, 1
  while true do
    local from = code:find("%S", at)
    if not from then return list end
    line = line + select(2, code:sub(at, from - 1):gsub("\n", ""))
    local word = code:match("^[%w_]+", from) or mark_at(code, from)
    list[#list + 1] = { text = word, at = from, line = line }
    at = from + #word
  end
end

--- The position of the bracket that closes the one at position `from`.
function M.close_of(list, from)
  local opens, closes = list[from].text, ")"
  if opens == "{" then closes = "}" elseif opens == "[" then closes = "]" end
  local depth = 0
  for i = from, #list do
    local text = list[i].text
    if text == opens then depth = depth + 1 end
    if text == closes then depth = depth - 1 end
    if depth == 0 then return i end
  end
  error("no end of " .. opens .. " in line " .. list[from].line)
end

-- An assert is a check, not something to check.
local function without_asserts(list)
  local kept, i = {}, 1
  while i <= #list do
    local word = list[i].text
    if word == "assert" or word == "_Static_assert" then
      i = M.close_of(list, i + 1) + 2  -- and its semicolon
    else
      kept[#kept + 1] = list[i]
      i = i + 1
    end
  end
  return kept
end

local function body_of(list, fn)
  local body, is_inside = {}, false
  for _, token in ipairs(list) do
    if token.line >= fn.first and token.line <= fn.last then
      if is_inside then body[#body + 1] = token end
      is_inside = is_inside or token.text == "{"
    end
  end
  body[#body] = nil  -- its last bracket
  return without_asserts(body)
end

--- The functions of a text: a list of { name, first, last, tokens }.
function M.functions(text)
  local list = split(without_directives(scan.code(text, "c")))
  local functions = scan.c_functions(text)
  for _, fn in ipairs(functions) do fn.tokens = body_of(list, fn) end
  return functions
end

return M
