local Cluster = require "spec.support.cluster"
local errors = require "raft.errors"
local raft = require "raft"
local recording = require "spec.support.recording"
local support = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local events_of = recording.events_of
local find_event = recording.find_event
local read_file = recording.read_file
local write_events = recording.write_events

describe("recorded nodes", function()
  local function recorded(cluster)
    return { node = function(id) return { record = cluster:join(id) } end }
  end

  -- A recorded cluster, its recordings in a directory of their own.
  local function new_cluster(options)
    local dir = tmpdir.new()
    finally(function() dir:remove() end)
    for name, value in pairs(recorded(dir)) do options[name] = value end
    return Cluster.new(options), dir
  end

  local function replay_all(cluster, dir)
    for _, id in ipairs(cluster.ids) do
      local result = assert(raft.replay(dir:join(id)))
      assert.is_true(result.has_ended, id)
      assert.equal(id, result.id)
      assert.equal(raft._VERSION, result.version)
    end
  end

  it("are run again to the same digest, term, commit and role", function()
    local cluster <close>, dir = new_cluster { nodes = 3 }
    cluster:up()
    local leader = cluster:leader()
    local followers = cluster:followers()
    for i = 1, 10 do
      assert(leader:propose("led " .. i))
      assert(followers[1]:propose("forwarded " .. i))
      assert(followers[2]:read())
    end
    cluster:settle(20)
    local before = {}
    for _, id in ipairs(cluster.ids) do
      before[id] = cluster:node(id):status()
      cluster:close_node(id)
    end
    replay_all(cluster, dir)
    for id, was in pairs(before) do
      local is = assert(raft.replay(dir:join(id))).status
      assert.same({ was.term, was.role, was.commit, was.applied, was.last },
        { is.term, is.role, is.commit, is.applied, is.last })
    end
  end)

  it("are run again after restarts, stops and losses of the leader", function()
    local cluster <close>, dir = new_cluster { nodes = 3 }
    cluster:up()
    for i = 1, 3 do assert(cluster:leader():propose("a" .. i)) end
    local _, leader = cluster:leader()
    cluster:restart(leader)
    assert(cluster:node(leader):ready { timeout = 10000 })
    for i = 1, 3 do assert(cluster:leader():propose("b" .. i)) end
    cluster:settle(6)
    for _, id in ipairs(cluster.ids) do cluster:node(id):stop() end
    replay_all(cluster, dir)
    local old = assert(raft.replay(dir:join(leader) .. ".old"))
    assert.is_true(old.has_ended)
    local events = events_of(read_file(dir:join(leader)))
    local _, start = find_event(events, "start")
    local found = raft.codec.decode(start.recovery)
    assert.is_true(found.last >= 4, "it started from what was on disk")
  end)

  it("tell digests along the way when there is much to tell", function()
    local cluster <close>, dir = new_cluster { nodes = 1 }
    cluster:up()
    for _ = 1, 30 do
      assert(cluster:node("n1"):propose(("x"):rep(60000)))
    end
    cluster:close_node("n1")
    replay_all(cluster, dir)
    local events = events_of(read_file(dir:join("n1")))
    local number = find_event(events, "digest")
    assert.is_true(number < #events)
    events[number][1] = ("0"):rep(32)
    write_events(dir:join("n1"), events)
    local _, err = raft.replay(dir:join("n1"))
    assert.equal(number, err.event)
  end)

  it("leave a whole recording of a start that failed, too", function()
    local cluster <close>, dir = new_cluster { nodes = 1 }
    local port = tonumber(cluster.members.n1:match("%d+$"))
    local squatter = assert(uv.new_tcp())
    assert(squatter:bind("127.0.0.1", port))
    assert(squatter:listen(1, function() end))
    local node = cluster:new_node("n1")
    local ok, err = node:start()
    squatter:close()
    assert.same({ nil, "listen_failed" }, { ok, err.code })
    assert(node:start())
    assert(node:ready())
    node:close()
    for _, name in ipairs { "n1", "n1.old" } do
      assert.is_true(assert(raft.replay(dir:join(name))).has_ended)
    end
  end)

  it("leave no file when they do not record", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    cluster:up()
    assert(cluster:node("n1"):propose("a"))
    cluster:close_node("n1")
    local names = {}
    local scan = assert(uv.fs_scandir(cluster.dir:join("n1")))
    for name in uv.fs_scandir_next, scan do names[#names + 1] = name end
    for _, name in ipairs(names) do
      assert.truthy(name:find("^wal%-") or name:find("^spare")
        or name == "identity" or name == "lock", name)
    end
  end)

  -- A luv on which writes to that file fail from the n-th on.
  local function failing(path, n)
    local record_fd, writes = false, 0
    return setmetatable({
      fs_open = function(name, ...)
        local fd, text, code = uv.fs_open(name, ...)
        if name == path then record_fd = fd end
        return fd, text, code
      end,
      fs_write = function(fd, ...)
        if fd == record_fd then
          writes = writes + 1
          if writes >= n then
            return nil, "ENOSPC: no space left on device", "ENOSPC"
          end
        end
        return uv.fs_write(fd, ...)
      end,
    }, { __index = uv })
  end

  -- A lone node that records to `path`, and the warnings it gave.
  local function run_alone(path, loop)
    local warnings = {}
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:start("n1", { record = path, uv = loop,
      on = { warning = function(err)
        if err.code == "busy" then return end  -- the disk or the loop is slow
        warnings[#warnings + 1] = err
      end } })
    assert(node:ready())
    for i = 1, 3 do assert.equal(i, (assert(node:propose("c" .. i)))) end
    support.wait_until(function() return #warnings > 0 end, 5000, "a warning")
    assert.equal("running", node:status().state)
    return warnings
  end

  it("go on when the recording cannot be written, and warn once", function()
    local dir <close> = tmpdir.new()
    local path = dir:join("r")
    local warnings = run_alone(path, failing(path, 5))
    assert.equal(1, #warnings)
    assert.is_true(errors.is_error(warnings[1]))
    assert.equal("no_space", warnings[1].code)
    assert.truthy(warnings[1].message:find("the recording ends here", 1, true))
    local result = assert(raft.replay(path))
    assert.is_false(result.has_ended)
    assert.is_true(result.events > 3)
  end)

  it("go on when the recording cannot be opened, and warn once", function()
    local dir <close> = tmpdir.new()
    local warnings = run_alone(dir:join("nowhere/r"))
    assert.equal(1, #warnings)
    assert.equal("io_error", warnings[1].code)
  end)
end)
