-- A process that is killed while its child writes a snapshot.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

-- A node of its own. Its child, if it is to hang, says who it is and stays.
local PROGRAM <const> = [[
local raft, uv = require "raft", require "luv"
local dir, address, hangs = arg[1], arg[2], arg[3] == "hangs"
local count, own = 0, uv.os_getpid()
local node = raft.node { id = "n1", dir = dir, members = { n1 = address },
  election_timeout = { 10, 20 }, log = false, snapshot_mode = "fork",
  apply = function() count = count + 1 return count end,
  save = function(write)
    write(tostring(count))
    if not hangs then return end
    local file <close> = assert(io.open(dir .. "/child", "w"))
    file:write(("%d"):format(uv.os_getpid()))
    file:close()
    write(("x"):rep(1 << 20))
    while true do end
  end,
  load = function(read)
    count = tonumber(read())
    while read() do end
  end }
raft.run(function()
  assert(node:start())
  assert(node:ready { timeout = false })
  print("count " .. node:propose("x"))
  io.stdout:flush()
  local info = assert(node:take_snapshot { timeout = false })
  print("mode " .. info.mode)
  node:stop()
end)
]]

-- Starts it: a table that gets `lines` and, at its end, `status`, `signal`.
local function start(dir, address, how)
  local stdout = assert(uv.new_pipe(false))
  local process = { lines = {}, status = false, pid = 0 }
  local path = dir:join "program.lua"
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(PROGRAM))
  file:close()
  local handle, pid
  handle, pid = assert(uv.spawn(os.getenv "LUA" or "lua5.4", {
    args = { path, dir:join "data", address, how },
    stdio = { nil, stdout, 2 },
  }, function(status, signal)
    process.status, process.signal = status, signal
    handle:close()
  end))
  process.handle, process.pid = handle, pid
  stdout:read_start(function(_, chunk)
    if not chunk then return stdout:close() end
    for line in chunk:gmatch("[^\n]+") do
      table.insert(process.lines, line)
    end
  end)
  return process
end

local function read_file(path)
  local file <close> = io.open(path)
  local text = file and file:read("a")
  return text ~= "" and text or nil
end

local function is_alive(pid)
  local state = (read_file(("/proc/%d/stat"):format(pid)) or "")
    :match("^%d+ %b() (%a)")
  return state and state ~= "Z"
end

describe("a process killed while a child writes its snapshot", function()
  it("starts again at once, and its child has gone with it", function()
    local dir <close> = tmpdir.new()
    assert(uv.fs_mkdir(dir:join "data", tonumber("700", 8)))
    local address = Cluster.free_address()
    local child
    local first = start(dir, address, "hangs")
    helper.wait_until(function()
      child = tonumber(read_file(dir:join("data", "child")))
      return child
    end, 20000, "the child")
    assert.is_true(is_alive(child))
    first.handle:kill("sigkill")
    helper.wait_until(function() return first.status end, 5000, "its end")
    -- No wait in between: the lock and the port are free.
    local second = start(dir, address, "well")
    helper.wait_until(function() return second.status end, 20000, "the second")
    assert.same({ "count 1" }, first.lines)
    assert.equal(0, second.status)
    assert.same({ "count 2", "mode fork" }, second.lines)
    if uv.os_uname().sysname == "Linux" then
      helper.wait_until(function() return not is_alive(child) end, 5000,
        "the end of the child")
    end
    -- And the third has nothing to apply but what it proposes.
    local third = start(dir, address, "well")
    helper.wait_until(function() return third.status end, 20000, "the third")
    assert.same({ "count 3", "mode fork" }, third.lines)
  end)
end)
