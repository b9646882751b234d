--- The Redis protocol (RESP 2): requests from bytes, replies to bytes.
local M = {}

local BULK_MAX <const> = 512 << 20  -- bytes of one argument
local COUNT_MAX <const> = 1 << 20   -- arguments of one request
local LINE_MAX <const> = 64 << 10   -- bytes of an inline request

--------------------------------------------------------------------- replies --

function M.simple(text) return "+" .. text .. "\r\n" end
function M.error(text) return "-" .. text .. "\r\n" end
function M.integer(n) return (":%d\r\n"):format(n) end
M.NULL = "$-1\r\n"

function M.bulk(text)
  return text and ("$%d\r\n%s\r\n"):format(#text, text) or M.NULL
end

--- @param items replies, encoded
function M.array(items)
  return ("*%d\r\n"):format(#items) .. table.concat(items)
end

-------------------------------------------------------------------- requests --

local Parser = { __name = "redis.parser" }
Parser.__index = Parser

function M.parser()
  return setmetatable({ held = "" }, Parser)
end

-- The line at `at`: its text and what is behind it; nil: it has not arrived.
local function line_at(bytes, at)
  local from, to = bytes:find("\r?\n", at)
  if not from then return nil end
  return bytes:sub(at, from - 1), to + 1
end

-- A number after a mark, as in "*3"; false when it is none.
local function number_in(line, mark, max)
  local digits = line:match("^%" .. mark .. "(%d+)$")
  local n = digits and math.tointeger(tonumber(digits))
  return n and n <= max and n or false
end

-- Raised inside, caught by feed: what Redis says, and then it hangs up.
local function refuse(text)
  error({ text = "ERR Protocol error: " .. text }, 0)
end

-- One argument: it, and what is behind it; nil: it has not arrived.
local function bulk_at(bytes, at)
  local line, next_at = line_at(bytes, at)
  if not line then return nil end
  if line:sub(1, 1) ~= "$" then
    refuse(("expected '$', got '%s'"):format(line:sub(1, 1)))
  end
  local size = number_in(line, "$", BULK_MAX)
  if not size then refuse("invalid bulk length") end
  if #bytes < next_at + size + 1 then return nil end
  return bytes:sub(next_at, next_at + size - 1), next_at + size + 2
end

local function array_at(bytes, at)
  local line, next_at = line_at(bytes, at)
  if not line then return nil end
  local count = number_in(line, "*", COUNT_MAX)
  if not count then refuse("invalid multibulk length") end
  local arguments = {}
  for i = 1, count do
    arguments[i], next_at = bulk_at(bytes, next_at)
    if not arguments[i] then return nil end
  end
  return arguments, next_at
end

local function inline_at(bytes, at)
  local line, next_at = line_at(bytes, at)
  if not line then
    if #bytes - at >= LINE_MAX then refuse("too big inline request") end
    return nil
  end
  local arguments = {}
  for word in line:gmatch("%S+") do arguments[#arguments + 1] = word end
  return arguments, next_at
end

local function take_all(self, take)
  local bytes, at = self.held, 1
  while at <= #bytes do
    local read = bytes:sub(at, at) == "*" and array_at or inline_at
    local arguments, next_at = read(bytes, at)
    if not arguments then break end
    at = next_at
    if #arguments > 0 then take(arguments) end
  end
  self.held = bytes:sub(at)
end

--- Takes bytes; calls take(arguments) for each request that is whole by now.
-- @return true, or nil and the text of the error that ends the connection
function Parser:feed(chunk, take)
  self.held = self.held .. chunk
  local ok, err = pcall(take_all, self, take)
  if ok then return true end
  if type(err) ~= "table" then error(err, 0) end
  return nil, err.text
end

return M
