--- Proposals in the log that wait to be applied, found by (index, term).
--
-- In one term a leader's indexes ascend, so each term has a queue; entries are
-- applied in order, so only the heads of the queues matter. Usually there is
-- one queue.
local ring = require "raft.ring"

local M = {}

local Epochs = { __name = "raft.epochs" }
Epochs.__index = Epochs

function M.new()
  return setmetatable({
    queues = {},  -- array of { term=, waiters= ring }, terms ascend
  }, Epochs)
end

local function queue_of(self, term)
  local newest = self.queues[#self.queues]
  if newest and newest.term == term then return newest.waiters end
  for _, queue in ipairs(self.queues) do
    if queue.term == term then return queue.waiters end
  end
  local waiters = ring.new()
  self.queues[#self.queues + 1] = { term = term, waiters = waiters }
  return waiters
end

--- A waiter's command stands at this index, appended in this term.
function Epochs:add(waiter, index, term)
  waiter.index, waiter.term = index, term
  queue_of(self, term):push(waiter)
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

--- The entry at `index` was committed with `term`. Terms ascend in a log, and
-- what is committed stays: so what an older term has behind it is lost as well,
-- also where the log is shorter now and nothing comes to stand there for long.
-- @return the waiter whose command it is, or nil
-- @return an array of waiters whose command is lost, or nil
function Epochs:take(index, term)
  local found, lost
  for _, queue in ipairs(self.queues) do
    local waiters = queue.waiters
    local head = waiters:peek()
    while head and (head.index <= index or queue.term < term) do
      waiters:pop()
      if queue.term == term and head.index == index then
        found = head
      else
        lost = lost or {}
        lost[#lost + 1] = head
      end
      head = waiters:peek()
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
    local head = queue.waiters:peek()
    while head and head.index <= index do
      taken[#taken + 1] = queue.waiters:pop()
      head = queue.waiters:peek()
    end
  end
  drop_empty_queues(self)
  return taken
end

--- Calls fn(waiter) for each, oldest term first.
function Epochs:each(fn)
  for _, queue in ipairs(self.queues) do queue.waiters:each(fn) end
end

--- Forgets all.
function Epochs:clear()
  self.queues = {}
end

return M
