--- The answers to a visitor of @{raft.node.gateway}: what it may have open, and
-- how its requests are answered, one by one or several in a row.
local answers = require "raft.answers"
local errors = require "raft.errors"
local frames = require "raft.client.frames"
local limits = require "raft.client.limits"

local M = {}

local RESULT <const> = frames.KINDS.result

-------------------------------------------------------------- what is open --

local function fits(visitor, count, sum)
  return visitor.open_count == 0 and count == 1
    or visitor.open_count + count <= limits.OPEN_MAX
    and visitor.open_bytes + sum <= limits.OPEN_BYTES_MAX
end

--- A request is there; false when the client has too many.
-- @param waiter its waiter, or true
function M.begin(visitor, id, waiter, bytes)
  if visitor.open[id] or not fits(visitor, 1, bytes) then return false end
  visitor.open[id] = waiter
  visitor.open_count = visitor.open_count + 1
  visitor.open_bytes = visitor.open_bytes + bytes
  return true
end

-- So many bytes of requests that follow one another are not open any more.
local function forget(visitor, first, requests, from, count)
  local open, bytes = visitor.open, 0
  for i = 0, count - 1 do
    open[first + i] = nil
    bytes = bytes + #requests[from + i]
  end
  visitor.open_count = visitor.open_count - count
  visitor.open_bytes = visitor.open_bytes - bytes
end

--- Requests with ids from the first one on are there: what they weigh, or false
-- when one of them cannot be begun; then none was.
function M.begin_several(visitor, first, requests, count)
  local open, bytes = visitor.open, 0
  for i = 1, count do
    if open[first + i - 1] then return false end
    bytes = bytes + #requests[i]
  end
  if not fits(visitor, count, bytes) then return false end
  for id = first, first + count - 1 do open[id] = true end
  visitor.open_count = visitor.open_count + count
  visitor.open_bytes = visitor.open_bytes + bytes
  return bytes
end

--- It was not to be.
function M.forget_several(visitor, first, requests, count)
  forget(visitor, first, requests, 1, count)
end

-------------------------------------------------------------------- answers --

local function has_output(gateway)
  if gateway.has_output then return end
  gateway.has_output = true
  gateway.driver:wants_flush()
end

--- Writes a result, at the end of this turn.
function M.write(gateway, visitor, id, index, bytes)
  visitor.writer:frame(RESULT, id, index, bytes)
  has_output(gateway)
end

-- Larger than a client takes, it would end the connection, and be asked for
-- again.
local function checked(bytes)
  local max = limits.ANSWER_BYTES_MAX
  if #bytes <= max then return bytes end
  return answers.encode(false, errors.new("too_large", ("the answer has %d "
    .. "bytes, and a client takes %d"):format(#bytes, max),
    { size = #bytes, max = max, outcome = "unknown" }))
end

--- Answers a request, if it is still open.
-- @param size of the request
-- @param bytes as @{raft.answers} has them
function M.finish(gateway, visitor, id, size, bytes)
  local open = visitor.open
  if not open[id] then return end
  open[id] = nil
  visitor.open_count = visitor.open_count - 1
  visitor.open_bytes = visitor.open_bytes - size
  M.write(gateway, visitor, id, gateway.driver.applied, checked(bytes))
end

--- What answers a request that went alone, or, without a waiter, in a group.
function M.command(gateway, visitor)
  return function(err, bytes, waiter, id, size)
    if err then bytes = answers.encode(false, err) end
    if waiter then id, size = waiter.id, waiter.size end
    M.finish(gateway, visitor, id, size, bytes)
  end
end

--- What answers several of a group at once: see add_requests of
-- @{raft.node.group}. Either all of them are open or, where the visitor has
-- gone, none.
function M.row(gateway, visitor)
  return function(slice, from, last, first, requests, at)
    if not visitor.open[first] then return end
    forget(visitor, first, requests, at, last - from + 1)
    local writer, index = visitor.writer, gateway.driver.applied
    local before = first - from
    answers.each_of(slice, from, last, function(i, stop)
      return writer:answers(before + i, index, slice.values, slice.whys, i,
        stop, limits.ANSWER_BYTES_MAX)
    end, function(i, bytes)
      writer:frame(RESULT, before + i, index, checked(bytes))
    end)
    has_output(gateway)
  end
end

--- What answers a query, once the state is fresh enough for it, or an error
-- says why not.
function M.query(gateway, visitor)
  return function(err, waiter)
    if not visitor.open[waiter.id] then return end  -- nobody would hear it
    local value
    if not err then
      value, err = gateway.driver.machine:query(waiter.request)
    end
    M.finish(gateway, visitor, waiter.id, waiter.size,
      answers.encode(err == nil, err or value))
  end
end

return M
