--- Commands that were proposed in one turn of a leader's loop, by callers with
-- a callback: one waiter for all of them.
--
-- They enter the log by one call of the core and stand there in a row; so they
-- are applied and answered in slices, and cost no table each. What does not go
-- the usual way - another leader, a full queue, a deadline - takes them apart
-- first (waiters), and then goes the way of all others.
local Machine = require "raft.machine"
local guard = require "raft.guard"
local waiting = require "raft.waiting"

local M = {}

local COUNT_MAX <const> = 1024
local BYTES_MAX <const> = 1 << 20  -- of the commands, where there are several
local WAITER_BYTES <const> = 64    -- what one weighs beside its command

local Group = { __name = "raft.group" }
Group.__index = Group

--- @param order the place of the first in call order; the others follow
-- @param timeout ms or false, of each
-- @param can_forward of each, as of the waiters of @{raft.node.proposals}
-- @param bytes_max what may wait, in all
function M.new(order, timeout, can_forward, bytes_max)
  return setmetatable({
    order = order,
    timeout = timeout,
    can_forward = can_forward,
    commands = {},
    callbacks = {},    -- as of the commands; false: nobody waits
    count = 0,         -- of them
    bytes = 0,         -- what they weigh
    bytes_max = math.min(bytes_max, BYTES_MAX),
    deadline = false,  -- ms; known once it is in a log
    first = 0,         -- index of the first in the log, once there
    term = 0,          -- in which it was appended there
    next = 1,          -- position of the oldest that was not applied.
                       -- Invariant: 1 <= next <= count + 1
  }, Group)
end

--- Can one of this kind be added?
function Group:takes(command, timeout, can_forward)
  return self.timeout == timeout and self.can_forward == can_forward
    and self.count < COUNT_MAX
    and self.bytes + #command + WAITER_BYTES <= self.bytes_max
end

--- Adds one that it takes; the first is taken always.
function Group:add(command, callback)
  local count = self.count + 1
  self.count, self.bytes = count, self.bytes + #command + WAITER_BYTES
  self.commands[count], self.callbacks[count] = command, callback
end

--- The index of the oldest that was not applied.
function Group:next_index()
  return self.first + self.next - 1
end

--- The index of the last.
function Group:last_index()
  return self.first + self.count - 1
end

local function waiter_at(self, position, node)
  local command = self.commands[position]
  return {
    command = command, request = false, size = #command, bytes = 0,
    can_forward = self.can_forward, can_wait = false, is_alone = false,
    deadline = self.deadline, order = self.order + position - 1,
    sends = 0, session = false, sequence = false,
    index = self.first > 0 and self.first + position - 1 or 0,
    term = self.term,
    answer = waiting.answer("node:propose", node, self.callbacks[position]),
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

--- The next ones were applied, with what @{raft.machine} says of them.
-- @param report function(err): errors of callbacks, and those that nobody waits
--   for
-- @return a function that tells the callers, to be called from the loop
function Group:applied(slice, report)
  local before = self.next - 1
  self.next = self.next + slice.count
  local callbacks = self.callbacks
  settle(slice, report)
  return function()
    guard.each("callback of node:propose", report, 1, slice.count, function(i)
      local callback = callbacks[before + i]
      local err, result = answer_of(slice, i, report)
      if callback then
        callback(err, result)
      elseif err then
        report(err)
      end
    end)
  end
end

return M
