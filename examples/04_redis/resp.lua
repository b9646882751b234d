--- The Redis protocol (RESP 2): requests from bytes, replies to bytes.
--
-- A parser takes bytes however they were cut, and hands out each request once
-- it is whole. It looks at no byte twice for long: what it has read of a large
-- request it keeps, and before the next argument is whole it only collects.
local inline = require "inline"
local numbers = require "numbers"

local M = {}

local match <const>, sub <const> = string.match, string.sub  -- of the hot loop

local BULK_MAX <const> = 8 << 20    -- bytes of one argument
local REQUEST_MAX <const> = 8 << 20 -- bytes of one request, all in all
local COUNT_MAX <const> = 1 << 20   -- arguments of one request
local LINE_MAX <const> = 64 << 10   -- bytes of an inline request, or a number
local LENGTHS_KNOWN <const> = 1024

M.BULK_MAX = BULK_MAX

--------------------------------------------------------------------- replies --

M.OK = "+OK\r\n"
M.NULL = "$-1\r\n"

function M.simple(text) return "+" .. text .. "\r\n" end
function M.integer(n) return ":" .. n .. "\r\n" end

--- An error is one line, whatever is in the text.
function M.error(text)
  return "-" .. text:gsub("[\r\n]+$", ""):gsub("[\r\n]", " ") .. "\r\n"
end

--- What is said of a command that has too few words, or too many.
function M.wrong_count(name)
  return M.error(("ERR wrong number of arguments for '%s' command")
    :format(name))
end

--- What a client sent, as far as Redis shows it: up to a zero byte.
function M.shown(text, bytes_max)
  return text:sub(1, bytes_max):match("^[^\0]*")
end

function M.bulk(text)
  return text and "$" .. #text .. "\r\n" .. text .. "\r\n" or M.NULL
end

--- @param items replies, encoded
function M.array(items)
  return "*" .. #items .. "\r\n" .. table.concat(items)
end

--- An array of bulk strings.
function M.bulks(texts)
  local items = {}
  for i, text in ipairs(texts) do items[i] = M.bulk(text) end
  return M.array(items)
end

-------------------------------------------------------------------- requests --

local Parser = { __name = "redis.parser" }
Parser.__index = Parser

function M.parser()
  return setmetatable({
    pieces = {},        -- bytes not yet read
    held = 0,           -- how many
    wanted = 0,         -- so many must be there before it is worth a look
    arguments = false,  -- of the request that is being read, or false
    missing = 0,        -- how many are not there yet
    size = 0,           -- bytes of that request so far
  }, Parser)
end

local lengths = {}  -- "12" -> 12
for n = 0, LENGTHS_KNOWN do lengths[tostring(n)] = n end

-- The number behind a mark, as in "*3"; false when it is none.
local function number_in(text, max)
  local n = lengths[text]
  if n then return n end
  n = numbers.integer(text)
  return n and n <= max and n or false
end

-- The line at `at`, without its first byte, and what is behind it; nil: it has
-- not arrived; nil and a text: it never may.
local function line_at(bytes, at, what)
  local to = bytes:find("\r", at, true)
  if to and to < #bytes then return bytes:sub(at + 1, to - 1), to + 2 end
  if not to and #bytes - at >= LINE_MAX then return nil, "too big " .. what end
  return nil
end

-- The beginning of a request: how many arguments it has.
function Parser:begin(bytes, at)
  local text, next_at = bytes:match("^%*(%d+)\r\n()", at)
  if not text then
    text, next_at = line_at(bytes, at, "mbulk count string")
    if not text then return nil, next_at end
  end
  local count = number_in(text, COUNT_MAX)
  if not count then return nil, "invalid multibulk length" end
  if count > 0 then
    self.arguments, self.missing, self.size = {}, count, next_at - at
  end
  return next_at
end

-- The head of an argument that is not short and whole: its length, and where
-- it begins; nil: it has not arrived; nil and a text: it never may.
local function head_at(bytes, at)
  local text, from = line_at(bytes, at, "bulk count string")
  if not text then return nil, from end
  if bytes:byte(at) ~= 36 then  -- "$"
    return nil, ("expected '$', got '%s'"):format(bytes:sub(at, at))
  end
  local length = number_in(text, BULK_MAX)
  if not length or length < 0 then return nil, "invalid bulk length" end
  return length, from
end

-- Arguments, as many as are there; the last one completes the request. Most
-- are short: they take one match and one look into a table.
function Parser:continue(bytes, at, take)
  local arguments, missing = self.arguments, self.missing
  local size, count = self.size - at, #arguments
  local why
  while missing > 0 do
    local digits, from = match(bytes, "^%$(%d+)\r\n()", at)
    local length = lengths[digits or ""]
    if not length then length, from = head_at(bytes, at) end
    if not length then why = from break end
    local next_at = from + length + 2
    if size + next_at > REQUEST_MAX then why = "too big request" break end
    if next_at > #bytes + 1 then self.wanted = next_at - at break end
    count, missing = count + 1, missing - 1
    arguments[count] = sub(bytes, from, next_at - 3)
    at = next_at
  end
  self.size, self.missing = size + at, missing
  if missing > 0 then return at, why end
  self.arguments = false
  take(arguments, self.size)
  return at
end

local function inline_at(bytes, at, take)
  local to = bytes:find("\n", at, true)
  if not to then
    if #bytes - at >= LINE_MAX then return nil, "too big inline request" end
    return nil
  end
  local arguments = inline.split((bytes:sub(at, to - 1):gsub("\r$", "")))
  if not arguments then return nil, "unbalanced quotes in request" end
  if #arguments > 0 then take(arguments, to + 1 - at) end
  return to + 1
end

-- Reads what is there: where it stopped, and why where that is an error.
function Parser:read(bytes, take)
  local at = 1
  while at <= #bytes do
    local next_at, why
    if self.arguments then
      next_at, why = self:continue(bytes, at, take)
      if why or self.arguments then return next_at, why end
    elseif bytes:byte(at) == 42 then  -- "*"
      next_at, why = self:begin(bytes, at)
    else
      next_at, why = inline_at(bytes, at, take)
    end
    if not next_at then return at, why end
    at = next_at
  end
  return at
end

--- Takes bytes; calls take(arguments, size) for each request that is whole.
-- @return true, or nil and the text of the error that ends the connection
function Parser:feed(chunk, take)
  local pieces = self.pieces
  pieces[#pieces + 1], self.held = chunk, self.held + #chunk
  if self.held < self.wanted then return true end
  local bytes = #pieces == 1 and chunk or table.concat(pieces)
  self.wanted = 0
  local at, why = self:read(bytes, take)
  if why then return nil, "ERR Protocol error: " .. why end
  local rest = bytes:sub(at)
  self.pieces, self.held = rest ~= "" and { rest } or {}, #rest
  return true
end

return M
