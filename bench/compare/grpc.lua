--- As much of gRPC over HTTP/2 as a client of etcd needs: any number of calls
-- under way on one connection, as etcd's own clients do it. etcd's JSON gateway
-- would serve one call per connection at a time, and translates each: it would
-- make etcd look slower than it is. One call costs this client 4 us of the
-- processor where many are under way (13 us where one is, most of it in the
-- kernel): it can do some 200,000 a second, so it is not what is measured.
--
-- Answers' headers are not read: a call that came back without a message has
-- failed. Requests must fit into a frame.
local uv = require "luv"

local M = {}

local PREFACE <const> = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
local FRAME <const> = ">I3BBI4"      -- size, type, flags, stream
local FRAME_BYTES <const> = 9
local DATA <const>, HEADERS <const>, RESET <const> = 0, 1, 3
local SETTINGS <const>, PING <const>, GOAWAY <const> = 4, 6, 7
local WINDOW_UPDATE <const> = 8
local END_STREAM <const>, END_HEADERS <const>, IS_ACK <const> = 1, 4, 1
local MESSAGE_BYTES_MAX <const> = 16384 - 5
local WINDOW <const> = 1 << 30       -- what the server may send us
local FIRST_WINDOW <const> = 65535   -- what we may send, until it says more

local function frame(kind, flags, stream, payload)
  return FRAME:pack(#payload, kind, flags, stream) .. payload
end
M.frame = frame

--- The headers of a call, without Huffman codes and without a table, so that
-- they are the same bytes each time.
function M.headers(authority, path)
  local function text(s)
    assert(#s < 127)
    return string.char(#s) .. s
  end
  return "\x83\x86"                           -- :method POST, :scheme http
    .. "\x04" .. text(path) .. "\x01" .. text(authority)
    .. "\x0f\x10" .. text "application/grpc"  -- content-type
    .. "\x00" .. text "te" .. text "trailers"
end

--- The whole frames at the front of these bytes, one by one:
-- take(kind, flags, stream, payload). Returns what is left.
function M.each_frame(bytes, take)
  local at = 1
  while #bytes - at + 1 >= FRAME_BYTES do
    local size, kind, flags, stream = FRAME:unpack(bytes, at)
    if #bytes - at + 1 < FRAME_BYTES + size then break end
    at = at + FRAME_BYTES
    take(kind, flags, stream & 0x7fffffff, bytes:sub(at, at + size - 1))
    at = at + size
  end
  return bytes:sub(at)
end

local Connection = {}
Connection.__index = Connection

local function finish(self, stream, err)
  local call = self.calls[stream]
  if not call then return end
  self.calls[stream] = nil
  if err then return call.done(err) end
  local message = table.concat(call.parts)
  if #message < 5 then return call.done "the server refused" end
  call.done(nil, message:sub(6))
end

local take = {
  [DATA] = function(self, flags, stream, payload)
    local call = self.calls[stream]
    if call then call.parts[#call.parts + 1] = payload end
    self.come = self.come + #payload
    if self.come > WINDOW // 2 then
      self:put(frame(WINDOW_UPDATE, 0, 0, (">I4"):pack(self.come)))
      self.come = 0
    end
    if flags & END_STREAM ~= 0 then finish(self, stream) end
  end,
  [HEADERS] = function(self, flags, stream)
    if flags & END_STREAM ~= 0 then finish(self, stream) end
  end,
  [RESET] = function(self, _, stream)
    finish(self, stream, "the server reset the call")
  end,
  [SETTINGS] = function(self, flags)
    if flags & IS_ACK == 0 then self:put(frame(SETTINGS, IS_ACK, 0, "")) end
  end,
  [PING] = function(self, flags, _, payload)
    if flags & IS_ACK == 0 then self:put(frame(PING, IS_ACK, 0, payload)) end
  end,
  [GOAWAY] = function(_, _, _, payload)
    error("the server ends the connection: " .. payload:sub(9))
  end,
  [WINDOW_UPDATE] = function(self, _, stream, payload)
    if stream == 0 then self.window = self.window + (">I4"):unpack(payload) end
  end,
}

function Connection:put(bytes)
  self.out[#self.out + 1] = bytes
end

-- Sends what the server's window has room for, in one write.
local function flush(self)
  while self.first <= self.last do
    local queued = self.queue[self.first]
    if #queued.body > self.window then break end
    self.queue[self.first], self.first = nil, self.first + 1
    self.stream, self.window = self.stream + 2, self.window - #queued.body
    self.calls[self.stream] = queued
    self:put(frame(HEADERS, END_HEADERS, self.stream, queued.headers))
    self:put(frame(DATA, END_STREAM, self.stream, queued.body))
  end
  if #self.out == 0 or self.socket:is_closing() then return end
  self.socket:write(self.out)
  self.out = {}
end

local function read(self)
  local rest = ""
  self.socket:read_start(function(err, chunk)
    if not chunk then error("the server is gone: " .. (err or "end")) end
    rest = M.each_frame(rest .. chunk, function(kind, ...)
      local taker = take[kind]
      if taker then taker(self, ...) end
    end)
    flush(self)
  end)
end

--- One call: done(err, message). `headers` are those of M.headers. It leaves
-- with the next turn of the loop.
function Connection:call(headers, message, done)
  assert(#message <= MESSAGE_BYTES_MAX, "too large for one frame")
  self.last = self.last + 1
  self.queue[self.last] = { headers = headers, done = done, parts = {},
    body = "\0" .. (">s4"):pack(message) }
end

function Connection:close()
  self.prepare:close()
  self.socket:close()
end

--- Connects; ready(err, connection).
function M.connect(host, port, ready)
  local self = setmetatable({
    socket = uv.new_tcp(),
    prepare = uv.new_prepare(),  -- sends what was called outside of a read
    out = {},                    -- frames to be sent with the next write
    queue = {}, first = 1, last = 0,  -- calls that wait for room
    calls = {},                  -- stream -> a call under way
    stream = -1,                 -- the newest
    window = FIRST_WINDOW,       -- bytes that may be sent
    come = 0,                    -- bytes since we gave more room
  }, Connection)
  self.socket:connect(host, port, function(err)
    if err then return ready(err) end
    self.socket:nodelay(true)
    self:put(PREFACE)
    self:put(frame(SETTINGS, 0, 0, (">I2I4"):pack(4, WINDOW)))
    self:put(frame(WINDOW_UPDATE, 0, 0, (">I4"):pack(WINDOW)))
    read(self)
    self.prepare:start(function() flush(self) end)
    ready(nil, self)
  end)
end

return M
