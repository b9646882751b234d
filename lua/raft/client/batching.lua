--- The batches of a client (raft.client.batch), from the first call of a turn
-- to the last answer: what @{raft.client.requests} does with them.
local Batch = require "raft.client.batch"
local limits = require "raft.client.limits"
local sending = require "raft.client.sending"

local M = {}

-- The connection, where a command can be sent at once: nothing is before it and
-- nothing in its way.
local function clear_way(requests)
  local is_clear = requests.queue.count == 0 and not requests.resume_at
    and requests.session.id
  return is_clear and requests.client.search:usable() or nil
end

--- Takes a command with a callback, or false for nobody, into the batch of this
-- turn, if its options mean the same; or into a new one, which the next ones
-- may join: batch:add.
-- @param timeout ms or false; `given` are the options as the caller gave them
-- @return false where that is not possible: then there is `add`
function M.begin(requests, timeout, given, command, callback)
  local before = requests.batch
  if before and before.timeout == timeout
    and before:add(command, before.given, callback) then
    return true
  end
  M.send(requests)
  local connection = clear_way(requests)
  if not connection then return false end
  local batch = Batch.new(requests, timeout, given,
    connection.head.max_command_bytes or math.huge)
  if not batch:add(command, given, callback) then return false end
  requests.batch = batch
  requests.client:changed()
  return true
end

-- It goes as requests like any other.
local function disband(requests, batch)
  for _, request in ipairs((batch:requests())) do
    if not sending.at_once(requests, request) then
      requests.queue:push(request)
    end
  end
end

-- The batch of this turn, which is complete, or nil.
local function take(requests)
  local batch = requests.batch
  if not batch then return nil end
  requests.batch = false
  batch.deadline = batch.timeout and requests.client:now() + batch.timeout
  requests:note_deadline(batch.deadline)
  return batch
end

--- Sends the batch of this turn, if there is one.
function M.send(requests)
  local batch = take(requests)
  if not batch then return end
  local connection = clear_way(requests)
  if not connection or batch.count == 1 then
    return disband(requests, batch)
  end
  local head, id = connection.head, requests.last_id + 1
  local number = head.leader ~= head.id and limits.MAY_FORWARD or 0
  local floor = requests.session:place_batch(batch)
  batch.first_id, requests.last_id = id, id + batch.count - 1
  requests.batches:push(batch)
  requests.is_used = true
  connection.writer:commands(id, number, batch.session, batch.sequence, floor,
    batch.commands, batch.count)
end

-- Requests that are under way take the place of one.
local function take_apart(requests, batch)
  requests.batches:filter(function(other) return other ~= batch end)
  local list, id = batch:requests()
  requests.session:replace(batch, list)
  for i, request in ipairs(list) do
    requests.flying[id + i - 1] = request
    requests.flying_count = requests.flying_count + 1
    requests.flying_bytes = requests.flying_bytes + sending.size(request)
  end
end

local function all_of(requests)
  local all = {}
  requests.batches:each(function(batch) all[#all + 1] = batch end)
  return all
end

--- The request that has this id on the connection, if it is in a batch, which
-- is none any more then; or nil.
function M.find(requests, id)
  for _, batch in ipairs(all_of(requests)) do
    if batch:next_id() <= id and id <= batch:last_id() then
      take_apart(requests, batch)
      return requests.flying[id]
    end
  end
end

--- Results have come, of requests whose ids follow one another.
-- @param index they are covered by
function M.results(requests, first, count, index, values, whys)
  local at = 1
  while at <= count do
    local batch, id = requests.batches:peek(), first + at - 1
    if batch and batch:next_id() == id then
      local some = math.min(count - at, batch.count - batch.next) + 1
      requests:acknowledge(index)
      requests.client:defer(batch:answered(some, values, whys, at))
      if not batch.answer then requests.batches:pop() end
      at = at + some
    else
      requests:result(id, index, true, values[at], whys[at])
      at = at + 1
    end
  end
end

--- Takes those apart whose time is over; notes the deadlines of the others.
function M.sweep(requests, now)
  for _, batch in ipairs(all_of(requests)) do
    if batch.deadline and batch.deadline <= now then
      take_apart(requests, batch)
    else
      requests:note_deadline(batch.deadline)
    end
  end
end

--- There are none any more: what was sent is under way, and the rest waits.
function M.end_all(requests)
  local batch = take(requests)
  for _, other in ipairs(all_of(requests)) do take_apart(requests, other) end
  if not batch then return end
  for _, request in ipairs((batch:requests())) do
    requests.queue:push(request)
  end
  requests.is_sorted = false
end

return M
