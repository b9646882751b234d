--- The luv calls of the transport, each checked, and the count of what is open.
-- Every callback is wrapped by the owner's guard, so no error reaches luv.
-- Failures come back as nil, text, name ("EADDRINUSE"). A handle is closed
-- once, however often it is asked for. Nothing else in the transport touches
-- uv.

local Sockets = { __name = "raft.sockets" }
Sockets.__index = Sockets

local M = {}

local RANDOM_BYTES <const> = 4
local AT_ONCE_BYTES <const> = 64 << 10  -- more is not worth a second copy

--- Sockets and timers of one transport.
-- @param uv luv, or what stands in for it
-- @param guard function(fn) -> fn that never raises
function M.new(uv, guard)
  local sockets = setmetatable({
    uv = uv,
    guard = guard,
    open_count = 0,      -- handles made and not yet closed for good
    on_empty = {},       -- functions called when the count comes to 0
    on_closed = false,   -- luv's callback of every close
  }, Sockets)
  sockets.on_closed = guard(function() sockets:forget() end)
  return sockets
end

-- luv raises for an address it cannot read: that too is an answer.
local function ask(fn, ...)
  local ok, result, text, name = pcall(fn, ...)
  if not ok then return nil, tostring(result), "EINVAL" end
  if not result then return nil, text, name end
  return result
end

------------------------------------------------------------------ handles --

function Sockets:forget()
  self.open_count = self.open_count - 1
  assert(self.open_count >= 0, "a handle was closed twice")
  if self.open_count > 0 then return end
  local on_empty = self.on_empty
  self.on_empty = {}
  for _, fn in ipairs(on_empty) do fn() end
end

function Sockets:keep(handle, text, name)
  if not handle then return nil, text, name end
  self.open_count = self.open_count + 1
  return handle
end

--- Closes a handle; false and a closing one are left alone.
function Sockets:close(handle)
  if not handle or self.uv.is_closing(handle) then return end
  self.uv.close(handle, self.on_closed)
end

--- Calls fn, from the loop, when no handle is open any more.
function Sockets:when_empty(fn)
  self.on_empty[#self.on_empty + 1] = fn
  if self.open_count > 0 then return end
  -- Nothing will close: a timer of no delay brings us into the loop.
  local timer = self:timer()
  self:start(timer, 0, 0, function() self:close(timer) end)
end

------------------------------------------------------------------- timers --

--- A timer; making one only fails when memory is out.
function Sockets:timer()
  return self:keep(assert(self.uv.new_timer()))
end

--- Starts a timer anew.
-- @param repeat_ms 0: it fires once
function Sockets:start(timer, delay_ms, repeat_ms, fn)
  local delay = math.max(0, delay_ms // 1 | 0)
  assert(self.uv.timer_start(timer, delay, repeat_ms, self.guard(fn)))
end

function Sockets:stop(timer)
  assert(self.uv.timer_stop(timer))
end

--- The time of this loop turn, in ms. Good enough for log lines.
function Sockets:now()
  return self.uv.now()
end

--- A number of [0, 1). Not for secrets.
function Sockets:random()
  local bytes = self.uv.random(RANDOM_BYTES)
  if type(bytes) ~= "string" then return 0.5 end  -- no entropy: no jitter
  return string.unpack("<I4", bytes) / 2 ^ 32
end

------------------------------------------------------------------- streams --

--- A new TCP handle; no socket of the system is behind it yet.
function Sockets:tcp()
  return self:keep(ask(self.uv.new_tcp))
end

--- The addresses of a host name, at once. For start-up: it blocks.
function Sockets:resolve_now(host)
  local list, text, name = ask(self.uv.getaddrinfo, host, nil,
    { socktype = "stream" })
  if not list then return nil, text, name end
  return list[1].addr
end

--- The addresses of a host name: done(list or false, error name).
function Sockets:resolve(host, done)
  return ask(self.uv.getaddrinfo, host, nil, { socktype = "stream" },
    self.guard(function(name, list)
      if name or not list[1] then return done(false, name or "ENOENT") end
      done(list)
    end))
end

--- Binds and listens; EADDRINUSE comes from the second step.
-- @param on_connection function(error name or nil)
function Sockets:listen(stream, ip, port, backlog, on_connection)
  local ok, text, name = ask(self.uv.tcp_bind, stream, ip, port)
  if not ok then return nil, text, name end
  return ask(self.uv.listen, stream, backlog, self.guard(on_connection))
end

--- Takes the connection that waits at a listening stream.
function Sockets:accept(listening)
  local stream, text, name = self:tcp()
  if not stream then return nil, text, name end
  local ok
  ok, text, name = ask(self.uv.accept, listening, stream)
  if ok then return stream end
  self:close(stream)
  return nil, text, name
end

--- Connects: done(error name or nil). To give up, close the stream.
function Sockets:connect(stream, ip, port, done)
  return ask(self.uv.tcp_connect, stream, ip, port, self.guard(done))
end

--- Small messages leave at once.
function Sockets:nodelay(stream)
  return ask(self.uv.tcp_nodelay, stream, true)
end

--- Delivers what arrives: on_chunk(error name or nil, chunk or nil at the end).
function Sockets:read(stream, on_chunk)
  return ask(self.uv.read_start, stream, self.guard(on_chunk))
end

--- Writes bytes.
-- @param on_written a callback that the guard has wrapped already: one serves
--   all writes of a link
function Sockets:write(stream, bytes, on_written)
  return self.uv.write(stream, bytes, on_written)
end

--- Writes bytes, at once as far as the system takes them: then the loop has
-- nothing to do for them. Order is kept: it takes none while others wait.
-- @param on_written as in write, but only called where something had to wait:
--   for who wants to hear of failures only
function Sockets:send(stream, bytes, on_written)
  if #bytes <= AT_ONCE_BYTES then
    local count = self.uv.try_write(stream, bytes)
    if count == #bytes then return true end
    if count then bytes = bytes:sub(count + 1) end
  end
  return self.uv.write(stream, bytes, on_written)
end

--- Bytes that wait for the system to take them.
function Sockets:queued(stream)
  return self.uv.stream_get_write_queue_size(stream)
end

--- Host and port of this end, or of the other one.
function Sockets:own_name(stream)
  local name, text, code = ask(self.uv.tcp_getsockname, stream)
  if not name then return nil, text, code end
  return name.ip, name.port
end

function Sockets:peer_name(stream)
  local name, text, code = ask(self.uv.tcp_getpeername, stream)
  if not name then return nil, text, code end
  return name.ip, name.port
end

return M
