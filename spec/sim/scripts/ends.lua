--- Connections for scripts: see loop.lua. Everything is on loopback and in one
-- process, so that a kernel has done its part before a call returns, and no
-- line depends on time.

local M = {}

local IP <const> = "127.0.0.1"
M.IP = IP

-- A server that hands each connection to on_connection(stream); its port.
function M.serve(uv, on_connection, backlog)
  local server = uv.new_tcp()
  assert(server:bind(IP, 0))
  assert(server:listen(backlog or 16, function(why)
    assert(not why, why)
    local stream = uv.new_tcp()
    assert(server:accept(stream))
    on_connection(stream)
  end))
  return server, server:getsockname().port
end

-- The two ends of one connection: near, far.
function M.pair(uv)
  local near, far = uv.new_tcp(), false
  local server, port
  server, port = M.serve(uv, function(stream)
    far = stream
    server:close()
  end)
  assert(near:connect(IP, port, function(why) assert(not why, why) end))
  uv.run()
  return near, far
end

-- Says where in a turn we are, for so many turns, which do not sleep.
function M.turns(uv, say, count)
  local prepare, check, idle = uv.new_prepare(), uv.new_check(), uv.new_idle()
  idle:start(function() end)
  prepare:start(function() say("-- poll") end)
  check:start(function()
    count = count - 1
    say("-- check")
    if count > 0 then return end
    idle:close()
    prepare:close()
    check:close()
  end)
end

-- Says everything that happens to this stream.
function M.watch(say, name, stream)
  assert(stream:read_start(function(...)
    local why, chunk = ...
    say(name, "reads", select("#", ...), why, chunk and #chunk,
      chunk and chunk:sub(1, 8))
    if not chunk then stream:close(function() say(name, "closed") end) end
  end))
end

function M.noting(say, ...)
  local words = table.concat({ ... }, " ")
  return function(...) say(words, select("#", ...), ...) end
end

return M
