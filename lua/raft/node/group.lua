--- What was proposed in one turn of a leader's loop, commands of callers with a
-- callback or requests of clients: one waiter for all of them.
--
-- They enter the log by one call of the core and stand there in a row; so they
-- are applied and answered in slices, and cost no table each. What does not go
-- the usual way - another leader, a full queue, a deadline - takes them apart
-- first (waiters), and then goes the way of all others.
local Machine = require "raft.machine"
local answers = require "raft.answers"
local guard = require "raft.guard"
local waiting = require "raft.waiting"

local M = {}

local COUNT_MAX <const> = 1024
local BYTES_MAX <const> = 1 << 20  -- of the commands, where there are several
local WAITER_BYTES <const> = 64    -- what one weighs beside its command

local type <const> = type  -- it is asked for often
local PLAIN <const> = Machine.PLAIN
local NOBODY <const> = {}  -- options that no caller gives

local Group = { __name = "raft.group" }
Group.__index = Group

--- @param order the place of the first in call order; the others follow
-- @param checked timeout (ms or false) and forward, of each
-- @param given the options as the caller gave them, or nil: who gives the same
--   again, with the same in it, means the same
-- @param limits max_pending_bytes, max_command_bytes
function M.new(order, checked, given, limits)
  return setmetatable({
    order = order,
    timeout = checked.timeout,
    can_forward = checked.forward,
    given = given,
    given_timeout = given and given.timeout,
    given_forward = given and given.forward,
    command_max = limits.max_command_bytes,
    is_session = false,  -- does it hold requests of clients?
    commands = {},     -- or requests
    callbacks = {},    -- as of the commands; false: nobody waits. Of requests
                       -- functions answer(err, bytes, nil, id, size) of ours
    ids = false,       -- of the requests, as who asks knows them
    rows = false,      -- answer -> what takes several answers: see add_requests
    count = 0,         -- of them
    bytes = 0,         -- what they weigh
    bytes_max = math.min(limits.max_pending_bytes, BYTES_MAX),
    deadline = false,  -- ms; known once it is in a log
    first = 0,         -- index of the first in the log, once there
    term = 0,          -- in which it was appended there
    next = 1,          -- position of the oldest that was not applied.
                       -- Invariant: 1 <= next <= count + 1
  }, Group)
end

--- The arguments of another call: false when it is not quite as the one that
-- began the group, or there is no room; then it has done nothing.
function Group:add(command, given, callback)
  if given ~= self.given or given and (given.timeout ~= self.given_timeout
    or given.forward ~= self.given_forward) then
    return false
  elseif type(callback) ~= "function" and callback ~= false
    or type(command) ~= "string" then
    return false
  end
  local count, size = self.count + 1, #command
  local bytes = self.bytes + size + WAITER_BYTES
  if size > self.command_max or count > COUNT_MAX
    or bytes > self.bytes_max and count > 1 then
    return false
  end
  self.count, self.bytes = count, bytes
  self.commands[count], self.callbacks[count] = command, callback
  return true
end

--- Do these options, checked, mean the same as those that began the group?
function Group:is_like(checked)
  return not self.is_session and self.timeout == checked.timeout
    and self.can_forward == checked.forward
end

--- The index of the oldest that was not applied.
function Group:next_index()
  return self.first + self.next - 1
end

--- The index of the last.
function Group:last_index()
  return self.first + self.count - 1
end

--- Of the requests of clients, without a deadline.
function M.of_requests(order, can_forward, limits)
  local self = M.new(order, { timeout = false, forward = can_forward }, NOBODY,
    limits)
  self.is_session, self.ids, self.rows = true, {}, {}
  return self
end

--- Adds a request of a client; false when it goes another way, or there is no
-- room.
-- @param answer function(err, bytes, nil, id, #request)
function Group:add_request(request, can_forward, answer, id)
  local count = self.count + 1
  local bytes = self.bytes + #request + WAITER_BYTES
  if not self.is_session or can_forward ~= self.can_forward
    or count > COUNT_MAX or bytes > self.bytes_max and count > 1 then
    return false
  end
  self.count, self.bytes = count, bytes
  self.commands[count], self.callbacks[count] = request, answer
  self.ids[count] = id
  return true
end

--- Adds requests of a client, whose ids follow one another: all or none.
-- @param bytes of them
-- @param row function(slice, from, last, id, requests, at): the same as answer,
--   of several: what they have come to stands at [from, last] in the slice, the
--   requests from `at` on in their list
function Group:add_requests(requests, count, bytes, can_forward, answer, row,
    id)
  local before = self.count
  bytes = self.bytes + bytes + count * WAITER_BYTES
  if not self.is_session or can_forward ~= self.can_forward
    or before + count > COUNT_MAX or bytes > self.bytes_max then
    return false
  end
  local callbacks, ids = self.callbacks, self.ids
  table.move(requests, 1, count, before + 1, self.commands)
  for i = 1, count do
    callbacks[before + i], ids[before + i] = answer, id + i - 1
  end
  self.count, self.bytes, self.rows[answer] = before + count, bytes, row
  return true
end

local function answer_of_waiter(self, position, node)
  local callback = self.callbacks[position]
  if self.is_session then return callback end
  return waiting.answer("node:propose", node, callback)
end

local function waiter_at(self, position, node)
  local command = self.commands[position]
  return {
    command = self.is_session and "" or command,
    request = self.is_session and command, size = #command, bytes = 0,
    can_forward = self.can_forward, can_wait = self.is_session,
    is_alone = false,
    deadline = self.deadline, order = self.order + position - 1,
    sends = self.is_session and self.first > 0 and 1 or 0,
    session = false, sequence = false,
    index = self.first > 0 and self.first + position - 1 or 0,
    term = self.term,
    answer = answer_of_waiter(self, position, node),
    id = self.ids and self.ids[position],
  }
end

--- Those that were not applied, as waiters of @{raft.node.proposals}.
-- @param node for the callbacks
function Group:waiters(node)
  local waiters = {}
  for position = self.next, self.count do
    waiters[#waiters + 1] = waiter_at(self, position, node)
  end
  self.next = self.count + 1
  return waiters
end

-- What a caller is told: an error value, or nil and the result.
local function answer_of(slice, i, report)
  local err, value = slice.errors[i], slice.values[i]
  if err or i == slice.settled then return err, value end
  if value == nil and slice.whys[i] ~= nil then
    return Machine.refusal("apply", slice.whys[i])
  end
  local copy
  copy, err = Machine.copied("apply", value)
  if err then report(err) end
  return err, copy
end

-- The last may be a table, which the next command may change.
local function settle(slice, report)
  local i = slice.count
  if i == 0 or type(slice.values[i] or slice.whys[i]) ~= "table" then return end
  slice.errors[i], slice.values[i] = answer_of(slice, i, report)
  slice.settled = i
end

--- The next request was applied: true, result, why; or false, error.
function Group:applied_request(ok, value, why)
  local position = self.next
  self.next = position + 1
  self.callbacks[position](nil, answers.encode(ok, value, why), nil,
    self.ids[position], #self.commands[position])
end

-- How many from this position on, up to the last one, are answered together.
local function row_at(self, position, last)
  local callbacks, ids = self.callbacks, self.ids
  local answer, next_id, first = callbacks[position], ids[position], position
  repeat
    position, next_id = position + 1, next_id + 1
  until position > last or callbacks[position] ~= answer
    or ids[position] ~= next_id
  return position - first, self.rows[answer]
end

--- The next requests were applied, with what @{raft.machine} says of them.
function Group:applied_requests(slice)
  local i, last = 1, self.next + slice.count - 1
  while i <= slice.count do
    local position = self.next
    local count, row = row_at(self, position, last)
    if row then
      self.next = position + count
      row(slice, i, i + count - 1, self.ids[position], self.commands, position)
      i = i + count
    else
      local err = slice.errors[i]
      self:applied_request(not err, err or slice.values[i], slice.whys[i])
      i = i + 1
    end
  end
end

--- The next ones were applied, with what @{raft.machine} says of them.
-- @param report function(err): errors of callbacks, and those that nobody waits
--   for
-- @return a function that tells the callers, to be called from the loop
function Group:applied(slice, report)
  local before, callbacks = self.next - 1, self.callbacks
  self.next = self.next + slice.count
  settle(slice, report)
  local i, count, values, errs = 0, slice.count, slice.values, slice.errors
  local function tell_plain()
    while i < count do
      i = i + 1
      local callback = callbacks[before + i]
      if callback then callback(nil, values[i]) end
    end
  end
  local function tell()
    if slice.is_plain then return tell_plain() end
    while i < count do
      i = i + 1
      local callback, err, value = callbacks[before + i], errs[i], values[i]
      if err or not PLAIN[type(value)] then
        err, value = answer_of(slice, i, report)
      end
      if callback then
        callback(err, value)
      elseif err then
        report(err)
      end
    end
  end
  return function() guard.run_on("callback of node:propose", report, tell) end
end

return M
