--- What a stream of a simulated loop is to write, and what it owes: requests,
-- each of which holds the loop until its callback has run. For
-- raft.sim.stream.

local M = {}

--- What a handle has for it; set at birth.
-- @param on_fed called with the handle among what is pending, after `feed`
function M.prepare(handle, on_fed)
  handle.on_fed = on_fed
  handle.is_fed = false           -- will that happen?
  handle.queue = {}               -- write requests, from `head` to `tail`
  handle.head = 1
  handle.tail = 0
  handle.queue_bytes = 0
  handle.completed = {}           -- requests whose callbacks are due
  handle.shutdown_request = false
  handle.is_awaiting_room = false -- does poll look for room to write?
end

local Request = { __name = "raft.sim.request" }
Request.__index = Request

function Request:__tostring()
  return ("uv_%s_t: 1"):format(self.kind)
end

local function new_request(kind, bytes, callback, is_ours)
  return setmetatable({ kind = kind, bytes = bytes, at = 1, error = nil,
    callback = callback, is_ours = is_ours }, Request)
end

--- Something under way, which holds the loop.
function M.request(handle, kind, callback, bytes)
  handle.loop.requests = handle.loop.requests + 1
  return new_request(kind, bytes, callback, false)
end

--- A write that no process has asked for.
function M.own_request(bytes)
  return new_request("write", bytes, false, true)
end

--- It has ended, with this error or none: calls back.
function M.answer(handle, request, err)
  handle.loop.requests = handle.loop.requests - 1
  if request.callback then handle.loop:call(request.callback, err) end
end

--- Comes back to this handle among what is pending.
function M.feed(handle)
  if handle.is_fed then return end
  handle.is_fed = true
  handle.loop:feed(handle.on_fed, handle)
end

function M.is_empty(handle)
  return handle.head > handle.tail
end

-- The first of the queue has ended; its callback comes later.
local function complete(handle, request)
  handle.queue[handle.head] = nil
  handle.head = handle.head + 1
  handle.completed[#handle.completed + 1] = request
end

--- Hands the first of the queue to the system.
function M.write_some(handle)
  local request = handle.queue[handle.head]
  if not request then return end
  local taken, err = handle.socket:send(request.bytes, request.at)
  if taken then
    request.at = request.at + taken
    handle.queue_bytes = handle.queue_bytes - taken
    err = request.at <= #request.bytes and "EAGAIN" or nil
  end
  handle.is_awaiting_room = err == "EAGAIN"
  if err == "EAGAIN" then return end
  request.error = err
  complete(handle, request)
  M.feed(handle)
end

--- Calls back for those that have ended. What failed counts as queued so long.
function M.run_completed(handle)
  local list = handle.completed
  if #list == 0 then return end
  handle.completed = {}
  for _, request in ipairs(list) do
    if request.error then
      handle.queue_bytes = handle.queue_bytes - #request.bytes + request.at - 1
    end
    if not request.is_ours then M.answer(handle, request, request.error) end
  end
end

--- The queue is empty: a shutdown that waits for that may go on.
function M.drain(handle)
  handle.is_awaiting_room = false
  local request = handle.shutdown_request
  if not request then return end
  handle.shutdown_request = false
  local err = "ECANCELED"
  if handle.socket then err = handle.socket:shutdown() end
  M.answer(handle, request, err)
end

--- Nothing of the queue will be written.
function M.cancel(handle)
  while not M.is_empty(handle) do
    local request = handle.queue[handle.head]
    request.error = "ECANCELED"
    complete(handle, request)
  end
end

--- Puts a write into the queue, and begins it where nothing waits before it.
function M.push(handle, request)
  local is_first = handle.queue_bytes == 0
  handle.tail = handle.tail + 1
  handle.queue[handle.tail] = request
  handle.queue_bytes = handle.queue_bytes + #request.bytes
  if handle.connect_request then return end
  if is_first then
    M.write_some(handle)
  else
    handle.is_awaiting_room = true
  end
end

return M
