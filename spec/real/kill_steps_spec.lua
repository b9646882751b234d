-- kill -9 at every step of a snapshot, at points inside the processes: see
-- spec/support/kill_points.lua. Each is reached, nothing acknowledged is lost,
-- all nodes agree, and nothing is left lying about.
local Processes = require "spec.support.processes"
local helper = require "spec.support.helper"
local uv = require "luv"

local PATIENCE_MS <const> = 120000

-- Of who takes a snapshot, in order.
local TAKING <const> = {
  { "after open making" }, { "after write making", nth = 2 },
  { "before close making" }, { "after close making" },
  { "before fsync making" }, { "after fsync making" },
  { "before rename making" }, { "after rename making" },
  { "published" }, { "made" }, { "mark" },
  { "before write segment" }, { "after write segment" },
  { "before unlink snapshot" }, { "after unlink snapshot" },
}

-- Of who then lets the log before it go.
local LETTING_GO <const> = {
  { "compact" }, { "after write identity" },
  { "after write identity", nth = 2 }, { "before unlink segment" },
  { "after unlink segment" },
}

-- Of who gets one.
local RECEIVING <const> = {
  { "after open incoming" }, { "after write incoming", nth = 4 },
  { "after write incoming", nth = 9 }, { "after fsync incoming" },
  { "before rename incoming" }, { "after rename incoming" },
  { "received" }, { "taken" }, { "mark" }, { "install" }, { "installed" },
}

-- Of who sends one.
local SENDING <const> = { "pinned", "offered", "half", "arrived" }

-- Proposes through a process and waits for the answers.
local function write(process, prefix, count)
  for i = 1, count do process:propose(prefix .. "." .. i) end
  helper.wait_until(function() return process:open_count() == 0 end, 10000,
    "answers of " .. process.id)
end

local function written(cluster)
  local count = 0
  for _, outcome in pairs(cluster.outcomes) do
    if outcome == "ok" then count = count + 1 end
  end
  return count
end

-- Names in a directory that match.
local function files(cluster, id, pattern)
  local names = {}
  for name in uv.fs_scandir_next, uv.fs_scandir(cluster.dir:join(id)) do
    if name:find(pattern) then names[#names + 1] = name end
  end
  return names
end

-- One snapshot each, and nothing half done.
local function check_files(cluster)
  for _, id in ipairs(cluster.ids) do
    local process = cluster:process(id)
    write(process, "last." .. id, 1)
    process:ask("take", "took", PATIENCE_MS)
    assert.is_true(tonumber(process.last.took[2]) > 0,
      table.concat(process.last.took, " "))
    helper.wait_until(function()  -- for what nobody sends any more 5 s
      return #files(cluster, id, "%.snap$") == 1
    end, 15000, "one snapshot of " .. id)
    assert.same({}, files(cluster, id, "snap%.tmp$"))
    assert.same({}, files(cluster, id, "^incoming"))
  end
end

local SILENT_MS <const> = 200  -- some heartbeats
local FILLS_MAX <const> = 32  -- MiB: a new segment is twice as large

-- Until a segment is full and may go.
local function take_until_killed(victim, point)
  for _ = 1, FILLS_MAX do
    for _, order in ipairs { "fill 17 64", "take" } do
      local answer = order == "take" and "took" or "filled"
      victim.last[answer] = nil
      victim:send(order)
      helper.wait_until(function()
        return victim.last[answer] or victim:is_over()
      end, PATIENCE_MS, answer)
    end
    if victim:is_over() then break end
  end
  victim:wait_killed(point)
end

local function new_cluster(state_mib, mode)
  helper.patience(PATIENCE_MS)
  local cluster = Processes.new { state_mib = state_mib, has_kills = true,
    election = "300,600", snapshot_mode = mode }
  cluster:start()
  write(cluster:leader(), "first", 1)
  return cluster
end

describe("kill -9", function()
  it("at every step of taking a snapshot", function()
    local cluster <close> = new_cluster(2, "inline")
    for i, step in ipairs(TAKING) do
      local leader = cluster:leader()
      local victim = i % 2 == 0 and leader or cluster:others(leader)[1]
      write(victim, "a" .. i, 5)
      victim:send(("kill %d %s"):format(step.nth or 1, step[1]))
      victim:send("take")
      victim:wait_killed(step[1])
      cluster:start(victim.id)
      write(cluster:leader(), "b" .. i, 5)
    end
    check_files(cluster)
    assert.equal(written(cluster), cluster:check())
  end)

  it("at every step of letting the log go", function()
    local cluster <close> = new_cluster(1, "inline")
    for i, step in ipairs(LETTING_GO) do
      local leader = cluster:leader()
      local victim = i % 2 == 0 and leader or cluster:others(leader)[1]
      victim:send(("kill %d %s"):format(step.nth or 1, step[1]))
      take_until_killed(victim, step[1])
      cluster:start(victim.id)
      write(cluster:leader(), "l" .. i, 5)
    end
    check_files(cluster)
    assert.equal(written(cluster), cluster:check())
  end)

  it("of a process whose child writes one, and of the child", function()
    local cluster <close> = new_cluster(2, "fork")
    for i = 1, 2 do
      local leader = cluster:leader()
      local victim = i == 1 and leader or cluster:others(leader)[1]
      write(victim, "c" .. i, 3)
      victim:send "doom yes"
      victim:ask("take", "took", PATIENCE_MS)
      assert.same({ "took", "0", "io_error" }, victim.last.took)
      helper.wait_until(function() return victim.last.warning end)
      assert.equal("io_error", victim.last.warning[2])
      victim.last.warning = nil
      victim:send "doom no"
      write(victim, "d" .. i, 3)
      victim:send("kill 1 forked")
      victim:send("take")
      victim:wait_killed("forked")
      cluster:start(victim.id)
      write(cluster:leader(), "e" .. i, 3)
    end
    check_files(cluster)
    assert.equal(written(cluster), cluster:check())
  end)

  -- Nothing is shipped to who has not spoken since the last heartbeat.
  local function wait_for_silence(leader, id)
    helper.wait_until(function()
      leader:send("silence " .. id)
      local last = leader.last.silence
      return last and (tonumber(last[2]) or 0) > SILENT_MS
    end, PATIENCE_MS, "silence")
    leader.last.silence = nil
  end

  -- One is away, and its log has gone from the leader.
  local function leave_behind(cluster, prefix)
    local leader = cluster:leader()
    local away = cluster:others(leader)[1]
    away:kill()
    wait_for_silence(leader, away.id)
    write(leader, prefix, 3)
    leader:ask("fill 10 64", "filled", PATIENCE_MS)
    leader:ask("take", "took", PATIENCE_MS)
    assert.is_true(tonumber(leader.last.took[2]) > 0)
    return leader, away.id
  end

  it("at every step of getting a snapshot", function()
    local cluster <close> = new_cluster(3, "inline")
    for i, step in ipairs(RECEIVING) do
      local leader, id = leave_behind(cluster, "f" .. i)
      cluster.kills[id] = ("%d %s"):format(step.nth or 1, step[1])
      cluster:start(id):wait_killed(step[1])
      cluster.kills[id] = nil
      local again = cluster:start(id)
      write(leader, "g" .. i, 5)
      write(again, "h" .. i, 1)
      assert.truthy(again.last.loaded)
    end
    check_files(cluster)
    assert.equal(written(cluster), cluster:check())
  end)

  it("at every step of sending one", function()
    local cluster <close> = new_cluster(3, "inline")
    for i, point in ipairs(SENDING) do
      local leader, id = leave_behind(cluster, "i" .. i)
      leader:send("kill 1 " .. point)
      local away = cluster:start(id)
      leader:wait_killed(point)
      cluster:start(leader.id)
      write(cluster:leader(), "j" .. i, 5)
      write(away, "k" .. i, 1)
    end
    check_files(cluster)
    assert.equal(written(cluster), cluster:check())
  end)
end)
