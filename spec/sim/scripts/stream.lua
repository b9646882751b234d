--- What goes to and fro on connections, told in lines: see loop.lua.
local ends = require "spec.sim.scripts.ends"

local scripts = {}

local pair = ends.pair
local turns = ends.turns
local watch = ends.watch
local noting = ends.noting

------------------------------------------------------------------ to and fro --

function scripts.echo(uv, say)
  local near, far = pair(uv)
  turns(uv, say, 4)
  far:read_start(function(_, chunk)
    say("far reads", chunk)
    if not chunk then return far:close() end
    far:write(chunk, noting(say, "far has written"))
  end)
  near:read_start(function(_, chunk)
    say("near reads", chunk)
    near:close(function() say("near closed") end)
  end)
  say("write", near:write("hello", noting(say, "near has written")))
  say("queue", near:get_write_queue_size())
end

function scripts.write_callbacks_come_in_order(uv, say)
  local near, far = pair(uv)
  turns(uv, say, 3)
  watch(say, "far", far)
  for i = 1, 3 do near:write("abc", noting(say, "written", i)) end
  near:write({ "de", "f", "" }, noting(say, "written table"))
  near:write("", function(...)
    say("written nothing", select("#", ...), ...)
    near:write("again", noting(say, "written again"))
    near:shutdown(function(...)
      say("shut down", select("#", ...), ...)
      near:close()
    end)
  end)
  near:write("no callback")
  local timer = uv.new_timer()
  timer:start(0, 0, function()
    say("timer")
    timer:close()
  end)
end

function scripts.write_callbacks_of_two_streams(uv, say)
  local near, far = pair(uv)
  turns(uv, say, 2)
  near:write("a", noting(say, "near 1"))
  far:write("b", noting(say, "far 1"))
  near:write("c", noting(say, "near 2"))
  far:write("d", function()
    say("far 2")
    far:close()
    near:close()
  end)
end

function scripts.try_write(uv, say)
  local near, far = pair(uv)
  watch(say, "far", far)
  say("try", near:try_write("abc"))
  say("try", near:try_write({ "d", "ef" }))
  say("queue", near:get_write_queue_size())
  near:close()
end

function scripts.half_close(uv, say)
  local near, far = pair(uv)
  turns(uv, say, 4)
  far:read_start(function(...)
    local _, chunk = ...
    say("far reads", select("#", ...), ...)
    if chunk then return end
    say("far", far:is_readable(), far:is_writable(), far:is_active())
    far:write("still here", noting(say, "far has written"))
    far:shutdown(function(...)
      say("far shut down", select("#", ...), ...)
      far:close()
    end)
  end)
  watch(say, "near", near)
  near:write("bye", noting(say, "near has written"))
  say("shutdown", near:shutdown(noting(say, "near shut down")))
  say("near", near:is_readable(), near:is_writable())
  say("shutdown", near:shutdown(noting(say, "near shut down")))
  say("write", near:write("x", noting(say, "written")))
  say("try", near:try_write("x"))
end

function scripts.shutdown_and_close(uv, say)
  local near, far = pair(uv)
  watch(say, "far", far)
  near:write("abc", noting(say, "written"))
  near:shutdown(noting(say, "shut down"))
  near:close(function() say("near closed") end)
end

function scripts.close_right_after_writing(uv, say)
  local near, far = pair(uv)
  turns(uv, say, 3)
  watch(say, "far", far)
  near:write("abc", noting(say, "written 1"))
  near:write("def", noting(say, "written 2"))
  near:close(function() say("near closed") end)
end

function scripts.close_in_a_read_callback(uv, say)
  local near, far = pair(uv)
  far:read_start(function(why, chunk)
    say("far reads", why, chunk and #chunk)
    far:close(function() say("far closed") end)
  end)
  near:write(("x"):rep(100000), noting(say, "written"))
  watch(say, "near", near)
end

function scripts.read_stop_and_start(uv, say)
  local near, far = pair(uv)
  turns(uv, say, 4)
  say("stop", far:read_stop())
  local reads = 0
  local function on_read(_, chunk)
    reads = reads + 1
    say("far reads", chunk)
    if not chunk then return far:close() end
    say("stop", far:read_stop(), far:is_active())
    local idle = uv.new_idle()
    idle:start(function()
      say("idle: start", far:read_start(on_read))
      say("start twice", far:read_start(on_read))
      idle:close()
    end)
    if reads == 1 then near:write("two", noting(say, "written")) end
    if reads == 2 then near:close() end
  end
  say("start", far:read_start(on_read), far:is_active())
  near:write("one")
end

function scripts.reads_join_what_waits(uv, say)
  local near, far = pair(uv)
  for i = 1, 5 do near:write(("%d,"):format(i)) end
  near:write(("x"):rep(30000))
  near:write(("y"):rep(20000))
  near:shutdown(function() near:close() end)
  local idle, count = uv.new_idle(), 0
  idle:start(function()
    count = count + 1
    if count < 4 then return end
    idle:close()
    watch(say, "far", far)
  end)
end

function scripts.reads_of_more_than_one_chunk(uv, say)
  local near, far = pair(uv)
  local parts, largest = {}, 0
  far:read_start(function(_, chunk)
    if chunk then
      parts[#parts + 1], largest = chunk, math.max(largest, #chunk)
      return
    end
    local all = table.concat(parts)
    say("far has read", #all, largest, all:sub(1, 4), all:find("y", 1, true))
    far:close()
  end)
  near:write(("x"):rep(100000))
  near:write(("y"):rep(100000))
  near:close()
end

-------------------------------------------------------------------- troubles --

function scripts.reset_by_a_close_with_bytes_unread(uv, say)
  local near, far = pair(uv)
  near:write("unread")
  uv.run("nowait")
  far:close()
  near:read_start(function(...)
    say("near reads", select("#", ...), ...)
    say("near", near:is_readable(), near:is_writable(), near:is_active())
    say("write", near:write("x", noting(say, "written")))
    say("try", near:try_write("x"))
    say("shutdown", near:shutdown(noting(say, "shut down")))
    say("read", near:read_start(noting(say, "read")))
    near:close()
  end)
end

function scripts.reset_comes_after_what_was_sent(uv, say)
  local near, far = pair(uv)
  near:write("unread")
  uv.run("nowait")
  far:write("last words")
  far:close()
  watch(say, "near", near)
end

-- near has seen the end, and goes on writing.
function scripts.write_after_the_other_end_is_gone(uv, say)
  local near, far = pair(uv)
  turns(uv, say, 6)
  far:close()
  near:read_start(function(...)
    say("near reads", select("#", ...), ...)
    near:write("1", function(...)
      say("first", select("#", ...), ...)
      near:write("2", function(...)
        say("second", select("#", ...), ...)
        say("near", near:is_readable(), near:is_writable())
        say("read", near:read_start(function(...)
          say("near reads", select("#", ...), ...)
          near:close()
        end))
      end)
    end)
  end)
end

-- near does not read, and hears of it by writing.
function scripts.write_to_a_reset_connection(uv, say)
  local near, far = pair(uv)
  near:write("unread")
  uv.run("nowait")
  far:close()
  near:write("1", function(...)
    say("first", select("#", ...), ...)
    near:write("2", function(...)
      say("second", select("#", ...), ...)
      say("shutdown", near:shutdown(function(...)
        say("shut down", select("#", ...), ...)
        near:close()
      end))
    end)
  end)
end

function scripts.writes_fail_one_after_the_other(uv, say)
  local near, far = pair(uv)
  turns(uv, say, 4)
  near:write("unread")
  uv.run("nowait")
  far:close()
  for i = 1, 3 do near:write("x", noting(say, "written", i)) end
  say("try", near:try_write("x"))
  local idle, count = uv.new_idle(), 0
  idle:start(function()
    count = count + 1
    if count < 3 then return end
    idle:close()
    near:close()
  end)
end

local BIG <const> = 24 << 20  -- more than any kernel keeps for one connection

function scripts.big_write_to_a_slow_reader(uv, say)
  local near, far = pair(uv)
  local size = 0
  near:write(("x"):rep(BIG), function(why)
    say("written", why, "queue", near:get_write_queue_size())
    near:shutdown(function() near:close() end)
  end)
  near:write("tail", noting(say, "tail written"))
  say("queue", near:get_write_queue_size() > 1 << 20)
  say("try", near:try_write("x"))
  local turns_left = 5
  local idle = uv.new_idle()
  idle:start(function()
    turns_left = turns_left - 1
    if turns_left > 0 then return end
    say("still", near:get_write_queue_size() > 1 << 20)
    idle:close()
    far:read_start(function(why, chunk)
      if chunk then
        size = size + #chunk
        assert(#chunk <= 65536)
        return
      end
      say("far has read", size == BIG + 4, why)
      far:close()
    end)
  end)
end

function scripts.big_write_is_given_up(uv, say)
  local near, far = pair(uv)
  near:write("small", noting(say, "small written"))
  near:write(("x"):rep(BIG), noting(say, "big written"))
  near:write("tail", noting(say, "tail written"))
  near:shutdown(noting(say, "shut down"))
  near:close(function()
    say("near closed", near:get_write_queue_size())
    far:close()
  end)
  say("closing", near:get_write_queue_size() > 0)
end

function scripts.big_write_to_one_who_goes_away(uv, say)
  local near, far = pair(uv)
  near:write(("x"):rep(BIG), function(...)
    say("big written", select("#", ...), ...)
    near:close()
  end)
  local idle, count = uv.new_idle(), 0
  idle:start(function()
    count = count + 1
    if count < 3 then return end
    idle:close()
    far:close()
  end)
end

return scripts
