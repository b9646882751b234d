--- Clients at a node: what they ask for, and the answers.
--
-- Promises. A request is answered at most once, on the connection it came on; a
-- connection that ends takes its requests with it, but not what is in a log by
-- then. What one client may have open is bounded; who has more is cut off. All
-- answers of a turn are written at its end, together.
local answering = require "raft.node.answering"
local answers = require "raft.answers"
local calls = require "raft.node.client_calls"
local codec = require "raft.codec"
local frames = require "raft.client.frames"
local limits = require "raft.client.limits"
local view = require "raft.node.view"

local M = {}

local KINDS <const> = frames.KINDS
local RESULT <const> = KINDS.result

local Gateway = { __name = "raft.gateway" }
Gateway.__index = Gateway

function M.new(driver)
  return setmetatable({
    driver = driver,
    visitors = {},    -- in order of coming
    head = calls.new_head(driver),
    told = "",        -- what those who asked for the head were told last
    has_output = false,  -- is there anything to write at the end of the turn?
    has_looked = false,  -- in this chunk? Then these are known:
    refusal = false,     -- why the state cannot be asked for anything, or false
    now = 0,
  }, Gateway)
end

------------------------------------------------------------------ visitors --

local function new_visitor(gateway, channel)
  local body_max = gateway.driver.options.max_command_bytes
    + limits.REQUEST_HEAD_BYTES
  return {
    channel = channel,
    reader = frames.reader(body_max),
    writer = frames.writer(),  -- frames to be written at the end of the turn
    open = {},           -- id of a request -> its waiter, or true
    open_count = 0,      -- Invariant: entries of open
    open_bytes = 0,      -- of their frames
    watches_head = false, -- the id of its request for the head, or false
    answer_command = false, -- set in accept: these are the `answer` of all
    answer_query = false,   -- waiters,
    answer_row = false,     -- and of several at once
  }
end

-- Who has gone is waited for no more, where that can still be helped.
function Gateway:left(visitor)
  for i, other in ipairs(self.visitors) do
    if other == visitor then table.remove(self.visitors, i) end
  end
  local open = visitor.open
  visitor.open = {}
  visitor.reader:drop()
  visitor.writer:drop()
  for _, waiter in pairs(open) do
    if waiter ~= true then self.driver.proposals:answer(waiter) end
  end
end

--- One has come: what to call for it.
function Gateway:accept(channel)
  local visitor = new_visitor(self, channel)
  visitor.answer_command = answering.command(self, visitor)
  visitor.answer_row = answering.row(self, visitor)
  visitor.answer_query = answering.query(self, visitor)
  self.visitors[#self.visitors + 1] = visitor
  return {
    bytes = function(_, chunk) self:received(visitor, chunk) end,
    closed = function() self:left(visitor) end,
  }
end

------------------------------------------------------------------ requests --

local take = {}  -- kind of frame -> function(self, visitor, id, number, body)

-- Who leads and where, and the members; told again whenever it changes.
take[KINDS.head] = function(self, visitor, id)
  visitor.watches_head = id
  answering.write(self, visitor, id, 0, self.head())
  return true
end

-- What holds for all requests of a chunk is asked once, before the first.
local function look_once(self)
  if self.has_looked then return end
  local driver = self.driver
  self.has_looked = true
  self.refusal = view.not_running(driver) or view.has_no_state(driver) or false
  if self.refusal then return end
  self.now = driver:now()
  driver:tell_wall(true)
end

take[KINDS.session] = function(self, visitor, id, number, body)
  local size, answer = #body, visitor.answer_command
  if not answering.begin(visitor, id, true, size) then return false end
  look_once(self)
  if self.refusal then
    answer(self.refusal, nil, nil, id, size)
    return true
  end
  local can_forward = number & limits.MAY_FORWARD ~= 0
  local proposals = self.driver.proposals
  if proposals:join_request(body, can_forward, answer, id) then return true end
  local waiter = { request = body, deadline = false, can_wait = true,
    can_forward = can_forward, answer = answer, id = id, size = size }
  visitor.open[id] = waiter
  proposals:submit(waiter)
  return true
end

-- Requests of commands whose ids follow one another. What does not go into the
-- group of this turn goes one by one. False: what comes next is not wanted.
local function take_several(self, visitor, count, first, number, bodies)
  look_once(self)
  local can_forward = number & limits.MAY_FORWARD ~= 0
  local size = not self.refusal
    and answering.begin_several(visitor, first, bodies, count)
  if size then
    local proposals = self.driver.proposals
    if proposals:join_requests(bodies, count, size, can_forward,
      visitor.answer_command, visitor.answer_row, first) then
      return true
    end
    answering.forget_several(visitor, first, bodies, count)
  end
  local take_one, channel = take[KINDS.session], visitor.channel
  for i = 1, count do
    if not take_one(self, visitor, first + i - 1, number, bodies[i]) then
      return false
    elseif channel.is_ended or self.driver.is_closed then
      return true
    end
  end
  return true
end

-- The next frame, or several: false when it is broken, nil when there is none.
local function take_next(self, visitor)
  local reader = visitor.reader
  local count, first, number, bodies = reader:next_requests()
  if count then
    return take_several(self, visitor, count, first, number, bodies)
  end
  local kind, id, body
  kind, id, number, body = reader:next()
  if kind == nil then return nil end
  local handler = kind and take[kind]
  return handler and handler(self, visitor, id, number, body) or false
end

-- Anything else is a call of the node's own methods.
local function call(name)
  return function(self, visitor, id, _, body)
    local size = #body
    if not answering.begin(visitor, id, true, size) then return false end
    local request, broken = codec.decode(body)
    if broken or type(request) ~= "table" then return false end
    local function done(err, result)
      answering.finish(self, visitor, id, size,
        answers.encode(not err, err or result))
    end
    calls[name](self.driver.node, request, done)
    return true
  end
end

local call_query = call "query"

take[KINDS.call] = call "call"

-- What no client of ours says goes the way of a call, which finds words for it.
take[KINDS.query] = function(self, visitor, id, number, body)
  look_once(self)
  local waiter = not self.refusal and calls.read(body, self.now)
  if not waiter then return call_query(self, visitor, id, number, body) end
  local size, driver = #body, self.driver
  if not answering.begin(visitor, id, true, size) then return false end
  waiter.answer, waiter.id, waiter.size = visitor.answer_query, id, size
  driver.reads:submit(waiter)
  if not driver.is_dirty then driver:wants_flush() end
  return true
end

function Gateway:received(visitor, chunk)
  local channel, driver = visitor.channel, self.driver
  self.has_looked = false
  visitor.reader:feed(chunk)
  repeat
    local is_taken = take_next(self, visitor)
    if is_taken == false then return channel:close("broken frame") end
  until not is_taken or channel.is_ended or driver.is_closed
end

-------------------------------------------------------------- end of a turn --

local function flush(visitor)
  local bytes = visitor.writer:take()
  if not bytes then return end
  local channel = visitor.channel
  if channel:queued() > limits.UNREAD_BYTES_MAX then
    return channel:close("it does not read its answers")
  end
  channel:write(bytes)
end

--- At the end of a turn: writes what there is, and says who leads by now.
function Gateway:look()
  if #self.visitors == 0 then return end
  local head = self.head()
  local is_new = head ~= self.told
  if not is_new and not self.has_output then return end
  self.told = head
  for i = #self.visitors, 1, -1 do  -- one may be cut off
    local visitor = self.visitors[i]
    local id = is_new and visitor.watches_head
    if id then visitor.writer:frame(RESULT, id, 0, head) end
    flush(visitor)
  end
  self.has_output = false
end

return M
