--- HTTP/1.1 requests from bytes, however the bytes were cut. [RFC 9112]
--
--   local parser = http_parser.new()
--   parser:push(bytes)
--   local request, problem = parser:next()
--
-- Gives the requests one by one; nil when more bytes are needed. A problem is
-- { status =, text = }: the connection must end with it, for nobody knows where
-- the next request would begin. Two readers that disagree on that are how
-- requests are smuggled past a proxy, so what is ambiguous is refused and not
-- guessed: a bare LF, a folded header, two lengths, a length beside chunks.
--
-- A request: method, target, path, query ("" or what is behind the "?"),
-- version, headers (names in lower case), body, keep_alive.
local M = {}

local HEAD_BYTES_MAX <const> = 16 << 10  -- of request line and headers
local HEADERS_MAX <const> = 100
local BODY_BYTES_MAX <const> = 1 << 20
local CHUNK_LINE_BYTES_MAX <const> = 256
local CHUNK_DIGITS_MAX <const> = 8       -- of the size of one chunk
local LENGTH_DIGITS_MAX <const> = 15     -- of Content-Length

local TOKEN <const> = "[%w!#$%%&'*+.^_`|~-]+"

local Parser = { __name = "http.parser" }
Parser.__index = Parser

local Problem = { __name = "http.problem" }
-- Raised inside, caught by next.
local function refuse(status, text)
  error(setmetatable({ status = status, text = text }, Problem), 0)
end

-------------------------------------------------------------------- the head --

-- Without the blanks at both ends. (No pattern: on many blanks it would go back
-- and forth for ever.)
local function trim(text)
  local from, to = 1, #text
  while from <= to and text:find("^[ \t]", from) do from = from + 1 end
  while to >= from and text:find("^[ \t]", to) do to = to - 1 end
  return text:sub(from, to)
end

-- The path of the forms of a target that a server must know.
local function path_of(target)
  local rest = target:match("^[Hh][Tt][Tt][Pp]://[^/?]*(.*)$")
  if rest then return rest:sub(1, 1) == "/" and rest or "/" .. rest end
  if target:sub(1, 1) == "/" then return target end
  refuse(400, "what is this target?")
end

local function read_request_line(line)
  local method, target, version = line:match("^(" .. TOKEN
    .. ") ([\33-\126]+) HTTP/(%d%.%d)$")
  if not method then refuse(400, "this is no request line") end
  if version ~= "1.1" and version ~= "1.0" then
    refuse(505, "HTTP/" .. version .. " is not spoken here")
  end
  local path, query = path_of(target):match("^([^?]*)%??(.*)$")
  return { method = method, target = target, path = path, query = query,
    version = version, headers = {}, body = "", keep_alive = false }
end

-- Headers that mean something else when they are said twice.
local ONCE <const> = { host = true, ["content-length"] = true, expect = true }

local function read_header(headers, line)
  local name, value = line:match("^(" .. TOKEN .. "):(.*)$")
  if not name then refuse(400, "this is no header") end
  name, value = name:lower(), trim(value)
  if value:find("[\0-\8\10-\31\127]") then
    refuse(400, "a control character in header " .. name)
  end
  local before = headers[name]
  if before and ONCE[name] then refuse(400, name .. " is said twice") end
  headers[name] = before and before .. ", " .. value or value
end

local function has_token(list, token)
  for each in (list or ""):lower():gmatch("[^,]+") do
    if trim(each) == token then return true end
  end
  return false
end

-- How many bytes of body follow; "chunked".
local function length_of(request, bytes_max)
  local headers = request.headers
  local coding, length = headers["transfer-encoding"],
    headers["content-length"]
  if coding then
    if length then refuse(400, "a length beside a transfer coding") end
    if request.version == "1.0" then refuse(400, "chunks in HTTP/1.0") end
    if coding:lower() ~= "chunked" then
      refuse(501, "only chunked is known as a transfer coding")
    end
    return "chunked"
  elseif not length then
    return 0
  elseif not length:find("^%d+$") then
    refuse(400, "this is no length")
  elseif #length > LENGTH_DIGITS_MAX or tonumber(length) > bytes_max then
    refuse(413, ("a body may have %d bytes"):format(bytes_max))
  end
  return math.tointeger(tonumber(length))
end

-- The head is complete: what does it mean?
local function finish_head(self)
  local request = self.request
  local headers, is_old = request.headers, request.version == "1.0"
  if not is_old and not headers.host then refuse(400, "which host?") end
  local length = length_of(request, self.body_bytes_max)
  local connection = headers.connection
  request.keep_alive = not has_token(connection, "close")
    and (not is_old or has_token(connection, "keep-alive"))
  if headers.expect and not is_old then
    if headers.expect:lower() ~= "100-continue" then
      refuse(417, "only 100-continue can be expected")
    end
    self.is_expected = length ~= 0 and self.held == ""
  end
  self.left = length ~= "chunked" and length or 0
  self.state = length == "chunked" and "chunk_line" or "counted"
end

------------------------------------------------------------------ the states --

-- Takes a line with its CRLF from what is held: its text, or nil when it has
-- not arrived.
-- @param bytes_max how long it may be; longer is refused with this status
local function take_line(self, bytes_max, status, text)
  local at = self.held:find("\n", 1, true)
  if (at or #self.held) > bytes_max then refuse(status, text) end
  if not at then return nil end
  if at == 1 or self.held:byte(at - 1) ~= 13 then
    refuse(400, "a line that does not end with CRLF")
  end
  local line = self.held:sub(1, at - 2)
  self.held = self.held:sub(at + 1)
  self.head_bytes = self.head_bytes + at
  return line
end

-- Each takes what it can: true when the state may go on, false when bytes are
-- missing.
local states = {}

function states.request_line(self)
  local line = take_line(self, self.head_bytes_max - self.head_bytes, 414,
    "the request line is too long")
  if not line then return false end
  if line == "" then return true end  -- one too many behind a body
  self.request = read_request_line(line)
  self.state = "headers"
  return true
end

local function header_line(self)
  return take_line(self, self.head_bytes_max - self.head_bytes, 431,
    "the headers are too long")
end

function states.headers(self)
  local line = header_line(self)
  if not line then return false end
  if line == "" then
    finish_head(self)
    return true
  end
  self.header_count = self.header_count + 1
  if self.header_count > HEADERS_MAX then refuse(431, "too many headers") end
  read_header(self.request.headers, line)
  return true
end

-- Moves up to `left` bytes of the body: are they all there?
local function take_body(self)
  local piece = self.held:sub(1, self.left)
  self.held = self.held:sub(#piece + 1)
  self.left = self.left - #piece
  if piece ~= "" then self.pieces[#self.pieces + 1] = piece end
  return self.left == 0
end

function states.counted(self)
  if not take_body(self) then return false end
  self.state = "done"
  return true
end

function states.chunk_line(self)
  local line = take_line(self, CHUNK_LINE_BYTES_MAX, 400,
    "the line of a chunk is too long")
  if not line then return false end
  local digits, rest = line:match("^(%x+)(.*)$")
  local is_good = digits and #digits <= CHUNK_DIGITS_MAX
    and (rest == "" or rest:find("^[ \t]*;"))
    and not rest:find("[\0-\8\10-\31]")
  if not is_good then refuse(400, "this is no size of a chunk") end
  self.left = tonumber(digits, 16)
  self.body_bytes = self.body_bytes + self.left
  if self.body_bytes > self.body_bytes_max then
    refuse(413, ("a body may have %d bytes"):format(self.body_bytes_max))
  end
  self.head_bytes = 0  -- the trailers have room of their own
  self.state = self.left == 0 and "trailers" or "chunk"
  return true
end

function states.chunk(self)
  if not take_body(self) then return false end
  self.state = "chunk_end"
  return true
end

function states.chunk_end(self)
  local line = take_line(self, 2, 400, "a chunk is longer than it says")
  if not line then return false end
  self.state = "chunk_line"
  return true
end

-- Read, checked, and dropped: they may not change what the headers said.
function states.trailers(self)
  local line = header_line(self)
  if not line then return false end
  if line == "" then self.state = "done" else read_header({}, line) end
  return true
end

--------------------------------------------------------------------- outside --

local function begin(self)
  self.state, self.request, self.is_expected = "request_line", false, false
  self.head_bytes, self.header_count = 0, 0
  self.pieces, self.left, self.body_bytes = {}, 0, 0
end

--- @param limits head_bytes_max, body_bytes_max; or nil
function M.new(limits)
  limits = limits or {}
  local self = setmetatable({
    head_bytes_max = limits.head_bytes_max or HEAD_BYTES_MAX,
    body_bytes_max = limits.body_bytes_max or BODY_BYTES_MAX,
    held = "",             -- bytes not yet looked at
    problem = false,       -- what the connection ends with
    state = "",            -- what is read now
    request = false,       -- as far as it has come
    is_expected = false,   -- does the client wait to be told to go on?
    head_bytes = 0,        -- of this head so far
    header_count = 0,
    pieces = {},           -- of the body
    left = 0,              -- bytes of the body, or chunk, that are missing
    body_bytes = 0,        -- of all chunks
  }, Parser)
  begin(self)
  return self
end

--- Takes bytes.
function Parser:push(bytes)
  self.held = self.held .. bytes
end

--- Has a request begun that is not complete?
function Parser:is_amid()
  return self.state ~= "request_line" or self.held ~= ""
end

--- Does the client wait for "100 Continue"? True once.
function Parser:take_expectation()
  local is_expected = self.is_expected
  self.is_expected = false
  return is_expected
end

local function advance(self)
  while self.state ~= "done" do
    if not states[self.state](self) then return nil end
  end
  local request = self.request
  request.body = table.concat(self.pieces)
  begin(self)
  return request
end

--- The next request; nil: more bytes are needed; nil and a problem: see above.
function Parser:next()
  if self.problem then return nil, self.problem end
  local ok, result = pcall(advance, self)
  if ok then return result end
  if getmetatable(result) ~= Problem then error(result, 0) end
  self.problem = result
  return nil, result
end

return M
