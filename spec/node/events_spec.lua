local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"

local function recorder(list, names)
  local on = {}
  for _, name in ipairs(names) do
    on[name] = function(...) list[#list + 1] = table.pack(name, ...) end
  end
  return on
end

local function names_of(list)
  local names = {}
  for i, event in ipairs(list) do names[i] = event[1] end
  return table.concat(names, " ")
end

describe("events of a node alone", function()
  it("come in the order in which things happened", function()
    local list = {}
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:start("n1", { on = recorder(list, { "role", "leader",
      "membership", "applied", "closed", "failed", "warning", "error" }) })
    assert.equal("", names_of(list))  -- never inside another call
    node:ready()
    node:propose("x")
    node:stop()
    helper.wait_until(function() return list[#list][1] == "closed" end)
    local role, leader = 0, 0
    local applied = {}
    for i, event in ipairs(list) do
      if event[1] == "role" and event[2] == "leader" then role = i end
      if event[1] == "leader" then leader = i end
      if event[1] == "applied" then applied[#applied + 1] = event[2] end
    end
    assert.equal("membership", list[1][1])
    assert.equal(1, list[1][3])
    assert.same(node:members(), list[1][2])
    assert.equal(role + 1, leader)
    assert.equal("n1", list[leader][2])
    assert.equal(cluster.members.n1, list[leader][3])
    assert.equal(list[role][3], list[leader][4])  -- the term
    for i = 2, #applied do assert.truthy(applied[i] > applied[i - 1]) end
    assert.equal(3, applied[#applied])  -- configuration, no-op, command
    assert.is_nil(names_of(list):find("failed"))
  end)

  it("applied comes once a batch, and after the callbacks", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:start("n1")
    node:ready()
    local batches, order, count = 0, {}, 0
    node:on("applied", function()
      batches = batches + 1
      order[#order + 1] = "event"
    end)
    for _ = 1, 100 do
      node:propose("x", function()
        count = count + 1
        if count == 100 then order[#order + 1] = "callback" end
      end)
    end
    helper.wait_until(function() return order[#order] == "event" end)
    assert.truthy(batches < 100)
    assert.equal("callback", order[#order - 1])
  end)

  it("on returns the function, off forgets it", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:start("n1")
    node:ready()
    local heard = 0
    local function fn() heard = heard + 1 end
    assert.equal(fn, node:on("applied", fn))
    node:propose("x")
    helper.wait_until(function() return heard == 1 end)
    assert.is_true(node:off("applied", fn))
    assert.is_false(node:off("applied", fn))
    node:propose("x")
    node:propose("x")
    assert.equal(1, heard)
  end)

  it("a handler that raises disturbs nobody, and on.error hears", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:start("n1")
    node:ready()
    local heard = 0
    node:on("applied", function() error("in a handler", 0) end)
    node:on("applied", function() heard = heard + 1 end)
    node:propose("x")
    helper.wait_until(function() return heard == 1 and cluster.errors.n1[1] end)
    assert.equal("in a handler", cluster.errors.n1[1].value)
    assert.equal("handler of applied", cluster.errors.n1[1].where)
    assert.equal("running", node:status().state)
  end)

  it("a handler cannot yield", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local node = cluster:start("n1")
    node:ready()
    node:on("applied", function() coroutine.yield() end)
    node:propose("x")
    helper.wait_until(function() return cluster.errors.n1[1] end)
    assert.truthy(cluster.errors.n1[1].message:find("yield", 1, true))
  end)

  it("failed comes once, after the answers, and closed does not", function()
    local list = {}
    local cluster <close> = Cluster.new { nodes = 1, node = function()
      return { apply = function(command)
        if command == "fail" then error("not enough memory", 0) end
      end }
    end }
    local node = cluster:start("n1",
      { on = recorder(list, { "failed", "closed" }) })
    node:ready()
    node:propose("fail", function(err) list[#list + 1] = { err.code } end)
    helper.wait_until(function() return #list == 2 end)
    node:close()
    node:stop()
    assert.equal("failed failed", names_of(list))
    assert.equal("apply_error", list[2][2].code)
    assert.equal(node:status().failure, list[2][2])
  end)
end)

describe("events of a cluster", function()
  it("tell everybody who leads, and when nobody does", function()
    local heard = {}
    local cluster <close> = Cluster.new { node = function(id)
      heard[id] = {}
      return { on = recorder(heard[id], { "leader", "role" }) }
    end }
    cluster:up()
    local _, first = cluster:leader()
    cluster:close_node(first)
    local _, second = cluster:leader()
    assert.not_equal(first, second)
    for _, id in ipairs(cluster.ids) do
      local leaders, last_term = {}, 0
      for _, event in ipairs(heard[id]) do
        if event[1] == "leader" then
          leaders[#leaders + 1] = event[2] or "nobody"
          assert.truthy(event[4] >= last_term)
          last_term = event[4]
          assert.equal(event[2] and cluster.members[event[2]], event[3])
        end
      end
      local text = table.concat(leaders, " ")
      if id ~= first then
        assert.truthy(text:find(first .. ".*nobody.*" .. second), text)
      end
    end
  end)

  it("wait for no work: an election with a queue of proposals", function()
    local cluster <close> = Cluster.new()
    cluster:start()
    local count = 0
    for _, id in ipairs(cluster.ids) do
      cluster:node(id):propose("from " .. id, function(err)
        assert(not err, err)
        count = count + 1
      end)
    end
    helper.wait_until(function() return count == 3 end)
    cluster:settle(3)
    assert.same(cluster.applied.n1, cluster.applied.n2)
    assert.same(cluster.applied.n1, cluster.applied.n3)
  end)
end)
