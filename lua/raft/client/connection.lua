--- A client's connection with one node: dialed once, greeted, then frames.
--
-- Promises. What becomes of it is told from the loop, and `closed` once, unless
-- we close it ourselves. A node that is silent for long is gone.
local Dialer = require "raft.transport.dialer"
local answers = require "raft.answers"
local core = require "raft.core"
local frames = require "raft.client.frames"
local handshake = require "raft.transport.handshake"
local limits = require "raft.client.limits"
local transport_limits = require "raft.transport.limits"

local M = {}

local CONNECT_MS <const> = 1500     -- the next address may be better
local GREETING_MS <const> = 3000
local PING_MS_MIN <const> = 250
local SILENT_PINGS <const> = 4      -- without a word: nobody is there
local HELLO_BYTES_MAX <const> = 1024
local WIRE_VERSION <const> = 1
local RESULT <const> = frames.KINDS.result

local Connection = { __name = "raft.client.connection" }
Connection.__index = Connection

-- What stands between us and the dialer: it may try once.
local function owner_of_dialer(self)
  local was_tried = false
  return {
    sockets = self.sockets,
    limits = transport_limits.with { connect_ms = CONNECT_MS },
    id = "",  -- nobody is to be first
    has = function() return was_tried end,
    dialed = function(_, _, stream)
      was_tried = true
      self:greet(stream)
    end,
    dial_failed = function(_, _, reason)
      was_tried = true
      self:close(reason)
    end,
  }
end

--- Dials.
-- @param options sockets; id, cluster: who says hello;
--   where: "host:port"; opened(connection); result(connection, id, number, ok,
--   value, why): an answer; results(connection, first, count, number, values,
--   whys): plain ones, with ids from the first on, where that is there; heard
--   (connection): these were all for now;
--   closed(connection, reason, refusal): refusal is { code=, text= } or nil;
--   ping_ms: how often a node of this cluster writes, where that is known
function M.dial(options)
  local self = setmetatable({
    sockets = options.sockets,
    options = options,
    where = options.where,
    state = "dialing",  -- greeting, open, closed
    stream = false,
    identity = false,   -- of the cluster that its node has formed, once open
    head = false,       -- what it says of the cluster; the owner keeps it here
    buffer = "",        -- of the greeting
    reader = false,     -- of frames, once open
    writer = frames.writer(),  -- frames for the end of this turn: flush
    timer = options.sockets:timer(),
    pings = 0,          -- since the last word
    is_quiet = false,   -- nothing was said since the last ping
    dialer = false,
    on_written = false,
  }, Connection)
  self.on_written = self.sockets.guard(function(why)
    if why then self:close(why) end
  end)
  self.dialer = Dialer.new(owner_of_dialer(self), "", options.where)
  self.dialer:start()
  return self
end

local function write(self, bytes)
  self.is_quiet = false
  if not self.sockets:send(self.stream, bytes, self.on_written) then
    self:close("write failed")
  end
end

----------------------------------------------------------------- greeting --

local function hello(self)
  return core.hello_encode { version_min = WIRE_VERSION,
    version_max = WIRE_VERSION, purpose = "client", formed = false,
    cluster = self.options.cluster, id = self.options.id, to = "" }
end

--- There is a connection.
function Connection:greet(stream)
  local sockets = self.sockets
  self.stream, self.state = stream, "greeting"
  sockets:nodelay(stream)
  sockets:start(self.timer, GREETING_MS, 0,
    function() self:close("no greeting in time") end)
  local ok = sockets:read(stream, function(why, chunk)
    if self.state == "closed" then return end
    if not chunk then return self:close(why or "closed by the other end") end
    self:received(chunk)
  end)
  if not ok then return self:close("gone") end
  write(self, hello(self))
end

-- The first frame of the other end.
local function take_greeting(self, frame)
  local kind = core.frame_kind(frame)
  if kind == "refuse" then
    local code, text = core.refusal_decode(frame)
    if not code then return self:close("bad frame") end
    code, text = handshake.known(code, text)
    return self:close("refused: " .. text, { code = code, text = text })
  end
  local said = kind == "hello" and core.hello_decode(frame)
  if not said then return self:close("bad frame") end
  self.identity, self.state = said.formed and said.identity, "open"
  self.reader = frames.reader(limits.ANSWER_BYTES_MAX)
  write(self, core.ping())
  self:expect_pings(self.options.ping_ms or limits.PING_MS)
  self.options.opened(self)
end

local function advance(self)
  local size = core.frame_size(self.buffer)
  if not size or size > HELLO_BYTES_MAX then return self:close("bad frame") end
  if size == 0 or size > #self.buffer then return end
  local frame, rest = self.buffer:sub(1, size), self.buffer:sub(size + 1)
  self.buffer = ""
  take_greeting(self, frame)
  if rest ~= "" and self.state == "open" then self:received(rest) end
end

------------------------------------------------------------------- frames --

-- What the reader says of the next frame; false: there is none.
local function take_one(self, kind, id, number, ok, value, why)
  if kind == nil then return false end
  if not kind then
    self:close("bad frame")
    return false
  end
  if ok ~= true then ok, value, why = answers.decode(ok) end  -- a body
  if kind == RESULT then
    self.options.result(self, id, number, ok, value, why)
  end
  return true
end

--- Bytes have come.
function Connection:received(chunk)
  self.pings = 0
  if self.state == "greeting" then
    self.buffer = self.buffer .. chunk
    return advance(self)
  end
  local reader, options = self.reader, self.options
  local results = options.results
  reader:feed(chunk)
  repeat
    local count, first, number, values, whys
    if results then
      count, first, number, values, whys = reader:next_answers()
    end
    if count then
      results(self, first, count, number, values, whys)
    elseif not take_one(self, reader:next_answer()) then
      break
    end
  until self.state ~= "open"
  if self.state ~= "open" then return end
  if options.heard then options.heard(self) end
end

--- The node writes something that often, and so do we.
function Connection:expect_pings(ms)
  ms = math.max(ms, PING_MS_MIN)
  self.sockets:start(self.timer, ms, ms, function()
    self.pings = self.pings + 1
    if self.pings > SILENT_PINGS then return self:close("it is silent") end
    if self.is_quiet then write(self, core.ping()) end
    self.is_quiet = true
  end)
end

--- Hands the frames of the writer to the system.
function Connection:flush()
  if self.state ~= "open" then return end
  local bytes = self.writer:take()
  if bytes then write(self, bytes) end
end

--- Ends it. Again: nothing.
-- @param is_ours nobody is told
function Connection:close(reason, refusal, is_ours)
  if self.state == "closed" then return end
  self.state = "closed"
  self.dialer:stop()
  self.sockets:close(self.timer)
  self.sockets:close(self.stream)
  self.writer:drop()
  if self.reader then self.reader:drop() end
  if not is_ours then self.options.closed(self, reason, refusal) end
end

return M
