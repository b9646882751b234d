-- Real processes: killed, stopped, started again.
local Processes = require "spec.support.processes"
local helper = require "spec.support.helper"

local KILLS <const> = 20
local OUTSTANDING <const> = 8  -- proposals under way at each process

-- Keeps each process busy until fn() is true. Returns how many it proposed.
local function load_until(cluster, prefix, fn)
  local made = 0
  helper.wait_until(function()
    for _, id in ipairs(cluster.ids) do
      local process = cluster:process(id)
      while not process.status and process:open_count() < OUTSTANDING do
        made = made + 1
        process:propose(("%s.%s.%d"):format(prefix, id, made))
      end
    end
    return fn()
  end, 10000, "work to be done: " .. prefix)
  return made
end

-- How many were acknowledged so far.
local function acknowledged(cluster)
  local count = 0
  for _, outcome in pairs(cluster.outcomes) do
    if outcome == "ok" then count = count + 1 end
  end
  return count
end

describe("processes", function()
  local cluster
  before_each(function()
    cluster = Processes.new()
    cluster:start()
    cluster:leader()
  end)
  after_each(function() cluster:close() end)

  it("lose nothing and do nothing twice while leaders are killed", function()
    for round = 1, KILLS do
      local leader = cluster:leader()
      local before = acknowledged(cluster)
      load_until(cluster, "r" .. round, function()
        return acknowledged(cluster) >= before + 10
      end)
      leader:kill()
      assert.equal(9, leader.signal)
      cluster:start(leader.id)
      cluster:leader(leader)
    end
    cluster:settle()
    assert.truthy(cluster:check() >= KILLS * 10)
  end)

  it("each come back with what they had", function()
    for i = 1, 10 do cluster:process("n1"):propose("a" .. i) end
    cluster:settle()
    for _, id in ipairs(cluster.ids) do
      cluster:process(id):kill()
      cluster:start(id)
      cluster:leader()
      cluster:process(id):propose("from." .. id)
      cluster:settle()
    end
    assert.truthy(cluster:check() >= 10)
  end)

  it("all killed at once come back with what was acknowledged", function()
    for round = 1, 3 do
      local before = acknowledged(cluster)
      load_until(cluster, "k" .. round, function()
        return acknowledged(cluster) >= before + 20
      end)
      for _, id in ipairs(cluster.ids) do
        cluster:process(id):signal_it("sigkill")
      end
      for _, id in ipairs(cluster.ids) do cluster:process(id):wait_end() end
      cluster:start()
      cluster:leader()
    end
    cluster:settle()
    assert.truthy(cluster:check() >= 60)
  end)

  it("a leader that was stopped for a while answers nothing old", function()
    local leader = cluster:leader()
    leader:propose("before")
    cluster:settle()
    leader:signal_it("sigstop")
    leader:send("query old")       -- waits in its pipe
    leader:propose("stale")
    local second = cluster:leader(leader)
    for i = 1, 5 do second:propose("new" .. i) end
    helper.wait_until(function() return second:open_count() == 0 end)
    assert.equal("ok", cluster.outcomes.new5)
    leader:signal_it("sigcont")
    helper.wait_until(function() return cluster.outcomes.old end, 10000,
      "the old leader's answer")
    if cluster.outcomes.old == "ok" then
      assert.truthy(tonumber(cluster.results.old) >= 6)
    end
    cluster:settle()
    cluster.outcomes.old = nil
    cluster:check()
    local status = leader:ask("status")
    assert.equal("running", status[2])
  end)

  it("a follower that was stopped causes no election", function()
    local leader = cluster:leader()
    local term = leader:term()
    local follower = cluster:others(leader)[1]
    follower:signal_it("sigstop")
    for i = 1, 30 do leader:propose("x" .. i) end
    helper.wait_until(function() return leader:open_count() == 0 end)
    -- Longer than its time-out: by the leader's clock, in commits.
    local n = 0
    local from = require("luv").hrtime()
    while (require("luv").hrtime() - from) / 1e6 < 250 do
      n = n + 1
      leader:propose("y" .. n)
      helper.wait_until(function() return leader:open_count() == 0 end)
    end
    follower:signal_it("sigcont")
    cluster:check()
    assert.is_true(leader:is_leader())
    assert.equal(term, tonumber(leader:ask("status")[4]))
  end)

  it("end with status 0 at SIGTERM, whatever is under way", function()
    local leader = cluster:leader()
    for i = 1, 50 do leader:propose("x" .. i) end
    for _, id in ipairs(cluster.ids) do
      cluster:process(id):signal_it("sigterm")
    end
    for _, id in ipairs(cluster.ids) do
      local process = cluster:process(id)
      process:wait_end()
      assert.same({ 0, 0 }, { process.status, process.signal })
      assert.truthy(process.last.after, "raft.run returned")
      assert.same({}, process.errors)
    end
    cluster:start()
    cluster:leader()
    cluster:check()
  end)

  it("end with another status when the node fails, and say why", function()
    local leader = cluster:leader()
    leader:propose("fail")
    leader:wait_end()
    assert.equal(1, leader.status)
    assert.is_nil(leader.last.after)
    assert.equal("apply_error", leader.last.failed[2])
    local text = table.concat(leader.errors, "\n")
    assert.truthy(text:find("node " .. leader.id .. " failed", 1, true), text)
    assert.truthy(text:find("not enough memory", 1, true), text)
  end)
end)
