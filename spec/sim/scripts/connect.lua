--- How connections begin and who may have them, told in lines: see loop.lua.
local ends = require "spec.sim.scripts.ends"

local scripts = {}

local IP <const> = ends.IP
local serve = ends.serve
local pair = ends.pair
local turns = ends.turns
local watch = ends.watch
local noting = ends.noting

--------------------------------------------------------------------- connect --

function scripts.connect_and_accept_in_which_phase(uv, say)
  turns(uv, say, 3)
  local near = uv.new_tcp()
  local server, port
  server, port = serve(uv, function(far)
    say("accepted")
    far:close()
    server:close()
  end)
  say("connect", near:connect(IP, port, function(...)
    say("connected", select("#", ...), ...)
    near:close()
  end))
  uv.run()
end

function scripts.connect_refused(uv, say)
  local server, port = serve(uv, error)
  server:close()
  uv.run()
  turns(uv, say, 2)
  local near = uv.new_tcp()
  say("connect", near:connect(IP, port, function(...)
    say("connect", select("#", ...), ...)
    say("readable", near:is_readable(), "writable", near:is_writable())
    say("write", near:write("x", noting(say, "written")))
    say("read", near:read_start(noting(say, "read")))
    near:close(function() say("closed") end)
  end))
  uv.run()
end

function scripts.connect_refused_with_writes_waiting(uv, say)
  local server, port = serve(uv, error)
  server:close()
  uv.run()
  local near = uv.new_tcp()
  near:connect(IP, port, noting(say, "connect"))
  say("write", near:write("abc", noting(say, "written 1")))
  say("write", near:write("def", noting(say, "written 2")))
  say("queue", near:get_write_queue_size())
  uv.run()
  say("queue", near:get_write_queue_size())
  near:close()
  uv.run()
end

function scripts.connect_is_given_up(uv, say)
  local server, port = serve(uv, function(far)
    say("accepted")
    watch(say, "far", far)
  end)
  local near = uv.new_tcp()
  near:connect(IP, port, noting(say, "connect"))
  near:write("abc", noting(say, "written"))
  near:shutdown(noting(say, "shut down"))
  near:close(function()
    say("closed")
    server:close()
  end)
  uv.run()
end

function scripts.connect_then_write_at_once(uv, say)
  local server, port
  server, port = serve(uv, function(far)
    say("accepted")
    watch(say, "far", far)
    server:close()
  end)
  turns(uv, say, 4)
  local near = uv.new_tcp()
  near:connect(IP, port, noting(say, "connect"))
  say("try", near:try_write("now"))
  say("write", near:write("abc", noting(say, "written")))
  say("queue", near:get_write_queue_size())
  near:shutdown(function(...)
    say("shut down", select("#", ...), ...)
    say("queue", near:get_write_queue_size())
    near:close()
  end)
  uv.run()
end

function scripts.connect_in_a_turn_that_does_not_sleep(uv, say)
  local near = uv.new_tcp()
  local server, port
  server, port = serve(uv, function(far)
    say("accepted")
    watch(say, "far", far)
    server:close()
  end)
  near:connect(IP, port, function()
    say("connected")
    near:write("abc", noting(say, "written"))
  end)
  for turn = 1, 3 do say("turn", turn, uv.run("nowait")) end
  near:close()
  for turn = 4, 6 do say("turn", turn, uv.run("nowait")) end
end

function scripts.connect_states(uv, say)
  local near, far = pair(uv)
  say("near", near:is_readable(), near:is_writable(), near:is_active())
  say("far", far:is_readable(), far:is_writable(), far:is_active())
  say("listen", near:listen(1, noting(say, "listen")))
  say("accept", near:accept(far))
  say("nodelay", near:nodelay(true), near:keepalive(true, 60))
  local mine, theirs = near:getsockname(), far:getpeername()
  say("names", mine.ip, mine.family, mine.port == theirs.port,
    mine.ip == theirs.ip, near:getpeername().port == far:getsockname().port)
  near:close()
  far:close()
  say("read", near:read_start(noting(say, "read")))
  say("peer", near:getpeername())
end

function scripts.connect_to_every_address(uv, say)
  local server = uv.new_tcp()
  assert(server:bind("0.0.0.0", 0))
  say("bound to", server:getsockname().ip, server:getsockname().family)
  assert(server:listen(1, function()
    local far = uv.new_tcp()
    assert(server:accept(far))
    say("accepted from", far:getpeername().ip, "at", far:getsockname().ip)
    far:close()
    server:close()
  end))
  local near = uv.new_tcp()
  near:connect(IP, server:getsockname().port, function()
    say("connected", near:getsockname().ip, near:getpeername().ip)
    near:close()
  end)
  uv.run()
end

function scripts.connect_version_6(uv, say)
  local server = uv.new_tcp()
  say("bind", server:bind("::1", 0))
  assert(server:listen(1, function()
    local far = uv.new_tcp()
    assert(server:accept(far))
    say("accepted from", far:getpeername().ip, far:getpeername().family)
    far:close()
    server:close()
  end))
  local near = uv.new_tcp()
  near:connect("::1", server:getsockname().port, function()
    say("connected", near:getsockname().ip, near:getpeername().ip)
    near:close()
  end)
  uv.run()
end

---------------------------------------------------------------------- listen --

function scripts.listen_to_a_used_port(uv, say)
  local server, port = serve(uv, error)
  local other = uv.new_tcp()
  say("bind", other:bind(IP, port))
  say("name", other:getsockname())
  say("listen", other:listen(1, noting(say, "listen")))
  say("listen", other:listen(1, noting(say, "listen")))
  other:close()
  server:close()
  uv.run()
  local third = uv.new_tcp()
  say("bind", third:bind(IP, port))
  say("listen", third:listen(1, noting(say, "listen")))
  third:close()
end

function scripts.listen_connects_with_a_used_port(uv, say)
  local server, port = serve(uv, error)
  local other = uv.new_tcp()
  other:bind(IP, port)
  turns(uv, say, 2)
  say("connect", other:connect(IP, port, function(...)
    say("connect", select("#", ...), ...)
    other:close()
    server:close()
  end))
  uv.run()
end

function scripts.listen_states(uv, say)
  local server = uv.new_tcp()
  say("bind", server:bind(IP, 0))
  say("bind", server:bind(IP, 0))
  say("bound", server:getsockname().family, server:getsockname().port > 0)
  say("peer", server:getpeername())
  say("read", server:read_start(noting(say, "read")))
  say("write", server:write("x", noting(say, "written")))
  say("shutdown", server:shutdown(noting(say, "shut down")))
  say("active", server:is_active())
  say("listen", server:listen(1, noting(say, "listen")))
  say("listen", server:listen(1, noting(say, "listen")))
  say("active", server:is_active(), "readable", server:is_readable())
  say("accept", server:accept(server))
  say("write", server:write("x", noting(say, "written")))
  say("connect", server:connect(IP, 1, noting(say, "connect")))
  server:close()
  say("active", server:is_active())
end

function scripts.listen_unbound(uv, say)
  local server = uv.new_tcp()
  say("listen", server:listen(1, noting(say, "listen")))
  say("name", server:getsockname().ip, server:getsockname().port > 0)
  server:close()
end

function scripts.listen_where_we_are_not(uv, say)
  local server = uv.new_tcp()
  say("bind", server:bind("203.0.113.7", 0))
  say("bind", pcall(server.bind, server, "nonsense", 80))
  say("bind", pcall(server.bind, server, "1.2.3", 80))
  say("bind", pcall(server.bind, server, "1.2.3.400", 80))
  say("bind", server:bind(IP, 0))
  server:close()
end

function scripts.accept_a_burst(uv, say)
  turns(uv, say, 2)
  local server, port
  local left = 4
  server, port = serve(uv, function(far)
    say("accepted")
    far:close()
    left = left - 1
    if left == 0 then server:close() end
  end)
  for i = 1, 4 do
    local near = uv.new_tcp()
    near:connect(IP, port, function(why)
      say("connected", i, why)
      near:close()
    end)
  end
  uv.run()
end

function scripts.accept_later(uv, say)
  local server, near = uv.new_tcp(), { uv.new_tcp(), uv.new_tcp() }
  server:bind(IP, 0)
  turns(uv, say, 3)
  local calls = 0
  server:listen(4, function()
    calls = calls + 1
    say("a connection", calls)
  end)
  for i = 1, 2 do
    near[i]:connect(IP, server:getsockname().port, noting(say, "connect", i))
  end
  uv.run("once")
  uv.run("once")
  local far = { uv.new_tcp(), uv.new_tcp() }
  say("accept", server:accept(far[1]))
  say("accept", server:accept(far[2]))
  uv.run("once")
  say("accept", server:accept(far[2]))
  say("accept", server:accept(far[2]))
  for i = 1, 2 do
    near[i]:close()
    far[i]:close()
  end
  server:close()
end

function scripts.listener_closed_with_connections_waiting(uv, say)
  local server, near = uv.new_tcp(), uv.new_tcp()
  server:bind(IP, 0)
  server:listen(4, function()
    say("a connection")
    server:close()
  end)
  near:connect(IP, server:getsockname().port, function()
    say("connected")
    watch(say, "near", near)
  end)
  uv.run()
end

------------------------------------------------------------------ fresh ones --

function scripts.calls_on_a_fresh_handle(uv, say)
  local fresh, other = uv.new_tcp(), uv.new_tcp()
  say("type", tostring(fresh):match("^[%a_]+"), uv.handle_get_type(fresh))
  say("write", fresh:write("x", noting(say, "written")))
  say("try", fresh:try_write("x"))
  say("read", fresh:read_start(noting(say, "read")))
  say("stop", fresh:read_stop())
  say("shutdown", fresh:shutdown(noting(say, "shut down")))
  say("names", fresh:getsockname())
  say("names", fresh:getpeername())
  say("accept", fresh:accept(other))
  say("nodelay", fresh:nodelay(true))
  say("keepalive", fresh:keepalive(true, 60))
  say("states", fresh:is_readable(), fresh:is_writable(), fresh:is_active(),
    fresh:is_closing(), fresh:has_ref())
  say("queue", fresh:get_write_queue_size())
  fresh:close()
  other:close()
end

function scripts.calls_on_a_closing_handle(uv, say)
  local closing = uv.new_tcp()
  closing:close(function() say("closed") end)
  say("write", closing:write("x", noting(say, "written")))
  say("try", closing:try_write("x"))
  say("read", closing:read_start(noting(say, "read")))
  say("stop", closing:read_stop())
  say("shutdown", closing:shutdown(noting(say, "shut down")))
  say("bind", closing:bind(IP, 0))
  say("listen", closing:listen(1, noting(say, "listen")))
  say("name", closing:getsockname())
  say("queue", closing:get_write_queue_size())
  say("close", (pcall(closing.close, closing)))
end

function scripts.wrong_arguments(uv, say)
  local fresh, timer = uv.new_tcp(), uv.new_timer()
  local function try(...)
    local ok, err = pcall(...)
    say(ok, not ok and err:gsub("luv%.", "") or "")
  end
  try(uv.write, fresh, nil)
  try(uv.write, fresh, {{}})
  try(uv.write, fresh, "x", 5)
  try(uv.write, timer, "x")
  try(uv.read_start, fresh)
  try(uv.listen, fresh, "x", print)
  try(uv.listen, fresh, 5)
  try(uv.tcp_bind, fresh, IP)
  try(uv.tcp_connect, fresh, "nonsense", 80, print)
  try(uv.tcp_connect, fresh, IP, 80, 5)
  try(uv.tcp_bind, timer, IP, 0)
  fresh:close()
  timer:close()
end

----------------------------------------------------------------------- names --

local function addresses(list)
  local words = {}
  for i, item in ipairs(list) do
    words[i] = ("%s %s %s %s %s"):format(item.addr, item.family, item.socktype,
      item.protocol, tostring(item.port))
  end
  return table.concat(words, "; ")
end

function scripts.names_that_are_numbers(uv, say)
  local stream = { socktype = "stream" }
  say("4", addresses(uv.getaddrinfo(IP, nil, stream)))
  say("6", addresses(uv.getaddrinfo("::1", nil, stream)))
  say("service", addresses(uv.getaddrinfo(IP, "80", stream)))
  say("service", addresses(uv.getaddrinfo(IP, 80, stream)))
  say("localhost", addresses(uv.getaddrinfo("localhost", nil, stream)))
  say("nothing", uv.getaddrinfo(nil, nil))
  say("no number", uv.getaddrinfo("nonsense", nil, { numerichost = true }))
  say("hints", (pcall(uv.getaddrinfo, IP, nil, 5)))
end

function scripts.names_from_the_loop(uv, say)
  say("asked", uv.getaddrinfo(IP, nil, { socktype = "stream" },
    function(why, list) say("found", why, addresses(list)) end))
  uv.run()
  uv.getaddrinfo("nonsense", nil, { numerichost = true },
    function(...) say("not found", select("#", ...), ...) end)
  uv.run()
end

return scripts
