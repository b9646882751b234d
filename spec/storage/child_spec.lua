-- A child that writes a file: what it keeps of us, and how it may end.
local Files = require "raft.storage.files"
local child = require "raft.storage.child"
local core = require "raft.core"
local helper = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local function files_of(host)
  return Files.new(uv, host or core.host, function(fn) return fn end)
end

-- Runs the writer in a child: what done got, and the content of the file.
local function run(writer, silence_ms)
  local tmp <close> = tmpdir.new()
  local files, path, answer = files_of(), tmp:join "out", nil
  child.start(files, path, writer, function(...)
    answer = table.pack(...)
  end, silence_ms)
  assert(not answer, "answered inside the call")
  helper.wait_until(function() return answer end, 20000, "the child")
  assert.equal(0, files.busy)
  local file = io.open(path, "rb")
  local content = file and file:read("a")
  if file then file:close() end
  return answer[1], answer[2], content
end

-- What the child sees, as text.
local function seen(look)
  local err, _, content = run(function(write) write(tostring(look())) end)
  assert(not err, tostring(err))
  return content
end

describe("a child", function()
  it("writes a file, and says how long it is", function()
    local err, bytes, content = run(function(write)
      write "hello, "
      write(("x"):rep(3 << 20))
      write "."
    end)
    assert.is_nil(err)
    assert.equal((3 << 20) + 8, bytes)
    assert.is_true(content == "hello, " .. ("x"):rep(3 << 20) .. ".")
  end)

  it("sees what is now, and changes nothing of ours", function()
    local t = { n = 1 }
    local tmp <close> = tmpdir.new()
    local path, is_done = tmp:join "out", false
    child.start(files_of(), path, function(write)
      t.n = t.n + 1
      write(tostring(t.n))
    end, function() is_done = true end)
    t.n = 10
    helper.wait_until(function() return is_done end, 20000, "the child")
    assert.equal("2", io.open(path):read("a"))
    assert.equal(10, t.n)
  end)

  it("has given up all that is open here", function()
    local pipe = assert(uv.new_pipe(false))
    local tmp <close> = tmpdir.new()
    local lock <close> = core.host.lock(tmp:join "lock")
    local list = seen(function()
      local names, scan = {}, uv.fs_scandir("/proc/self/fd")
      for name in uv.fs_scandir_next, scan do
        local target = uv.fs_readlink("/proc/self/fd/" .. name) or ""
        names[#names + 1] = target:match("^%a+") or target:match("[^/]+$")
      end
      table.sort(names)
      return table.concat(names, " ")
    end)
    pipe:close()
    assert.truthy(lock)
    -- Its pipe, its file, three times /dev/null, and the list itself.
    assert.truthy(list:find "pipe")
    assert.is_nil(list:find "lock")
    assert.is_nil(list:find "socket")
    assert.is_nil(list:find "anon")
    local count = select(2, list:gsub("%S+", ""))
    assert.is_true(count <= 6, list)
  end)

  it("collects no garbage, and goes after us", function()
    assert.equal("false", seen(function()
      return collectgarbage "isrunning"
    end))
    if uv.os_getpriority then
      local own = uv.os_getpriority(0)
      assert.equal(math.min(19, own + 10), tonumber(seen(function()
        return uv.os_getpriority(0)
      end)))
    end
  end)

  it("runs no handler of a signal of ours", function()
    local count = 0
    local signal = uv.new_signal()
    signal:start("sigusr1", function() count = count + 1 end)
    local err = run(function()
      uv.kill(uv.os_getpid(), "sigusr1")
      while true do end -- luacheck: ignore
    end)
    signal:close()
    assert.truthy(err.message:find("killed by signal 10", 1, true))
    assert.equal(0, count)
  end)

  it("leaves SIGCHLD to who wants it", function()
    local heard = 0
    local signal = uv.new_signal()
    signal:start("sigchld", function() heard = heard + 1 end)
    local err = run(function(write) write "x" end)
    helper.wait_until(function() return heard > 0 end, 5000, "SIGCHLD")
    signal:close()
    assert.is_nil(err)
  end)

  it("that raises is reported in its words", function()
    local err = run(function() error("no snapshot today", 0) end)
    assert.equal("io_error", err.code)
    assert.truthy(err.message:find("no snapshot today", 1, true))
    assert.equal("io_error", run(function() error({}) end).code)
    err = run(function(write) write(nil) end)
    assert.truthy(err.message:find("string expected", 1, true))
  end)

  it("that yields, exits, or is killed is reported", function()
    local err = run(function() coroutine.yield() end)
    assert.truthy(err.message:find("yield", 1, true))
    -- What exit runs on its way may hang: threads of luv are not there.
    err = run(function() os.exit(3) end, 1000)
    assert.equal("io_error", err.code)
    err = run(function(write)
      write "half"
      uv.kill(uv.os_getpid(), "sigkill")
    end)
    assert.truthy(err.message:find("killed by signal 9", 1, true))
  end)

  it("that hangs is killed", function()
    local err = run(function(write)
      write "half"
      while true do end -- luacheck: ignore
    end, 50)
    assert.equal("io_error", err.code)
    assert.truthy(err.message:find("no word", 1, true))
  end)

  it("that finds the disk full says so", function()
    if not uv.fs_stat("/dev/full") then return end
    local answer
    child.start(files_of(), "/dev/full", function(write) write "x" end,
      function(err) answer = err end)
    helper.wait_until(function() return answer end, 20000, "the child")
    assert.equal("no_space", answer.code)
  end)

  it("that cannot open its file is reported from the loop", function()
    local answer
    child.start(files_of(), "/no/such/directory/x", function() end,
      function(err) answer = err end)
    assert.is_nil(answer)
    helper.wait_until(function() return answer end, 5000, "the answer")
    assert.truthy(answer.message:find("No such file", 1, true))
  end)

  it("that is killed by us says nothing, and is waited for", function()
    local tmp <close> = tmpdir.new()
    local files, is_over = files_of(), false
    local one = child.start(files, tmp:join "out", function()
      while true do end -- luacheck: ignore
    end, function() error "it was to say nothing" end)
    one:kill()
    files:die(function() is_over = true end)
    assert.is_false(is_over)
    helper.wait_until(function() return is_over end, 5000, "its end")
  end)
end)

describe("host.fork_writer", function()
  it("gives its pipe away once", function()
    local tmp <close> = tmpdir.new()
    local one = core.host.fork_writer(tmp:join "out", function() end)
    local pipe = assert(uv.new_pipe(false))
    pipe:open(one:pipe())
    assert.has_error(function() one:pipe() end, "the pipe was given away")
    pipe:close()
    helper.wait_until(function() return one:reap() end, 5000, "its end")
    one:kill()
    assert.is_true((one:reap()))
  end)

  it("checks what it is given", function()
    assert.has_error(function() core.host.fork_writer("x") end)
    assert.has_error(function() core.host.fork_writer(nil, print) end)
  end)
end)
