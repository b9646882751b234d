-- Real processes, and a follower that only a snapshot can bring up: killed on
-- the way, or its leader is, while all others go on writing.
local Processes = require "spec.support.processes"
local helper = require "spec.support.helper"

local OUTSTANDING <const> = 8

-- A child that writes a snapshot goes after all others of the machine.
local PATIENCE_MS <const> = 120000

-- Keeps these processes busy until fn() is true.
local function load_until(processes, prefix, fn, ms)
  local made = 0
  helper.wait_until(function()
    for _, process in ipairs(processes) do
      while not process.status and process:open_count() < OUTSTANDING do
        made = made + 1
        process:propose(("%s.%s.%d"):format(prefix, process.id, made))
      end
    end
    return fn()
  end, ms or 20000, "work to be done: " .. prefix)
  return made
end

local function acknowledged(cluster)
  local count = 0
  for _, outcome in pairs(cluster.outcomes) do
    if outcome == "ok" then count = count + 1 end
  end
  return count
end

-- A cluster of which one is away, and its log has gone from the others.
-- @return cluster, leader, the one that is away
local function cluster_without_one(mib)
  helper.patience(PATIENCE_MS)
  local cluster = Processes.new { state_mib = mib, election = "300,600" }
  cluster:start()
  local leader = cluster:leader()
  leader:propose("first")
  cluster:settle()
  local away = cluster:others(leader)[1]
  away:kill()
  load_until({ leader }, "before", function()
    return acknowledged(cluster) > 400
  end)
  leader:ask("take", "took", PATIENCE_MS)
  assert.is_true(tonumber(leader.last.took[2]) > 100,
    table.concat(leader.last.took, " "))
  return cluster, leader, away
end

local function progress(leader, peer)
  return tonumber(leader:ask("progress " .. peer, "progress")[2])
end

-- Writes go on until the one that was away has a snapshot; then all is the
-- same everywhere.
local function wait_up(cluster, away)
  local busy = {}
  for _, id in ipairs(cluster.ids) do
    if id ~= away.id then busy[#busy + 1] = cluster:process(id) end
  end
  load_until(busy, "during", function()
    return away.last.loaded
  end, 30000)
  cluster:settle()
  assert.is_true(cluster:check() > 400)
end

describe("a follower that needs a snapshot", function()
  it("gets it while others write, and has what they have", function()
    local cluster <close>, _, away = cluster_without_one(8)
    away = cluster:start(away.id)
    wait_up(cluster, away)
    assert.is_true(tonumber(away.last.loaded[3]) > 7 << 20)
  end)

  it("is killed on the way, and goes on where it was", function()
    local cluster <close>, leader, away = cluster_without_one(24)
    for i = 1, 3 do
      away = cluster:start(away.id)
      helper.wait_until(function()
        local sent = progress(leader, away.id)
        return sent and sent > i * 4 << 20
      end, 20000, "a part of it")
      away:kill()
    end
    away = cluster:start(away.id)
    wait_up(cluster, away)
  end)

  it("gets it from the next leader, when the first is killed", function()
    local cluster <close>, leader, away = cluster_without_one(24)
    local other = cluster:others(leader)
    other = other[1] == away and other[2] or other[1]
    other:ask("take", "took", PATIENCE_MS)
    away = cluster:start(away.id)
    helper.wait_until(function()
      local sent = progress(leader, away.id)
      return sent and sent > 4 << 20
    end, 20000, "a part of it")
    leader:kill()
    cluster:start(leader.id)
    wait_up(cluster, away)
  end)

  it("needs little memory for it, and so does its leader", function()
    local MIB <const>, MOST_MIB <const> = 64, 40
    local cluster <close>, leader, away = cluster_without_one(MIB)
    away = cluster:start(away.id)
    wait_up(cluster, away)
    local is_asan = os.getenv "RAFT_ASAN" ~= nil  -- its own memory counts, too
    for _, process in ipairs { leader, away } do
      local most = tonumber(process:ask("memory")[2])
      assert.is_true(is_asan or most < MOST_MIB,
        ("%s had %d MiB"):format(process.id, most))
    end
  end)
end)
