--- The group of a turn, from its first call to the last answer: methods of
-- @{raft.node.proposals}.
--
--   begin, join -> append (at the end of the turn, or before a waiter that goes
--   alone) -> epochs -> applied
local Group = require "raft.node.group"

local M = {}

--- Takes a command of a caller with a callback into the group of this turn, if
-- its options mean the same; or into a new one, which the next ones may join.
-- @param checked options; `given` are those as the caller gave them, or nil
-- @param callback a function, or false for nobody
-- @return false where that is not possible: then there is `submit`
function M.begin_group(self, command, checked, given, callback)
  local before = self.group
  if before and before:is_like(checked)
    and before:add(command, before.given, callback) then
    return true
  end
  self:append_group()
  if not self.outbox:is_clear() then return false end
  local group = Group.new(self.last_order + 1, checked, given,
    self.driver.options)
  if not group:add(command, given, callback) then return false end
  self.group = group
  self.driver:wants_flush()
  return true
end

-- A group of requests in the place of the one there is; nil where that is not
-- possible.
local function new_group(self, can_forward)
  self:append_group()
  if not self.outbox:is_clear() then return nil end
  self.group = Group.of_requests(self.last_order + 1, can_forward,
    self.driver.options)
  self.driver:wants_flush()
  return self.group
end

--- Takes requests of a client, whose ids follow one another, into the group of
-- this turn, or begins one: all of them or, false, none. See add_requests of
-- @{raft.node.group}.
function M.join_requests(self, requests, count, bytes, can_forward, ...)
  local group = self.group
  if group and group:add_requests(requests, count, bytes, can_forward, ...) then
    return true
  end
  group = new_group(self, can_forward)
  if not group then return false end
  if group:add_requests(requests, count, bytes, can_forward, ...) then
    return true
  end
  self.group = false  -- none is empty
  return false
end

--- Takes a request of a client into the group of this turn, or begins one.
-- @param answer function(err, bytes, nil, id, #request); where the request goes
--   alone after all, function(err, bytes, waiter), with the id in that
-- @return false where that is not possible: then there is `submit`
function M.join_request(self, request, can_forward, answer, id)
  local group = self.group
  if group and group:add_request(request, can_forward, answer, id) then
    return true
  end
  group = new_group(self, can_forward)
  return group ~= nil and group:add_request(request, can_forward, answer, id)
end

--- Appends the group of this turn, if there is one. What the core does not
-- take goes into the outbox.
function M.append_group(self)
  local group, driver = self.group, self.driver
  if not group then return end
  self.group = false
  self.open_count = self.open_count + group.count
  self.last_order = self.last_order + group.count
  group.deadline = group.timeout and driver:now() + group.timeout
  self:note_deadline(group.deadline)
  local index = self.outbox:append_group(group)
  if index then return self.epochs:add_group(group, index, driver.term) end
  self.outbox:put_back(group:waiters(driver.node))
end

--- The group that waits for the entry at `index` next, if it does not stand
-- behind others; or nil. Whether what is there is its own the terms tell.
function M.group_at(self, index)
  return self.epochs:group_at(index)
end

--- The next ones of this group were applied, with what @{raft.machine} says.
function M.applied_group(self, group, slice)
  local driver = self.driver
  self.open_count = self.open_count - slice.count
  if group.is_session then
    group:applied_requests(slice)
  else
    driver:defer(group:applied(slice, function(err) driver:report(err) end))
  end
  driver:acknowledge(group:next_index() - 1)
  if group.next > group.count then self.epochs:group_done() end
end

--- The next request of this group was applied: true, result, why; or false,
-- error.
function M.applied_request(self, group, ok, value, why)
  self.open_count = self.open_count - 1
  self.driver:acknowledge(group:next_index())
  group:applied_request(ok, value, why)
  if group.next > group.count then self.epochs:group_done() end
end

return M
