--- One client: bytes in, requests, replies in the order of the requests.
--
-- One segment of its requests is under way at a time; what comes meanwhile
-- waits, and then goes on together. A client that sends faster than it is
-- answered is not read from, one that does not read its replies is not
-- answered: for each, no more than about a megabyte is held.
local Requests = require "requests"
local refusals = require "refusals"
local resp = require "resp"
local session = require "session"

local M = {}

local REQUESTS_BYTES <const> = 512 << 10  -- not answered, before it must wait
local REPLIES_BYTES <const> = 1 << 20     -- not fetched, before it must wait
local TURN_BYTES <const> = 64 << 10       -- replies without raft, in one turn

local Connection = { __name = "redis.connection" }
Connection.__index = Connection

--- @param server gives pass, node, closed(connection), and what session needs
function M.new(server, socket, id)
  return setmetatable({
    server = server,
    socket = socket,
    id = id,
    name = "",           -- as the client calls itself
    parser = resp.parser(),
    requests = Requests.new(),
    replies = {},        -- not yet written
    last_words = false,  -- an error that ends it, once all else is answered
    is_waiting = false,  -- is a segment under way?
    is_full = false,     -- are too many replies not fetched?
    is_reading = false,
    is_ending = false,   -- do no more requests count?
    is_shut = false,     -- was the last reply written?
    is_closed = false,
  }, Connection)
end

--- Closes it at once.
function Connection:close()
  if self.is_closed then return end
  self.is_closed = true
  self.socket:close()
  self.server:closed(self)
end

--- After what was said so far, nothing more is.
function Connection:finish()
  self.is_ending = true
  self.requests = Requests.new()
end

------------------------------------------------------------------- answering --

-- All of a segment went the same way: nobody knows of one of its commands more
-- than of another.
local function refuse(self, err, kind, count)
  local state = self.server.node:status().state
  local text = refusals.text(err, kind == "write", state)
  return resp.error(text):rep(count), count
end

local function send_segment(self)
  local kind, segment, count = self.requests:segment()
  self.is_waiting = true
  self.server.pass:add(kind, segment, function(err, replies, done)
    self.is_waiting = false
    if self.is_closed then return end
    if err then replies, done = refuse(self, err, kind, count) end
    self.requests:drop(done)
    self.replies[#self.replies + 1] = replies
    self:work()
  end)
end

-- Answers those that do not need raft. Where their replies become many, others
-- come first: it goes on once these are written.
local function answer_here(self)
  local bytes = 0
  local kind, arguments = self.requests:peek()
  while kind == "here" and bytes < TURN_BYTES do
    self.requests:drop(1)
    local reply = session.answer(self, arguments)
    self.replies[#self.replies + 1] = reply
    bytes = bytes + #reply
    kind, arguments = self.requests:peek()
  end
  self.is_full = bytes >= TURN_BYTES
end

-- Ends it once there is nothing left to be said.
local function look_for_end(self)
  local is_over = self.is_ending and not self.is_waiting
    and self.requests:is_empty()
  if not is_over or self.is_shut or self.is_closed then return end
  self.is_shut = true
  if self.last_words then self.socket:write(resp.error(self.last_words)) end
  local ok = self.socket:shutdown(function() self:close() end)
  if not ok then self:close() end  -- the other end is gone
end

-- What is done next.
local function go_on(self)
  if self.requests:peek() == "here" then
    answer_here(self)
  else
    send_segment(self)
  end
end

--- Answers what can be answered.
function Connection:work()
  while not self.is_waiting and not self.is_full
    and not self.requests:is_empty() do
    go_on(self)
  end
  self:write()
  self:mind_reading()
  look_for_end(self)
end

------------------------------------------------------------------ the socket --

-- What was written has left, or never will.
local function written(self, err)
  if self.is_closed then return end
  if err then return self:close() end
  if not self.is_full then return end
  if self.socket:get_write_queue_size() > REPLIES_BYTES // 2 then return end
  self.is_full = false
  self:work()
end

--- Writes the replies that there are.
function Connection:write()
  if #self.replies == 0 or self.is_closed then return end
  local bytes = table.concat(self.replies)
  self.replies = {}
  local ok = self.socket:write(bytes, function(err) written(self, err) end)
  if not ok then return self:close() end
  if self.socket:get_write_queue_size() > REPLIES_BYTES then
    self.is_full = true
  end
end

local function received(self, err, chunk)
  if err then return self:close() end
  if self.is_ending then return end
  if not chunk then
    self.is_ending = true
    return self:work()
  end
  local ok, why = self.parser:feed(chunk, function(arguments, size)
    self.requests:push(arguments, size)
  end)
  if not ok then
    self.is_ending, self.last_words = true, why
  end
  self:work()
end

--- Reads, unless there is too much to be done already.
function Connection:mind_reading()
  if self.is_closed or self.is_ending then return end
  local wants = self.requests.bytes < REQUESTS_BYTES
  if wants == self.is_reading then return end
  self.is_reading = wants
  if not wants then
    self.socket:read_stop()
    return
  end
  local ok = self.socket:read_start(function(err, chunk)
    received(self, err, chunk)
  end)
  if not ok then self:close() end
end

return M
