--- Commands that a client was given with a callback in one turn: one request
-- for all of them.
--
-- They go out by one call and stand in their session in a row; their answers
-- come in rows, too. So they cost no table each. What does not go the usual
-- way - a refusal, a deadline, a connection that ends - takes them apart first:
-- then they are requests like any other (raft.client.requests).
local Machine = require "raft.machine"
local guard = require "raft.guard"
local limits = require "raft.client.limits"
local room = require "raft.client.room"
local session_entry = require "raft.session_entry"
local waiting = require "raft.waiting"

local M = {}

local HEAD_BYTES <const> = session_entry.HEADER_BYTES
local REQUEST_BYTES <const> = limits.REQUEST_BYTES

local type <const> = type  -- it is asked for often

local Batch = { __name = "raft.client.batch" }
Batch.__index = Batch

--- @param owner @{raft.client.requests}, whose books it keeps
-- @param timeout of each, ms or false
-- @param given the options as the caller gave them, or nil: who gives the same
--   again, with the same in it, means the same
-- @param command_max bytes of a command that the node takes
function M.new(owner, timeout, given, command_max)
  return setmetatable({
    owner = owner,
    timeout = timeout,
    given = given,
    given_timeout = given and given.timeout,
    command_max = command_max,
    bytes_max = owner.client.max_pending_bytes,
    order = owner.last_order + 1,  -- of the first; the others follow
    commands = {},
    callbacks = {},    -- as of the commands; false: nobody waits
    count = 0,         -- of them
    next = 1,          -- position of the oldest that was not answered.
                       -- Invariant: 1 <= next <= count + 1
    answer = true,     -- for @{raft.own_session}: does anybody wait for it?
    deadline = false,  -- of each; known once it is sent
    first_id = 0,      -- on the connection, of the first; 0: it was not sent
    session = false,   -- in which it was sent
    sequence = false,  -- there, of the oldest that was not answered
  }, Batch)
end

-- Is this quite as the call that began it?
local function is_like(self, command, given, callback)
  if given ~= self.given or given and given.timeout ~= self.given_timeout then
    return false
  end
  return (type(callback) == "function" or callback == false)
    and type(command) == "string"
end

--- The arguments of another call: false when it is not quite as the one that
-- began it, or there is no room; then it has done nothing.
function Batch:add(command, given, callback)
  if not is_like(self, command, given, callback) then return false end
  local owner, size = self.owner, #command
  local bytes = owner.bytes + REQUEST_BYTES + size
  if size > self.command_max or not room.has(owner, HEAD_BYTES + size)
    or bytes > self.bytes_max and owner.bytes > 0 then
    return false
  end
  local count = self.count + 1
  self.count, self.commands[count], self.callbacks[count] = count, command,
    callback
  owner.bytes, owner.last_order = bytes, owner.last_order + 1
  owner.flying_count = owner.flying_count + 1
  owner.flying_bytes = owner.flying_bytes + HEAD_BYTES + size
  return true
end

-- These are not under way any more.
local function leave(self, from, last)
  local owner, commands, bytes = self.owner, self.commands, 0
  for position = from, last do bytes = bytes + #commands[position] end
  local count = last - from + 1
  owner.flying_count = owner.flying_count - count
  owner.flying_bytes = owner.flying_bytes - count * HEAD_BYTES - bytes
  return count * REQUEST_BYTES + bytes
end

local function request_at(self, position)
  local was_sent = self.first_id > 0
  return {
    kind = "command", command = self.commands[position],
    answer = waiting.answer("client:propose", self.owner.client,
      self.callbacks[position]),
    deadline = self.deadline, order = self.order + position - 1,
    sends = was_sent and 1 or 0, session = self.session,
    sequence = was_sent and self.sequence + position - self.next,
  }
end

--- Those that were not answered, as requests; they are not under way then.
-- @return a list of them, and the id on the connection of the first
function Batch:requests()
  local list, first = {}, self.next
  leave(self, first, self.count)
  for position = first, self.count do
    list[#list + 1] = request_at(self, position)
  end
  local id = self:next_id()
  self.next, self.answer = self.count + 1, false
  return list, id
end

--- The id on the connection of the oldest that was not answered.
function Batch:next_id()
  return self.first_id + self.next - 1
end

--- The id of the last.
function Batch:last_id()
  return self.first_id + self.count - 1
end

-- A function that tells callers what so many have come to; see answered.
local function teller(self, first, count, values, whys, at)
  local callbacks, client, i = self.callbacks, self.owner.client, 0
  local function report(err) client:report(err) end
  local function tell()
    while i < count do
      local callback, value, why = callbacks[first + i], values[at + i],
        whys[at + i]
      i = i + 1
      local err = value == nil and why ~= nil and Machine.refusal("apply", why)
        or nil
      if callback then
        callback(err, value)
      elseif err then
        report(err)
      end
    end
  end
  return function()
    guard.run_on("callback of client:propose", report, tell)
  end
end

--- So many, from the oldest on, are answered.
-- @param values, whys what they have come to, from `at` on
-- @return a function that tells the callers, to be called from the loop
function Batch:answered(count, values, whys, at)
  local first = self.next
  local last = first + count - 1
  self.owner.bytes = self.owner.bytes - leave(self, first, last)
  self.next, self.sequence = last + 1, self.sequence + count
  self.answer = self.next <= self.count
  return teller(self, first, count, values, whys, at)
end

return M
