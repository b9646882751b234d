-- Lab 3D of MIT 6.5840: snapshots. Every server takes one after each tenth
-- command. See spec/labs/harness.lua.
local codec = require "raft.codec"
local lab = require("spec.labs.lab").define(it)
local labs = require "spec.labs.harness"

local expect = labs.expect
local INTERVAL <const> = 10        -- commands between two snapshots
local MAXLOGSIZE <const> = 2000    -- bytes of log on any server
local ITERATIONS <const> = 30
local ALL_CRASHES <const> = 5
local SERVERS <const> = 3

-- A server of the labs that also takes snapshots.
local function snapshotter(t, id)
  local server = t:recorder(id)
  local taken = 0
  server.snapshot = function() return codec.encode(t.logs[id]) end
  server.restore = function(bytes)
    local log = t.logs[id]
    for i in pairs(log) do log[i] = nil end
    for i, command in ipairs(codec.decode(bytes)) do
      log[i] = command
      t:note_applied(id, i, command)
    end
    taken = #log // INTERVAL
    t.installs = (t.installs or 0) + 1
  end
  server.on = { applied = function()
    if #t.logs[id] // INTERVAL == taken then return end
    taken = #t.logs[id] // INTERVAL
    t.s.members[id].node:take_snapshot(function(err)
      if not err then t.snapshots = (t.snapshots or 0) + 1 end
    end)
  end }
  return server
end

local function any(t) return t.random:below(1 << 30) end

-- Perhaps enough commands for a snapshot.
local function start_some(t, id)
  for _ = 1, INTERVAL // 2 + t.random:below(INTERVAL) do t:start(id, any(t)) end
end

local function check_log_size(t)
  t:each(function(id)
    local bytes = t:log_bytes(id) or 0
    expect(bytes <= MAXLOGSIZE, "the log of %s has %d bytes", id, bytes)
  end)
end

-- Takes the victim away and brings it back, each as `how` says.
local LEAVE <const> = {
  disconnect = function(t, victim) t:disconnect(victim) end,
  crash = function(t, victim) t:crash(victim) end,
}
local RETURN <const> = {
  disconnect = function(t, victim) t:connect(victim) end,
  crash = function(t, victim) t:restart(victim) end,
}

-- A server is away while the others commit more than their logs keep.
local function common(t, how)
  t:one(any(t), SERVERS, true)
  local leader = t:check_one_leader()
  for i = 0, ITERATIONS - 1 do
    local victim, sender = t:after(leader, 1), leader
    if i % 3 == 1 then victim, sender = sender, victim end
    if how then
      LEAVE[how](t, victim)
      t:one(any(t), SERVERS - 1, true)
    end
    start_some(t, sender)
    t:one(any(t), how and SERVERS - 1 or SERVERS, true)
    check_log_size(t)
    if how then
      RETURN[how](t, victim)
      t:one(any(t), SERVERS, true)
      leader = t:check_one_leader()
    end
  end
  expect((t.snapshots or 0) > 0, "no snapshot was taken")
end

local function crash_all(t)
  t:crash(table.unpack(t.s.ids))
  t:restart(table.unpack(t.s.ids))
end

local function snap(name, options, fn)
  options.servers, options.node = SERVERS, snapshotter
  lab(name, options, fn)
end

describe("lab 3D", function()
  snap("SnapshotBasic3D", {}, function(t) common(t, false) end)

  snap("SnapshotInstall3D", {}, function(t)
    common(t, "disconnect")
  end)

  snap("SnapshotInstallUnreliable3D", { is_unreliable = true },
    function(t) common(t, "disconnect") end)

  snap("SnapshotInstallCrash3D", {}, function(t)
    common(t, "crash")
  end)

  snap("SnapshotInstallUnCrash3D", { is_unreliable = true },
    function(t) common(t, "crash") end)

  snap("SnapshotAllCrash3D", {}, function(t)
    t:one(any(t), SERVERS, true)
    for _ = 1, ALL_CRASHES do
      for _ = 1, INTERVAL // 2 + t.random:below(INTERVAL) do
        t:one(any(t), SERVERS, true)
      end
      local before = t:one(any(t), SERVERS, true)
      crash_all(t)
      local after = t:one(any(t), SERVERS, true)
      expect(after > before, "the index went from %d to %d", before, after)
    end
  end)

  -- The snapshot must be there after a second crash as well.
  snap("SnapshotInit3D", {}, function(t)
    t:one(any(t), SERVERS, true)
    for _ = 1, INTERVAL + 1 do t:one(any(t), SERVERS, true) end
    crash_all(t)
    t:one(any(t), SERVERS, true)
    crash_all(t)
    t:one(any(t), SERVERS, true)
    expect(t.installs and t.installs >= SERVERS, "nothing was restored")
  end)
end)
