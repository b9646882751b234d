--- A small scanner of Lua and C text: just enough to tell code from comments
-- and strings, and to say where functions begin and end.
-- Not a parser: the text is taken to be correct, compilers see to that.
local M = {}

-- Replaces all but line ends by spaces, so that lines keep their numbers.
local function blank(text)
  return (text:gsub("[^\n]", " "))
end

-- End of the quoted string that starts at `from`.
local function string_end(text, from)
  local quote, at = text:sub(from, from), from + 1
  while at <= #text do
    local c = text:sub(at, at)
    if c == "\\" then
      at = at + 1
    elseif c == quote or c == "\n" then
      return at
    end
    at = at + 1
  end
  return #text
end

-- End of the long bracket that opens at `from`, or nil when none does.
local function bracket_end(text, from)
  local level = text:match("^%[(=*)%[", from)
  if not level then return nil end
  local _, last = text:find("]" .. level .. "]", from, true)
  return last or #text
end

local function line_end(text, from)
  return (text:find("\n", from, true) or #text + 1) - 1
end

-- language -> function(text, at) -> last byte of the comment or string there,
-- and which of the two it is; nil where code goes on.
local skip = {}

function skip.lua(text, at)
  local c = text:sub(at, at)
  if text:find("^%-%-", at) then
    return bracket_end(text, at + 2) or line_end(text, at), "comment"
  elseif c == '"' or c == "'" then
    return string_end(text, at), "string"
  elseif c == "[" and bracket_end(text, at) then
    return bracket_end(text, at), "string"
  end
end

function skip.c(text, at)
  local c = text:sub(at, at)
  if text:find("^/%*", at) then
    local _, last = text:find("*/", at + 2, true)
    return last or #text, "comment"
  elseif text:find("^//", at) then
    return line_end(text, at), "comment"
  elseif c == '"' or c == "'" then
    return string_end(text, at), "string"
  end
end

--- The text with its comments blanked out; strings too unless kept.
-- @param language "lua" or "c"
function M.code(text, language, keep_strings)
  local out, at, from = {}, 1, 1
  local stops = language == "lua" and "[-\"'%[]" or "[/\"']"
  while true do
    at = text:find(stops, at)
    if not at then break end
    local last, what = skip[language](text, at)
    if not last then
      at = at + 1
    else
      out[#out + 1] = text:sub(from, at - 1)
      local piece = text:sub(at, last)
      local kept = what == "string" and keep_strings
      out[#out + 1] = kept and piece or blank(piece)
      at, from = last + 1, last + 1
    end
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

local opens <const> = { ["function"] = true, ["if"] = true, ["do"] = true,
  ["repeat"] = true }
local closes <const> = { ["end"] = true, ["until"] = true }

--- The functions of a Lua text: a list of { name, first, last } by line.
function M.lua_functions(text)
  local found, stack, number = {}, {}, 0
  for line in (M.code(text, "lua") .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    for word in line:gmatch("%f[%w_][%a_][%w_]*") do
      if opens[word] then
        local name = line:match("function%s+([%w_.:]+)") or "(anonymous)"
        stack[#stack + 1] = { word = word, name = name, first = number,
          opener = line }
      elseif closes[word] and #stack > 0 then
        local block = table.remove(stack)
        block.last = number
        if block.word == "function" then found[#found + 1] = block end
      end
    end
  end
  return found
end

--- The functions of a formatted C text: a list of { name, first, last }.
-- A definition is a signature from column 0 that ends in "{".
function M.c_functions(text)
  local found, head, open, number = {}, {}, nil, 0
  for line in (M.code(text, "c") .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    if open then
      if line:find("^}") then
        open.last = number
        found[#found + 1], open, head = open, nil, {}
      end
    elseif line:find("^%s*$") or line:find("^[#}]") or line:find(";%s*$") then
      head = {}
    else
      head[#head + 1] = line
      local signature = table.concat(head, " ")
      local name = signature:match("([%a_][%w_]*)%s*%(")
      if line:find("{%s*$") and name and not signature:find("=", 1, true) then
        open = { name = name, first = number - #head + 1 }
      end
    end
  end
  return found
end

return M
