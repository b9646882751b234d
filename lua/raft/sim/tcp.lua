--- TCP handles of a simulated loop: the calls of luv, their answers and what
-- they raise. What happens between the calls is in raft.sim.stream.
local Handles = require "raft.sim.handles"
local answers = require "raft.sim.answers"
local connect = require "raft.sim.network.connect"
local lookup = require "raft.sim.lookup"
local queue = require "raft.sim.stream.queue"
local stream = require "raft.sim.stream"

local M = {}

local check = answers.check
local answer = answers.answer

local tcp = {}  -- name -> method, uv.tcp_<name> too

------------------------------------------------------------------- addresses --

local function check_ip(ip, port)
  local text = tostring(ip)
  if lookup.family(text) then return end
  error(("Invalid IP address or port [%s:%d]"):format(text, port), 0)
end

local function name_of(ip, port)
  return { ip = ip, port = port, family = lookup.family(ip) }
end

-- A socket comes with the first call that needs one.
local function attach(handle)
  if handle.socket then return end
  stream.attach(handle, handle.host:socket(handle.loop))
end

local function is_bound(handle)
  return handle.socket and handle.socket.state ~= "fresh"
end

function tcp.bind(handle, ip, port)
  check("tcp_bind", 2, "string", ip)
  check("tcp_bind", 3, "number", port)
  check_ip(ip, port)
  local host = handle.host
  if handle.state ~= "open" or is_bound(handle) then return answer("EINVAL") end
  if not host:is_own(ip) then return answer("EADDRNOTAVAIL") end
  attach(handle)
  if host:is_taken(port) then
    handle.delayed_error = "EADDRINUSE"
  else
    host:bind(handle.socket, ip, port)
  end
  return 0
end

function tcp.getsockname(handle)
  local socket = handle.socket
  if handle.delayed_error then return answer(handle.delayed_error) end
  if not socket then return answer("EBADF") end
  if not socket.ip then return name_of("0.0.0.0", 0) end
  return name_of(socket.ip, socket.port)
end

function tcp.getpeername(handle)
  local socket = handle.socket
  if handle.delayed_error then return answer(handle.delayed_error) end
  if not socket then return answer("EBADF") end
  if socket.state ~= "open" then return answer("ENOTCONN") end
  return name_of(socket.peer_ip, socket.peer_port)
end

function tcp.nodelay() return 0 end
function tcp.keepalive() return 0 end
function tcp.simultaneous_accepts() return 0 end

--- Ends the connection by a reset.
function tcp.close_reset(handle, callback)
  if handle.shutdown_request then return answer("EINVAL") end
  if handle.socket then handle.socket:abort() end
  handle:close(callback)
  return 0
end

--------------------------------------------------------------------- connect --

function tcp.connect(handle, ip, port, callback)
  check("tcp_connect", 2, "string", ip)
  check("tcp_connect", 3, "number", port)
  check_ip(ip, port)
  answers.check_callback("tcp_connect", 4, callback, true)
  if handle.connect_request then return answer("EALREADY") end
  if handle.state ~= "open" then return answer("EBADF") end
  attach(handle)
  local socket = handle.socket
  if socket.state ~= "fresh" and socket.state ~= "bound" then
    return answer("EISCONN")
  end
  handle.can_read, handle.can_write = true, true
  handle.connect_request = queue.request(handle, "connect", callback)
  if handle.delayed_error then
    queue.feed(handle)
  else
    connect.begin(handle.host, socket, ip, port)
  end
  return handle.connect_request
end

function tcp.stop_all(handle) stream.close(handle) end
function tcp.finish(handle) stream.finish(handle) end

------------------------------------------------------------------ any stream --

local streams = {}  -- name -> method, uv.<name> too

function streams.listen(handle, backlog, callback)
  check("listen", 2, "number", backlog)
  answers.check_callback("listen", 3, callback)
  if handle.state ~= "open" then return answer("EINVAL") end
  if handle.delayed_error then return answer(handle.delayed_error) end
  local host = handle.host
  attach(handle)
  local socket = handle.socket
  if socket.state == "fresh" then host:bind(socket, "0.0.0.0", 0) end
  if socket.state ~= "bound" and socket.state ~= "listening" then
    return answer("EINVAL")
  end
  local err = host:listen(socket, backlog)
  if err then return answer(err) end
  handle.on_connection = callback
  Handles.activate(handle, true)
  return 0
end

function streams.accept(handle, client)
  answers.check_stream("accept", client, 2)
  return answer(stream.accept(handle, client))
end

function streams.read_start(handle, callback)
  answers.check_callback("read_start", 2, callback)
  return answer(stream.read_start(handle, callback))
end

function streams.read_stop(handle)
  stream.read_stop(handle)
  return 0
end

function streams.write(handle, data, callback)
  local bytes = answers.bytes("write", data)
  answers.check_callback("write", 3, callback, true)
  local request, err = stream.write(handle, bytes, callback)
  if request then return request end
  return answer(err)
end

function streams.try_write(handle, data)
  local taken, err = stream.try_write(handle, answers.bytes("try_write", data))
  if taken then return taken end
  return answer(err)
end

function streams.shutdown(handle, callback)
  answers.check_callback("shutdown", 2, callback, true)
  local request, err = stream.shutdown(handle, callback)
  if request then return request end
  return answer(err)
end

function streams.is_readable(handle) return handle.can_read end
function streams.is_writable(handle) return handle.can_write end

local function queue_size(handle) return handle.queue_bytes end

--------------------------------------------------------------------- install --

Handles.kind("tcp", "tcp", tcp)
for name, method in pairs(streams) do
  Handles.method("tcp", name, method)
end
Handles.method("tcp", "get_write_queue_size", queue_size)

--- Puts the calls into the uv of a loop whose machine this is.
function M.install(loop, host)
  local uv, handles = loop.uv, loop.handles
  function uv.new_tcp()
    local handle = handles:make("tcp")
    handle.host = host
    stream.prepare(handle)
    return handle
  end
  for name, method in pairs(streams) do
    uv[name] = function(handle, ...)
      answers.check_stream(name, handle, 1)
      return method(handle, ...)
    end
  end
  function uv.stream_get_write_queue_size(handle)
    answers.check_stream("stream_get_write_queue_size", handle, 1)
    return queue_size(handle)
  end
  lookup.install(loop, host.network)
end

return M
