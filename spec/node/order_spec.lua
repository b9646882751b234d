-- Random work against a cluster whose leaders go: what was acknowledged is
-- there once, what was refused is not, and each node's own order is kept.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"

local ROUNDS <const> = 6   -- leaders that end
local BURST <const> = 20   -- proposals of each node at a time

-- One node object's proposals: { command, outcome } in call order.
local function propose_some(node, made, prefix, open)
  for _ = 1, math.random(BURST) do
    local item = { command = prefix .. ":" .. (#made + 1), outcome = "open" }
    made[#made + 1] = item
    open.count = open.count + 1
    node:propose(item.command, { timeout = 3000 }, function(err)
      assert(item.outcome == "open", "answered twice")
      item.outcome = err and err.outcome or "ok"
      open.count = open.count - 1
    end)
  end
end

local function positions_of(list)
  local positions = {}
  for i, command in ipairs(list) do
    assert(not positions[command], command .. " was applied twice")
    positions[command] = i
  end
  return positions
end

-- What the answers of one node object promise of the final list.
local function check(made, positions, prefix)
  local last, counts = 0, { ok = 0, none = 0, unknown = 0 }
  for _, item in ipairs(made) do
    local at = positions[item.command]
    counts[item.outcome] = counts[item.outcome] + 1
    if item.outcome == "ok" then
      assert(at, item.command .. " was acknowledged and is gone")
      assert(at > last, item.command .. " overtook an older one")
      last = at
    elseif item.outcome == "none" then
      assert(not at, item.command .. " was refused and is there")
    end
  end
  assert(counts.open == nil, prefix)
  return counts.ok
end

describe("proposals while leaders go", function()
  it("keep every promise", function()
    local seed = helper.seed()
    local cluster <close> = Cluster.new()
    cluster:up()
    local all, open, births = {}, { count = 0 }, {}
    local function made_by(id)
      local prefix = id .. "." .. (births[id] or 1)
      all[prefix] = all[prefix] or {}
      return all[prefix], prefix
    end
    for round = 1, ROUNDS do
      for _ = 1, 5 do
        for _, id in ipairs(cluster.ids) do
          local made, prefix = made_by(id)
          propose_some(cluster:node(id), made, prefix, open)
        end
        cluster:node("n1"):read { consistency = "stale" }
        helper.wait_until(function() return open.count < 3 * BURST end)
      end
      local _, leader = cluster:leader()
      if round % 2 == 0 then
        cluster:node(leader):stop()
      else
        cluster:close_node(leader)
      end
      for _, id in ipairs(cluster.ids) do  -- nobody leads just now
        if id ~= leader then
          local made, prefix = made_by(id)
          propose_some(cluster:node(id), made, prefix, open)
        end
      end
      births[leader] = (births[leader] or 1) + 1
      helper.wait_until(function()
        local node = cluster:new_node(leader)
        cluster.nodes[leader] = node
        return node:start()
      end)
    end
    helper.wait_until(function() return open.count == 0 end, 8000, "answers")
    for _, id in ipairs(cluster.ids) do
      assert(cluster:node(id):read { timeout = 8000 })
    end
    assert.same(cluster.applied.n1, cluster.applied.n2)
    assert.same(cluster.applied.n1, cluster.applied.n3)
    local positions, acknowledged = positions_of(cluster.applied.n1), 0
    for prefix, made in pairs(all) do
      acknowledged = acknowledged + check(made, positions, prefix)
    end
    assert(acknowledged > ROUNDS * 5, "too few went through, seed " .. seed)
  end)
end)
