-- When a node takes snapshots, what becomes of them, and of the log.
local Cluster = require "spec.support.cluster"
local raft = require "raft"
local support = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local SILENT_MS <const> = 100  -- several heartbeats
local STEP <const> = 16 << 10  -- bytes of a command that fills the log

-- The machine of the specs: it counts commands and their bytes, and keeps the
-- last. What is restored is noted.
local function machine()
  local state = { count = 0, bytes = 0, last = "", applied = 0, restored = {},
    saves = 0, extra = "" }
  local function text()
    state.saves = state.saves + 1
    return ("%d %d %s %s"):format(state.count, state.bytes, state.last,
      state.extra)
  end
  local function set(bytes)
    local count, size, last, extra = bytes:match("^(%d+) (%d+) (%w*) (.*)$")
    state.count, state.bytes = tonumber(count), tonumber(size)
    state.last, state.extra = last, extra
    state.restored[#state.restored + 1] = #bytes
  end
  return state, {
    apply = function(command)
      state.applied = state.applied + 1
      state.count, state.bytes = state.count + 1, state.bytes + #command
      state.last = command:sub(1, 8)
      return state.count
    end,
    query = function() return state.count end,
    snapshot = text,
    restore = set,
  }, {
    save = function(write)
      local all = text()
      for i = 1, #all, 1000 do write(all:sub(i, i + 999)) end
    end,
    load = function(read)
      local pieces = {}
      for piece in read do pieces[#pieces + 1] = piece end
      set(table.concat(pieces))
    end,
  }
end

-- Clusters of nodes with such machines: cluster, states by id, events by id.
local function new(options)
  options = options or {}
  local states, events = {}, {}
  local cluster = Cluster.new {
    nodes = options.nodes or 1, election = options.election,
    node = function(id)
      local state, fields = machine()
      states[id], events[id] = state, { snapshots = {}, warnings = {} }
      fields.on = {
        snapshot = function(info) table.insert(events[id].snapshots, info) end,
        warning = function(err)  -- the machine may be slow: not our concern
          if err.code ~= "busy" then table.insert(events[id].warnings, err) end
        end,
      }
      fields.snapshot_bytes = options.snapshot_bytes
      fields.snapshot_mode = options.mode
      for name, value in pairs(options.extra and options.extra(id, state)
        or {}) do
        fields[name] = value
      end
      return fields
    end,
  }
  return cluster, states, events
end

-- Sixteen at a time. They wait where the node is busy handing over.
local function fill(node, count)
  local done = 0
  for i = 1, count do
    raft.spawn(function()
      assert(node:propose(("%08x"):format(i) .. ("x"):rep(STEP - 8)))
      done = done + 1
    end)
    if i % 16 == 0 or i == count then
      support.wait_until(function() return done == i end, 10000, "proposals")
    end
  end
end

local function files(dir, pattern)
  local found = {}
  for name in uv.fs_scandir_next, uv.fs_scandir(dir) do
    if name:find(pattern) then found[#found + 1] = name end
  end
  table.sort(found)
  return found
end

local function wait_for(list, count)
  support.wait_until(function() return #list >= (count or 1) end, 10000,
    "an event")
  return list[#list]
end

describe("node:take_snapshot", function()
  it("answers what it is, and tells it once it counts", function()
    local cluster <close>, states, events = new()
    local node = cluster:up():node("n1")
    fill(node, 3)
    local info = assert(node:take_snapshot())
    assert.equal(node:status().applied, info.index)
    assert.equal(info.index, node:status().snapshot)
    assert.equal("inline", info.mode)
    assert.is_true(info.size > 0)
    assert.equal(1, states.n1.saves)
    assert.same(info, wait_for(events.n1.snapshots))
    assert.equal(1, #files(cluster.dir:join "n1", "^snap.*%.snap$"))
  end)

  it("makes none where there is one of all that is applied", function()
    local cluster <close>, states = new()
    local node = cluster:up():node("n1")
    local one, two = node:take_snapshot(), node:take_snapshot()
    assert.equal(one.index, two.index)
    assert.equal(1, states.n1.saves)
  end)

  it("serves all who ask with as few as may be", function()
    local cluster <close>, states = new()
    local node = cluster:up():node("n1")
    fill(node, 1)
    local answers = {}
    for i = 1, 5 do
      node:take_snapshot(function(err, info)
        answers[i] = err or info.index
      end)
    end
    support.wait_until(function() return #answers == 5 end, 5000, "answers")
    for i = 2, 5 do assert.equal(answers[1], answers[i]) end
    assert.equal(1, states.n1.saves)
  end)

  it("is unsupported without functions, and on a node that is over", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:up():node("n1")
    local _, err = node:take_snapshot()
    assert.equal("unsupported", err.code)
    node:close()
    _, err = node:take_snapshot()
    assert.equal("closed", err.code)
  end)

  it("works on a volatile node", function()
    local cluster <close>, states = new { extra = function()
      return { volatile = true }
    end }
    local node = cluster:up():node("n1")
    fill(node, 3)
    assert.equal("inline", assert(node:take_snapshot()).mode)
    assert.equal(1, states.n1.saves)
  end)

  it("is answered when the node is closed meanwhile", function()
    local cluster <close> = new { mode = "fork" }
    local node = cluster:up():node("n1")
    local answer
    node:take_snapshot(function(err) answer = err end)
    node:close()
    support.wait_until(function() return answer end, 5000, "the answer")
    assert.equal("closed", answer.code)
  end)
end)

describe("a restart", function()
  it("goes on from the newest snapshot", function()
    local cluster <close>, states = new()
    local node = cluster:up():node("n1")
    fill(node, 20)
    assert(node:take_snapshot())
    fill(node, 2)
    node = cluster:restart("n1")
    assert(node:ready())
    assert.equal(22, states.n1.count)
    assert.equal(2, states.n1.applied)
    assert.equal(1, #states.n1.restored)
    assert.equal(23, assert(node:propose("one more")))
  end)

  it("either pair takes what the other wrote", function()
    local is_streamed = false
    local cluster <close>, states = new { extra = function(_, state)
      if not is_streamed then
        state.extra = ("y"):rep(300000)
        return {}
      end
      local other, _, streamed = machine()
      function streamed.apply()
        other.count = other.count + 1
        return other.count
      end
      streamed.snapshot, streamed.restore = false, false
      state.streamed = other
      return streamed
    end }
    local node = cluster:up():node("n1")
    fill(node, 2)
    assert(node:take_snapshot())
    is_streamed = true
    node:stop()
    local fields = cluster:options_of("n1")
    fields.snapshot, fields.restore = nil, nil
    node = raft.node(fields)
    cluster.objects[#cluster.objects + 1] = node
    assert(node:start())
    assert(node:ready())
    local state = states.n1.streamed
    assert.equal(2, state.count)
    assert.equal(300000, #state.extra)
    assert.equal(3, assert(node:propose("z")))
    assert(node:take_snapshot())
    node:stop()
    is_streamed = false
    cluster.nodes.n1 = nil
    node = cluster:start("n1")
    assert(node:ready())
    assert.equal(3, states.n1.count)
  end)

  it("fails, and applies nothing, when restore raises", function()
    local is_broken = false
    local cluster <close>, states = new { extra = function()
      if not is_broken then return {} end
      return { restore = function() error("no such state", 0) end }
    end }
    local node = cluster:up():node("n1")
    fill(node, 2)
    assert(node:take_snapshot())
    fill(node, 1)
    node:stop()
    is_broken = true
    node = cluster:new_node("n1")
    local ok, err = node:start()
    assert.is_nil(ok)
    assert.equal("apply_error", err.code)
    assert.equal("restore: no such state", err.message)
    assert.equal("failed", node:status().state)
    assert.equal(0, states.n1.applied)
    ok, err = node:start()
    assert.is_nil(ok)
    assert.equal("failed", err.code)
    is_broken = false
    node = cluster:start("n1")
    assert(node:ready())
    assert.equal(3, states.n1.count)
  end)

  it("is refused without functions for the state", function()
    local is_bare = false
    local cluster <close> = new { extra = function()
      return is_bare and { snapshot = false, restore = false } or {}
    end }
    local node = cluster:up():node("n1")
    assert(node:take_snapshot())
    node:stop()
    is_bare = true
    local fields = cluster:options_of("n1")
    fields.snapshot, fields.restore = nil, nil
    node = raft.node(fields)
    local ok, err = node:start()
    assert.is_nil(ok)
    assert.equal("unsupported", err.code)
    assert.truthy(err.message:find("restore(bytes)", 1, true))
    assert.equal("new", node:status().state)
  end)
end)

describe("by itself a node", function()
  it("takes one when the log has grown, and lets the log go", function()
    local cluster <close>, states, events = new { snapshot_bytes = 256 << 10 }
    local node = cluster:up():node("n1")
    fill(node, 200)
    support.wait_until(function()
      return node:status().first > 1
    end, 10000, "the log to begin later")
    -- 3.2 MiB of log, one each 256 KiB, and what is under way counts for none.
    local count = states.n1.saves
    assert.is_true(count >= 3, count .. " snapshots")
    assert.is_true(count <= 13, count .. " snapshots")
    wait_for(events.n1.snapshots, count)
    local status = node:status()
    assert.is_true(status.first <= status.snapshot + 1)
    node = cluster:restart("n1")
    assert(node:ready())
    assert.equal(200, states.n1.count)
    assert.is_true(states.n1.applied < 100)
    support.wait_until(function()
      return #files(cluster.dir:join "n1", "^snap") == 1
    end, 10000, "one file")
    local wals = files(cluster.dir:join "n1", "^wal")
    assert.is_true(#wals <= 3)
    assert.not_equal("wal-0000000000000001.log", wals[1])
  end)

  it("takes another where more than enough was not yet applied", function()
    local NEED <const> = 256 << 10
    local cluster <close> = new { snapshot_bytes = NEED,
      extra = function(_, state)
        return { apply = function(command)  -- slow: some of them in a turn
          local from = uv.hrtime()
          repeat until uv.hrtime() - from > 1000000
          state.count, state.bytes = state.count + 1, state.bytes + #command
          return state.count
        end }
      end }
    local node = cluster:up():node("n1")
    local last
    for _ = 1, 80 do
      node:propose(("x"):rep(STEP), function(err, count)
        last = count or err
      end)
    end
    support.wait_until(function() return last == 80 end, 10000, "proposals")
    support.wait_until(function()
      local status = node:status()
      return (status.last - status.snapshot) * STEP <= NEED
    end, 10000, "a snapshot of nearly all")
  end)

  it("lets the log of a witness go, which needs no functions", function()
    local cluster <close> = Cluster.new { ids = { "n1", "n2", "w" },
      node = function() return { snapshot_bytes = 4 << 10 } end }
    cluster.members.w = { address = cluster.members.w, role = "witness" }
    cluster:up()
    local leader, witness = cluster:leader(), cluster:node("w")
    fill(leader, 200)
    support.wait_until(function()
      return witness:status().snapshot > 0
    end, 10000, "a snapshot")
    assert.equal(0, leader:status().snapshot)
    assert.same({}, cluster.applied.w)
    local info = assert(witness:take_snapshot())
    assert.is_true(info.size < 4096)
    witness = cluster:restart("w")
    assert.is_true(witness:status().snapshot >= info.index)
    fill(leader, 1)
  end)

  it("takes none of a large state for little of log", function()
    local cluster <close>, states, events = new { snapshot_bytes = 32 << 10,
      extra = function(_, state)
        state.extra = ("y"):rep(400 << 10)
        return {}
      end }
    local node = cluster:up():node("n1")
    fill(node, 4)
    wait_for(events.n1.snapshots)
    fill(node, 60)  -- 960 KiB, and four times the last are 1600
    assert.equal(1, states.n1.saves)
    fill(node, 60)
    wait_for(events.n1.snapshots, 2)
    assert.equal(2, states.n1.saves)
  end)

  it("keeps some log for those who were away", function()
    local cluster <close>, _, events = new { snapshot_bytes = 1 << 20 }
    local node = cluster:up():node("n1")
    fill(node, 70)
    wait_for(events.n1.snapshots)
    support.wait_until(function()
      return node:status().first > 1
    end, 10000, "the log to begin later")
    local status = node:status()
    -- A quarter of snapshot_bytes are 16 commands of 16 KiB.
    assert.is_true(status.last - status.first >= 16)
    assert.is_true(status.first <= status.snapshot + 1)
  end)
end)

describe("a snapshot that goes wrong", function()
  local function broken(fields)
    local is_broken = true
    local cluster, states, events = new { snapshot_bytes = 64 << 10,
      extra = function(_, state)
        local mine = {}
        for name, fn in pairs(fields) do
          mine[name] = function(...)
            if is_broken then return fn(...) end
            return ("%d %d %s "):format(state.count, state.bytes, state.last)
          end
        end
        return mine
      end }
    return cluster, states, events, function() is_broken = false end
  end

  it("is told, and tried again; the log stays", function()
    for text, fn in pairs {
      ["snapshot: not today"] = function() error("not today", 0) end,
      ["snapshot: expected a string, got nil"] = function() end,
      ["snapshot: snapshot cannot yield"] = function() coroutine.yield() end,
    } do
      local cluster <close>, states, events, mend =
        broken { snapshot = fn }
      local node = cluster:up():node("n1")
      fill(node, 8)
      local err = wait_for(events.n1.warnings)
      assert.equal(text, err.message)
      assert.equal(1, node:status().first)
      assert.equal(0, node:status().snapshot)
      local _, why = node:take_snapshot()
      assert.equal(text, why.message)
      assert.same({}, files(cluster.dir:join "n1", "^snap"))
      mend()
      wait_for(events.n1.snapshots)  -- without being asked
      assert.is_true(node:status().snapshot > 0)
      assert.equal(8, states.n1.count)
    end
  end)

  it("leaves the one before", function()
    local is_broken = false
    local cluster <close>, states, events = new { extra = function(_, state)
      return { snapshot = function()
        if is_broken then error("not today", 0) end
        return ("%d %d %s "):format(state.count, state.bytes, state.last)
      end }
    end }
    local node = cluster:up():node("n1")
    fill(node, 2)
    local info = assert(node:take_snapshot())
    is_broken = true
    fill(node, 2)
    assert.is_nil((node:take_snapshot()))
    wait_for(events.n1.warnings)
    assert.equal(info.index, node:status().snapshot)
    node = cluster:restart("n1")
    assert(node:ready())
    assert.equal(4, states.n1.count)
    assert.equal(2, states.n1.applied)
  end)
end)

describe("snapshot_mode", function()
  it("fork lets a child write it", function()
    local tmp <close> = tmpdir.new()
    local cluster <close>, states = new { mode = "fork",
      extra = function(_, state)
        return { snapshot = function()
          io.open(tmp:join(("%d"):format(uv.os_getpid())), "w"):close()
          return ("%d %d %s "):format(state.count, state.bytes, state.last)
        end }
      end }
    local node = cluster:up():node("n1")
    fill(node, 5)
    local info = assert(node:take_snapshot())
    assert.equal("fork", info.mode)
    local found = files(tmp.path, ".")
    assert.equal(1, #found)
    assert.not_equal(("%d"):format(uv.os_getpid()), found[1])
    assert.equal(0, states.n1.saves)
    node = cluster:restart("n1")
    assert(node:ready())
    assert.equal(5, states.n1.count)
    assert.equal(0, states.n1.applied)
  end)

  it("auto forks once the node was blocked for too long", function()
    local block_ms = 0
    local cluster <close>, _, events = new { extra = function(_, state)
      return { snapshot = function()
        local till = uv.hrtime() + block_ms * 1000000
        while uv.hrtime() < till do end -- luacheck: ignore
        return ("%d %d %s "):format(state.count, state.bytes, state.last)
      end }
    end }
    local node = cluster:up():node("n1")
    local modes = {}
    for _, ms in ipairs { 0, 70, 70 } do
      block_ms = ms
      fill(node, 1)
      local info = assert(node:take_snapshot())
      modes[#modes + 1] = info.mode
    end
    assert.same({ "inline", "inline", "fork" }, modes)
    assert.is_true(events.n1.snapshots[2].blocked_ms >= 70)
  end)

  it("a child that dies harms nobody, and is told", function()
    local is_deadly, own = true, uv.os_getpid()
    local cluster <close>, states, events = new { mode = "fork",
      extra = function(_, state)
        return { snapshot = function()
          if is_deadly and uv.os_getpid() ~= own then
            uv.kill(uv.os_getpid(), "sigkill")
          end
          return ("%d %d %s "):format(state.count, state.bytes, state.last)
        end }
      end }
    local node = cluster:up():node("n1")
    fill(node, 2)
    local _, err = node:take_snapshot()
    assert.equal("io_error", err.code)
    assert.truthy(err.message:find("killed by signal 9", 1, true))
    assert.same(err, wait_for(events.n1.warnings))
    assert.equal(3, assert(node:propose("z")))
    assert.same({}, files(cluster.dir:join "n1", "^snap"))
    is_deadly = false
    assert(node:take_snapshot())
    assert.equal(3, states.n1.count)
  end)
end)

describe("a follower that was away", function()
  -- Closed, and silent for so long that nothing is shipped to it any more.
  local function close(cluster, leader, id)
    cluster:close_node(id)
    support.wait_until(function()
      return leader:status().peers[id].silent_ms > SILENT_MS
    end, 10000, "its silence")
  end

  it("gets the state, and not what is gone", function()
    local cluster <close>, states = new { nodes = 3,
      snapshot_bytes = 128 << 10 }
    cluster:up()
    local leader, leader_id = cluster:leader()
    local away = leader_id == "n1" and "n2" or "n1"
    fill(leader, 2)
    close(cluster, leader, away)
    fill(leader, 150)
    support.wait_until(function()
      return leader:status().first > 20
    end, 10000, "the log to begin later")
    local node = cluster:start(away)
    assert(node:ready { timeout = 20000 })
    support.wait_until(function()
      return states[away].count == 152
    end, 10000, "all of it")
    assert.is_true(#states[away].restored >= 1)
    assert.is_true(states[away].applied < 150)
    assert.equal(153, assert(leader:propose("and on")))
    support.wait_until(function()
      return states[away].count == 153
    end, 10000, "what follows")
    assert.is_true(node:status().snapshot > 0)
  end)

  it("fails when it cannot take the state over", function()
    local bad = false
    local cluster <close>, states = new { nodes = 3,
      snapshot_bytes = 128 << 10, extra = function(id)
        return { restore = id == bad and function()
          error("not here", 0)
        end or nil }
      end }
    cluster:up()
    local leader, leader_id = cluster:leader()
    bad = leader_id == "n1" and "n2" or "n1"
    close(cluster, leader, bad)
    fill(leader, 150)
    support.wait_until(function()
      return leader:status().first > 20
    end, 10000, "the log to begin later")
    local node = cluster:start(bad)
    support.wait_until(function()
      return node:status().state == "failed"
    end, 20000, "the failure")
    assert.equal("restore: not here", node:status().failure.message)
    assert.equal(0, states[bad].applied)
  end)
end)
