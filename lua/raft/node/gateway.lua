--- Clients at a node: what they ask for, and the answers.
--
-- Promises. A request is answered at most once, on the connection it came on; a
-- connection that ends takes its requests with it, but not what is in a log by
-- then. What one client may have open is bounded; who has more is cut off. All
-- answers of a turn are written at its end, together.
local Cutter = require "raft.cutter"
local answers = require "raft.answers"
local calls = require "raft.node.client_calls"
local codec = require "raft.codec"
local errors = require "raft.errors"
local frames = require "raft.client.frames"
local limits = require "raft.client.limits"
local view = require "raft.node.view"

local M = {}

local Gateway = { __name = "raft.gateway" }
Gateway.__index = Gateway

function M.new(driver)
  return setmetatable({
    driver = driver,
    visitors = {},    -- in order of coming
    head = "",        -- what those who asked for it were told last
    has_output = false,  -- is there anything to write at the end of the turn?
  }, Gateway)
end

------------------------------------------------------------------ visitors --

local function new_visitor(gateway, channel)
  local body_max = gateway.driver.options.max_command_bytes
    + limits.REQUEST_HEAD_BYTES
  return {
    channel = channel,
    cutter = Cutter.new(frames.sizes(body_max)),
    open = {},           -- id of a request -> its waiter, or true
    open_count = 0,      -- Invariant: entries of open
    open_bytes = 0,      -- of their frames
    out = {},            -- frames to be written at the end of the turn
    watches_head = false, -- the id of its request for the head, or false
  }
end

--- One has come: what to call for it.
function Gateway:accept(channel)
  local visitor = new_visitor(self, channel)
  self.visitors[#self.visitors + 1] = visitor
  return {
    bytes = function(_, chunk) self:received(visitor, chunk) end,
    closed = function() self:left(visitor) end,
  }
end

-- Who has gone is waited for no more, where that can still be helped.
function Gateway:left(visitor)
  for i, other in ipairs(self.visitors) do
    if other == visitor then table.remove(self.visitors, i) end
  end
  local open = visitor.open
  visitor.open, visitor.out = {}, {}
  for _, waiter in pairs(open) do
    if waiter ~= true then self.driver.proposals:answer(waiter) end
  end
end

local function write(self, visitor, frame)
  visitor.out[#visitor.out + 1] = frame
  if not self.has_output then
    self.has_output = true
    self.driver:wants_flush()
  end
end

------------------------------------------------------------------ requests --

-- A request is there; false when the client has too many.
local function begin(visitor, id, waiter, bytes)
  local count, sum = visitor.open_count + 1, visitor.open_bytes + bytes
  local fits = count == 1
    or count <= limits.OPEN_MAX and sum <= limits.OPEN_BYTES_MAX
  if visitor.open[id] or not fits then return false end
  visitor.open[id], visitor.open_count, visitor.open_bytes = waiter, count, sum
  return true
end

-- Larger than a client takes, it would end the connection, and be asked for
-- again.
local function that_fits(bytes)
  local max = limits.ANSWER_BYTES_MAX
  if #bytes <= max then return bytes end
  return answers.encode(false, errors.new("too_large", ("the answer has %d "
    .. "bytes, and a client takes %d"):format(#bytes, max),
    { size = #bytes, max = max, outcome = "unknown" }))
end

-- @param index it is covered by
-- @param bytes as @{raft.answers} has them
local function finish(self, visitor, id, size, index, bytes)
  if not visitor.open[id] then return end
  visitor.open[id] = nil
  visitor.open_count = visitor.open_count - 1
  visitor.open_bytes = visitor.open_bytes - size
  write(self, visitor, frames.encode("result", id, index,
    that_fits(bytes)))
end

local take = {}  -- kind of frame -> function(self, visitor, id, number, body)

-- Who leads and where, and the members; told again whenever it changes.
function take.head(self, visitor, id)
  visitor.watches_head = id
  write(self, visitor, frames.encode("result", id, 0, calls.head(self.driver)))
  return true
end

function take.session(self, visitor, id, number, body)
  local driver, size = self.driver, #body
  local function answer(err, bytes)
    finish(self, visitor, id, size, driver.applied,
      err and answers.encode(false, err) or bytes)
  end
  local waiter = { request = body, deadline = false, can_wait = true,
    can_forward = number & limits.MAY_FORWARD ~= 0, answer = answer }
  if not begin(visitor, id, waiter, size) then return false end
  local err = view.not_running(driver) or view.has_no_state(driver)
  if err then
    answer(err)
    return true
  end
  driver:tell_wall(true)
  driver.proposals:submit(waiter)
  return true
end

-- Anything else is a call of the node's own methods.
local function call(name)
  return function(self, visitor, id, _, body)
    local size = #body
    if not begin(visitor, id, true, size) then return false end
    local request, broken = codec.decode(body)
    if broken or type(request) ~= "table" then return false end
    local function done(err, result)
      local bytes = err and answers.encode(false, err)
        or answers.encode(true, result)
      finish(self, visitor, id, size, self.driver.applied, bytes)
    end
    calls[name](self.driver.node, request, done)
    return true
  end
end

take.query = call "query"
take.call = call "call"

function Gateway:take(visitor, kind, id, number, body)
  if kind == "other" then return true end  -- a ping
  local handler = kind and take[kind]
  return handler and handler(self, visitor, id, number, body)
end

function Gateway:received(visitor, chunk)
  local channel = visitor.channel
  local is_fine = true
  local ok = visitor.cutter:feed(chunk, function(frame)
    is_fine = self:take(visitor, frames.decode(frame))
    return is_fine and not channel.is_ended and not self.driver.is_closed
  end)
  if not ok or not is_fine then channel:close("broken frame") end
end

-------------------------------------------------------------- end of a turn --

local function flush(visitor)
  if #visitor.out == 0 then return end
  local bytes = table.concat(visitor.out)
  visitor.out = {}
  local channel = visitor.channel
  if channel:queued() > limits.UNREAD_BYTES_MAX then
    return channel:close("it does not read its answers")
  end
  channel:write(bytes)
end

--- At the end of a turn: writes what there is, and says who leads by now.
function Gateway:look()
  if #self.visitors == 0 then return end
  local head = calls.head(self.driver)
  local is_new = head ~= self.head
  self.head, self.has_output = head, false
  for i = #self.visitors, 1, -1 do  -- one may be cut off
    local visitor = self.visitors[i]
    local id = is_new and visitor.watches_head
    if id then write(self, visitor, frames.encode("result", id, 0, head)) end
    flush(visitor)
  end
  self.has_output = false
end

return M
