--- Requests as a person types them into `nc`: words with blanks between them,
-- and quotes around what has blanks in it: set greeting "hello\r\nworld".
local M = {}

local ESCAPED <const> = { n = "\n", r = "\r", t = "\t", b = "\b", a = "\a" }

-- The rest of a word in double quotes, and what is behind it; nil without end.
local function double_quoted(line, at)
  local bytes = {}
  while at <= #line do
    local char = line:sub(at, at)
    local hex = line:match("^\\x(%x%x)", at)
    if char == '"' then
      return table.concat(bytes), at + 1
    elseif hex then
      bytes[#bytes + 1], at = string.char(tonumber(hex, 16)), at + 4
    elseif char == "\\" and at < #line then
      char = line:sub(at + 1, at + 1)
      bytes[#bytes + 1], at = ESCAPED[char] or char, at + 2
    else
      bytes[#bytes + 1], at = char, at + 1
    end
  end
end

-- The same in single quotes, in which only \' means something.
local function single_quoted(line, at)
  local bytes = {}
  while at <= #line do
    local char = line:sub(at, at)
    if char == "'" then return table.concat(bytes), at + 1 end
    if line:sub(at, at + 1) == "\\'" then char, at = "'", at + 1 end
    bytes[#bytes + 1], at = char, at + 1
  end
end

-- The word at `at`, and what is behind it; nil where a quote has no end, or
-- something follows its end at once.
local function word_at(line, at)
  local parts = {}
  while at <= #line and not line:find("^%s", at) do
    local char = line:sub(at, at)
    if char == '"' or char == "'" then
      local quoted = char == '"' and double_quoted or single_quoted
      local part, behind = quoted(line, at + 1)
      local is_end = part and (behind > #line or line:find("^%s", behind))
      if not is_end then return nil end
      parts[#parts + 1], at = part, behind
    else
      parts[#parts + 1], at = char, at + 1
    end
  end
  return table.concat(parts), at
end

--- The words of a line, or nil where quotes are not balanced.
function M.split(line)
  local words, at = {}, line:find("%S")
  while at do
    local word, behind = word_at(line, at)
    if not word then return nil end
    words[#words + 1] = word
    at = line:find("%S", behind)
  end
  return words
end

return M
