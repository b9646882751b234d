--- Proposals in the log that wait to be applied, found by (index, term).
--
-- In one term a leader's indexes ascend, so each term has a queue; entries are
-- applied in order, so only the heads of the queues matter. Usually there is
-- one queue.
--
-- A group (raft.node.group) stands in it like a waiter, as long as its entries
-- are applied one after the other; whoever looks for a waiter takes it apart.
local ring = require "raft.ring"

local M = {}

local Epochs = { __name = "raft.epochs" }
Epochs.__index = Epochs

--- @param node of the callbacks of groups
function M.new(node)
  return setmetatable({
    node = node,
    queues = {},  -- array of { term=, waiters= ring, groups= }, terms ascend;
                  -- groups: how many of the waiters are one
  }, Epochs)
end

local function queue_of(self, term)
  local newest = self.queues[#self.queues]
  if newest and newest.term == term then return newest end
  for _, queue in ipairs(self.queues) do
    if queue.term == term then return queue end
  end
  local queue = { term = term, waiters = ring.new(), groups = 0 }
  self.queues[#self.queues + 1] = queue
  return queue
end

--- A waiter's command stands at this index, appended in this term.
function Epochs:add(waiter, index, term)
  waiter.index, waiter.term = index, term
  queue_of(self, term).waiters:push(waiter)
end

--- A group's commands stand from this index on, appended in this term.
function Epochs:add_group(group, index, term)
  group.first, group.term = index, term
  local queue = queue_of(self, term)
  queue.waiters:push(group)
  queue.groups = queue.groups + 1
end

function Epochs:is_empty()
  return #self.queues == 0
end

local function drop_empty_queues(self)
  local kept = {}
  for _, queue in ipairs(self.queues) do
    if not queue.waiters:is_empty() then kept[#kept + 1] = queue end
  end
  self.queues = kept
end

---------------------------------------------------------------------- groups --

-- Waiters take the place of the groups for which fits(group) holds.
local function take_apart(self, queue, fits)
  if queue.groups == 0 then return end
  for _, item in ipairs(queue.waiters:take_all()) do
    if item.callbacks and fits(item) then
      queue.groups = queue.groups - 1
      for _, waiter in ipairs(item:waiters(self.node)) do
        queue.waiters:push(waiter)
      end
    else
      queue.waiters:push(item)
    end
  end
end

local function all() return true end

--- The group whose next entry is the one at this index, if it is the oldest of
-- all that wait; or nil.
function Epochs:group_at(index)
  local queue = self.queues[1]
  if not queue or queue.groups == 0 then return nil end
  local head = queue.waiters:peek()
  return head.callbacks and head:next_index() == index and head or nil
end

--- All of the group that is the oldest were applied.
function Epochs:group_done()
  local queue = self.queues[1]
  queue.waiters:pop()
  queue.groups = queue.groups - 1
  if queue.waiters:is_empty() then drop_empty_queues(self) end
end

--- Takes the groups apart for which fits(group) holds.
function Epochs:take_apart(fits)
  for _, queue in ipairs(self.queues) do take_apart(self, queue, fits) end
end

------------------------------------------------------------------- answering --

-- The oldest waiter of a queue, if the entry at `index` of this term decides
-- what becomes of it; or nil.
local function oldest(self, queue, index, term)
  local head = queue.waiters:peek()
  if not head then return nil end
  local place = head.callbacks and head:next_index() or head.index
  if place > index and queue.term >= term then return nil end
  if not head.callbacks then return head end
  take_apart(self, queue, all)
  return queue.waiters:peek()
end

--- The entry at `index` was committed with `term`. Terms ascend in a log, and
-- what is committed stays: so what an older term has behind it is lost as well,
-- also where the log is shorter now and nothing comes to stand there for long.
-- @return the waiter whose command it is, or nil
-- @return an array of waiters whose command is lost, or nil
function Epochs:take(index, term)
  local found, lost
  for _, queue in ipairs(self.queues) do
    local waiters = queue.waiters
    local head = oldest(self, queue, index, term)
    while head do
      waiters:pop()
      if queue.term == term and head.index == index then
        found = head
      else
        lost = lost or {}
        lost[#lost + 1] = head
      end
      head = oldest(self, queue, index, term)
    end
  end
  local newest = self.queues[#self.queues]
  if newest and newest.waiters:is_empty() then drop_empty_queues(self) end
  return found, lost
end

--- Takes all that wait for an entry up to `index`, as an array.
function Epochs:take_upto(index)
  local taken = {}
  for _, queue in ipairs(self.queues) do
    take_apart(self, queue, all)
    local head = queue.waiters:peek()
    while head and head.index <= index do
      taken[#taken + 1] = queue.waiters:pop()
      head = queue.waiters:peek()
    end
  end
  drop_empty_queues(self)
  return taken
end

--- Calls fn(item) for each waiter or group, oldest term first.
function Epochs:each(fn)
  for _, queue in ipairs(self.queues) do queue.waiters:each(fn) end
end

--- Forgets all.
function Epochs:clear()
  self.queues = {}
end

return M
