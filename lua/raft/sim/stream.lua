--- Streams of a simulated loop: what libuv does between its callbacks and a
-- socket. Callbacks come in the phases and in the order in which libuv 1.44
-- has them on Linux:
--
--   poll      connections, reads, the results of connects, writes that had to
--             wait
--   pending   writes that the system took at once, and shutdowns
--   closing   what a closed stream still owes: ECANCELED, or the result
--
-- For raft.sim.tcp, which gives a handle its socket.
local Handles = require "raft.sim.handles"
local queue = require "raft.sim.stream.queue"

local M = {}

local READS_MAX <const> = 32     -- chunks of one stream in one poll
local READ_BYTES <const> = 65536 -- of a chunk that fills the buffer

local run_fed  -- below

--- What a stream handle has; set at birth.
function M.prepare(handle)
  handle.socket = false           -- of the kernel; false: there is none
  handle.delayed_error = false    -- of bind, told by what comes next
  handle.can_read = false
  handle.can_write = false
  handle.on_read = false          -- callback; false: it does not read
  handle.on_connection = false    -- callback of a listening one
  handle.accepted = false         -- a connection that is to be accepted
  handle.connect_request = false
  handle.is_planned = false       -- will poll come to us?
  queue.prepare(handle, run_fed)
end

--------------------------------------------------------------------- writing --

-- A frame that was held back goes out now, if its connection still lives.
local function put_later(handle, socket, bytes)
  if handle.socket ~= socket or not handle.can_write then return end
  queue.push(handle, queue.own_request(bytes))
  M.poke(handle)
end

-- What is left of the bytes when the network has looked at their frames.
local function filtered(handle, bytes)
  local socket = handle.socket
  local way = socket.out
  if not way or not way.pair or not way.pair.is_watched then return bytes end
  return socket.host.network:filter(way.pair, bytes, function(frame)
    put_later(handle, socket, frame)
  end)
end

--- Writes: a request, or nil and the error's name.
function M.write(handle, bytes, callback)
  if not handle.socket then return nil, "EBADF" end
  if not handle.can_write then return nil, "EPIPE" end
  local request = queue.request(handle, "write", callback,
    filtered(handle, bytes))
  queue.push(handle, request)
  M.poke(handle)
  return request
end

--- Writes what the system takes at once: how many bytes; or nil, the error.
-- What the adversary has changed is taken as a whole.
function M.try_write(handle, bytes)
  if handle.connect_request or handle.queue_bytes > 0 then
    return nil, "EAGAIN"
  end
  if not handle.socket then return nil, "EBADF" end
  if not handle.can_write then return nil, "EPIPE" end
  local passed = filtered(handle, bytes)
  if passed == bytes then return handle.socket:send(bytes, 1) end
  if passed ~= "" then put_later(handle, handle.socket, passed) end
  return #bytes
end

--- Says that nothing more will be written, once all is: a request.
function M.shutdown(handle, callback)
  if not handle.can_write or handle.shutdown_request
    or handle.state ~= "open" then
    return nil, "ENOTCONN"
  end
  handle.shutdown_request = queue.request(handle, "shutdown", callback)
  handle.can_write = false
  if queue.is_empty(handle) then queue.feed(handle) end
  return handle.shutdown_request
end

--------------------------------------------------------------------- reading --

function M.read_start(handle, callback)
  if handle.state ~= "open" then return nil, "EINVAL" end
  if handle.on_read then return nil, "EALREADY" end
  if not handle.can_read then return nil, "ENOTCONN" end
  handle.on_read = callback
  Handles.activate(handle, true)
  M.poke(handle)
  return 0
end

function M.read_stop(handle)
  if handle.on_read then
    handle.on_read = false
    Handles.activate(handle, false)
  end
  return 0
end

-- At the end luv calls back with nothing at all.
local function read_end(handle)
  local callback = handle.on_read
  M.read_stop(handle)
  handle.loop:call(callback)
end

local function read_error(handle, err)
  handle.can_read, handle.can_write = false, false
  handle.loop:call(handle.on_read, err)
  M.read_stop(handle)
end

-- Reads what is there. True when there may be an end behind it.
local function read_all(handle)
  for _ = 1, READS_MAX do
    if not handle.on_read then return false end
    local bytes, err = handle.socket:read()
    if err == "EAGAIN" then return false end
    if err then return read_error(handle, err) end
    if bytes == "" then return read_end(handle) end
    handle.loop:call(handle.on_read, nil, bytes)
    if #bytes < READ_BYTES then return true end
  end
  return false
end

------------------------------------------------------------------- listening --

--- Takes the connection that waits: nil, or the error.
function M.accept(handle, client)
  local socket = handle.accepted
  if not socket then return "EAGAIN" end
  if client.socket then return "EBUSY" end
  handle.accepted = false
  M.attach(client, socket)
  client.can_read, client.can_write = true, true
  M.poke(handle)
end

local function take_connections(handle)
  while handle.state == "open" and not handle.accepted do
    local socket = table.remove(handle.socket.backlog, 1)
    if not socket then return end
    handle.accepted = socket
    handle.loop:call(handle.on_connection, nil)
  end
end

------------------------------------------------------------------ connecting --

-- A connect has ended, well or not.
local function end_connect(handle)
  local socket, request = handle.socket, handle.connect_request
  local err = handle.delayed_error
  if not err then
    if socket.state == "connecting" then return end
    err = socket.error
    socket.error = false
  end
  handle.connect_request, handle.delayed_error = false, false
  handle.is_awaiting_room = not err and not queue.is_empty(handle)
  queue.answer(handle, request, err or nil)
  if handle.state ~= "open" or not err then return end
  queue.cancel(handle)
  queue.run_completed(handle)
end

------------------------------------------------------------------ the events --

-- What libuv does with a stream that is ready.
local function work(handle, can_read, can_write, is_hung_up)
  if handle.connect_request then return end_connect(handle) end
  local is_partial = can_read and handle.on_read and read_all(handle)
  if handle.state ~= "open" then return end
  if is_hung_up and is_partial and handle.on_read then read_end(handle) end
  if handle.state ~= "open" or not can_write then return end
  queue.write_some(handle)
  queue.run_completed(handle)
  if queue.is_empty(handle) then queue.drain(handle) end
end

-- What was pending: writes that have ended, a shutdown.
function run_fed(handle)
  handle.is_fed = false
  if handle.state == "open" then work(handle, false, true, false) end
end

-- What poll finds: can it be read, can it be written to, is it at its end?
-- Only what was asked for counts, and trouble.
local function events(handle)
  local socket = handle.socket
  local wants_read = handle.on_read
    or handle.on_connection and not handle.accepted
  local wants_write = handle.connect_request or handle.is_awaiting_room
  if not socket or not (wants_read or wants_write) then return false end
  local is_hung_up = socket:is_hung_up()
  local can_read = is_hung_up or wants_read and socket:is_readable()
  local can_write = is_hung_up or wants_write and socket:is_writable()
  return can_read or can_write, can_read, can_write, is_hung_up
end

local function poll(handle)
  handle.is_planned = false
  local is_ready, can_read, can_write, is_hung_up = events(handle)
  if not is_ready then return end
  if handle.on_connection then
    take_connections(handle)
  else
    work(handle, can_read, can_write, is_hung_up)
  end
  M.poke(handle)
end

--- Something has changed: does poll have to come to this handle?
function M.poke(handle)
  if handle.is_planned or not events(handle) then return end
  handle.is_planned = true
  handle.loop:ready(poll, handle)
end

--------------------------------------------------------------- begin and end --

--- This is the handle's socket from now on.
function M.attach(handle, socket)
  handle.socket = socket
  socket.handle, socket.on_poke = handle, M.poke
end

--- The socket is closed at once, ...
function M.close(handle)
  M.read_stop(handle)
  Handles.activate(handle, false)
  handle.can_read, handle.can_write = false, false
  if handle.accepted then handle.accepted:close() end
  if handle.socket then handle.socket:close() end
  handle.socket, handle.accepted = false, false
end

--- ... and what it owes is answered before the callback of close.
function M.finish(handle)
  local request = handle.connect_request
  if request then
    handle.connect_request = false
    queue.answer(handle, request, "ECANCELED")
  end
  queue.cancel(handle)
  queue.run_completed(handle)
  queue.drain(handle)
end

return M
