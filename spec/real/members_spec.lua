-- Real processes whose cluster changes under load.
local Processes = require "spec.support.processes"
local helper = require "spec.support.helper"
local raft = require "raft"

local OUTSTANDING <const> = 4  -- proposals under way at each process
local WAIT_MS <const> = 20000
local PATIENCE_MS <const> = 120000

-- Keeps those that do not go busy until fn() is true.
local function load_until(cluster, work, leaving, fn)
  helper.wait_until(function()
    for _, id in ipairs(cluster.ids) do
      local process = cluster:process(id)
      local takes_part = id ~= leaving and work.members[id]
      while takes_part and process:open_count() < OUTSTANDING do
        work.made = work.made + 1
        process:propose(("w%d"):format(work.made), "write")
      end
    end
    return fn()
  end, WAIT_MS, "work to be done")
end

local function acknowledged(cluster)
  local count = 0
  for _, outcome in pairs(cluster.outcomes) do
    if outcome == "ok" then count = count + 1 end
  end
  return count
end

-- Some more writes are answered.
local function some_more(cluster, work, leaving)
  local from = acknowledged(cluster)
  load_until(cluster, work, leaving, function()
    return acknowledged(cluster) >= from + 20
  end)
end

-- Whoever leads has let go of the log that a new node would need.
local function compact_all(cluster)
  cluster:leader():ask("fill 10 64", "filled", PATIENCE_MS)
  for _, id in ipairs(cluster.ids) do
    local process = cluster:process(id)
    process:ask("take", "took", PATIENCE_MS)
    assert.is_true(tonumber(process.last.took[2]) > 0,
      table.concat(process.last.took, " "))
  end
end

describe("members, real processes", function()
  it("are all five replaced under load, every write with success", function()
    helper.patience(PATIENCE_MS)
    -- Nobody shall be elected because the machine is busy: what such a leader
    -- of the past had appended may be lost.
    local cluster <close> = Processes.new { nodes = 5, state_mib = 1,
      snapshot_mode = "inline", election = "1500,3000" }
    cluster:start()
    cluster:leader()
    local work = { made = 0, members = {} }
    for _, id in ipairs(cluster.ids) do work.members[id] = true end
    for i = 1, 5 do
      local old, new = "n" .. i, "n" .. i + 5
      some_more(cluster, work)
      compact_all(cluster)
      cluster:join(new)
      local via = cluster:process("n" .. i + 1)
      local is_done = cluster:change(via, { [old] = false,
        [new] = cluster.members[new] })
      load_until(cluster, work, old, is_done)
      work.members[new], work.members[old] = true, nil
      some_more(cluster, work, old)
      load_until(cluster, work, old, function()
        return cluster:process(old):open_count() == 0
      end)
      cluster:retire(old)
      assert.truthy(cluster:process(new).last.loaded, "not by a snapshot")
    end
    some_more(cluster, work)
    cluster:settle()
    for command, outcome in pairs(cluster.outcomes) do
      assert.equal("ok", outcome, command .. " " ..
        tostring(cluster.results[command]))
    end
    assert.is_true(cluster:check() >= 100)
  end)

  -- Fault O1.
  it("lose their leader by a change, and nothing else", function()
    local cluster <close> = Processes.new { nodes = 3 }
    cluster:start()
    local leader = cluster:leader()
    local work = { made = 0, members = { n1 = true, n2 = true, n3 = true } }
    some_more(cluster, work)
    local is_done = cluster:change(leader, { [leader.id] = false })
    load_until(cluster, work, leader.id, is_done)
    work.members[leader.id] = nil
    some_more(cluster, work, leader.id)
    assert.are_not.equal(leader.id, cluster:leader(leader).id)
    helper.wait_until(function() return leader.last.warning end)
    cluster:settle()
    cluster:retire(leader.id)
    for command, outcome in pairs(cluster.outcomes) do
      assert.equal("ok", outcome, command)
    end
    cluster:check()
  end)

  -- Fault O3: two of three are gone for ever.
  it("begin anew from one directory, and grow again", function()
    local cluster <close> = Processes.new { nodes = 3 }
    cluster:start()
    cluster:leader()
    local work = { made = 0, members = { n1 = true, n2 = true, n3 = true } }
    some_more(cluster, work)
    cluster:settle()
    for _, id in ipairs { "n1", "n2", "n3" } do cluster:process(id):kill() end
    cluster:retire("n1")
    cluster:retire("n2")
    local account = assert(raft.recover(cluster.dir:join("n3")))
    assert.equal("n3", account.id)
    cluster:start("n3")
    cluster:leader()
    cluster:join("n4")
    local is_done = cluster:change(cluster:process("n3"), {
      n4 = cluster.members.n4 })
    work.members = { n3 = true }
    load_until(cluster, work, false, is_done)
    cluster:settle()
    cluster:check()
  end)

  it("that were killed in a change go on with it", function()
    local cluster <close> = Processes.new { nodes = 3 }
    cluster:start()
    cluster:leader()
    cluster:join("n4")
    for _ = 1, 6 do
      local leader = cluster:leader()
      leader.last.changed = nil
      local words = leader.id == "n4" and "n1=-"
        or "n4=" .. cluster.members.n4
      leader:send("change " .. words)
      leader:propose("a" .. tostring(leader:term()) .. leader.id)
      leader:kill()
      cluster:start(leader.id)
      cluster:leader(leader)
    end
    local is_done = cluster:change(cluster:process("n2"), {
      n4 = cluster.members.n4, n1 = cluster.members.n1 })
    helper.wait_until(is_done, WAIT_MS, "all four")
    cluster:settle()
    cluster:check()
  end)
end)
