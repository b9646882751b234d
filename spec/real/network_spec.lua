local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"

-- Proposes until it was acknowledged `count` times, through any node that
-- takes it. Each command has a name of its own.
local function acknowledge(cluster, count, prefix, ids)
  local done = {}
  local tries = 0
  while #done < count do
    tries = tries + 1
    assert(tries < 50 * count, "nothing is acknowledged")
    local id = ids[tries % #ids + 1]
    local command = prefix .. tries
    local result = cluster:node(id):propose(command, { timeout = 300 })
    if result then done[#done + 1] = command end
  end
  return done
end

-- All nodes have the same list, in it these once, and nothing twice.
local function check_all(cluster, acknowledged)
  for _, id in ipairs(cluster.ids) do
    assert(cluster:node(id):read { timeout = 8000 })
  end
  local first, seen = cluster.applied[cluster.ids[1]], {}
  for _, id in ipairs(cluster.ids) do
    assert.same(first, cluster.applied[id])
  end
  for _, command in ipairs(first) do
    assert(not seen[command], command .. " was applied twice")
    seen[command] = true
  end
  for _, command in ipairs(acknowledged) do
    assert(seen[command], command .. " is lost")
  end
end

local function others(cluster, id)
  local list = {}
  for _, other in ipairs(cluster.ids) do
    if other ~= id then list[#list + 1] = other end
  end
  return list
end

describe("a network that breaks", function()
  local cluster
  before_each(function()
    cluster = Cluster.new { proxied = true }
    cluster:up()
  end)
  after_each(function() cluster:close() end)

  it("a leader cut off steps down; the others go on; all agree", function()
    local leader, id = cluster:leader()
    local before = acknowledge(cluster, 3, "a", { id })
    cluster:isolate(id)
    local late
    leader:propose("cut off", { timeout = 15000 }, function(err)
      late = err and err.code or "ok"
    end)
    local rest = others(cluster, id)
    cluster:leader(id)
    helper.wait_until(function() return not leader:is_leader() end)
    local _, err = leader:read { timeout = 50 }
    assert.equal("timeout", err.code)
    local during = acknowledge(cluster, 3, "b", rest)
    cluster:heal()
    helper.wait_until(function() return late end, 10000, "the late answer")
    assert.equal("lost", late)
    table.move(during, 1, #during, #before + 1, before)
    check_all(cluster, before)
  end)

  it("a leader that hears nobody steps down", function()
    local leader, id = cluster:leader()
    for _, other in ipairs(others(cluster, id)) do cluster:cut(other, id) end
    helper.wait_until(function() return not leader:is_leader() end, 5000,
      "the deaf leader to step down")
    local second = select(2, cluster:leader(id))
    local done = acknowledge(cluster, 3, "b", { second })
    cluster:heal()
    check_all(cluster, done)
  end)

  it("a leader that nobody hears steps down", function()
    local leader, id = cluster:leader()
    for _, other in ipairs(others(cluster, id)) do cluster:cut(id, other) end
    helper.wait_until(function() return not leader:is_leader() end, 5000,
      "the dumb leader to step down")
    local second = select(2, cluster:leader(id))
    local done = acknowledge(cluster, 3, "b", { second })
    cluster:heal()
    check_all(cluster, done)
  end)

  it("a follower cut off comes back without an election", function()
    local leader = cluster:leader()
    local _, ids = cluster:followers()
    local term = leader:status().term
    cluster:isolate(ids[1])
    helper.wait_until(function()
      return cluster:node(ids[1]):status().role == "pre_candidate"
    end)
    local done = acknowledge(cluster, 5, "a", { leader.id })
    cluster:heal()
    check_all(cluster, done)
    assert.equal(term, leader:status().term)
    assert.is_true(leader:is_leader())
  end)

  it("two who do not hear each other both follow the third", function()
    local _, id = cluster:leader()
    local rest = others(cluster, id)
    cluster:cut(rest[1], rest[2])
    cluster:cut(rest[2], rest[1])
    local term = cluster:node(id):status().term
    local done = acknowledge(cluster, 9, "a", cluster.ids)
    check_all(cluster, done)
    assert.equal(term, cluster:node(id):status().term)
  end)

  it("a proposal on its way when the link breaks is unknown, or done",
    function()
      local _, ids = cluster:followers()
      local outcomes, answered = {}, 0
      for i = 1, 40 do
        cluster:node(ids[1]):propose("r" .. i, { timeout = 4000 },
          function(err)
            outcomes["r" .. i] = err and err.outcome or "ok"
            answered = answered + 1
          end)
        if i % 10 == 5 then
          cluster:each_proxy(function(proxy) proxy:reset() end)
        end
        if i % 3 == 0 then
          cluster:node(ids[1]):read { timeout = 4000 }
        end
      end
      helper.wait_until(function() return answered == 40 end)
      local done = {}
      for command, outcome in pairs(outcomes) do
        if outcome == "ok" then done[#done + 1] = command end
      end
      assert.truthy(#done >= 20, #done)
      check_all(cluster, done)
    end)

  it("a forward swallowed on its way ends by its time", function()
    local _, ids = cluster:followers()
    local _, id = cluster:leader()
    cluster:cut(ids[1], id)
    local from = cluster:node(ids[1])
    local _, err = from:propose("x", { timeout = 40 })
    assert.truthy(err.code == "timeout" or err.code == "unknown", err.code)
    assert.equal("unknown", err.outcome)
    cluster:heal()
    check_all(cluster, acknowledge(cluster, 2, "y", { ids[1] }))
  end)

  it("slow links are only slow", function()
    cluster:each_proxy(function(proxy) proxy:delay(8) end)
    check_all(cluster, acknowledge(cluster, 6, "a", cluster.ids))
  end)

  it("links that flap do not make terms grow without bound", function()
    local term = cluster:leader():status().term
    local done = {}
    for i = 1, 6 do
      local id = cluster.ids[i % 3 + 1]
      cluster:isolate(id)
      local more = acknowledge(cluster, 2, "f" .. i .. ".",
        others(cluster, id))
      cluster:heal()
      table.move(more, 1, #more, #done + 1, done)
    end
    check_all(cluster, done)
    assert.truthy(cluster:leader():status().term <= term + 20)
  end)
end)
