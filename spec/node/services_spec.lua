-- Services of real nodes in one process: their proxies, errors, events.
local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local map = require "raft.services.map"
local raft = require "raft"

local function counter(changes)
  local def = { name = "counter", init = function() return { n = 0 } end,
    commands = {
      add = function(s, k)
        s.n = s.n + k
        emit("added", k, s.n)
        return s.n
      end,
      boom = function() error("boom", 0) end,
      refuse = function() return nil, { why = "because" } end,
      state = function(s) return s end,
      version = function() return entry.version end,
    },
    queries = { total = function(s) return s.n end },
  }
  for name, value in pairs(changes or {}) do def[name] = value end
  return raft.service(def)
end

-- One node, with events kept in `heard`.
local function alone(options)
  local given = { id = "n1", volatile = true, log = false,
    election_timeout = { 10, 20 }, members = { n1 = "127.0.0.1:0" } }
  for name, value in pairs(options) do given[name] = value end
  return raft.node(given)
end

describe("services of three nodes", function()
  local cluster, leader, follower
  local heard = {}

  setup(function()
    cluster = Cluster.new { is_calm = true, node = function(id)
      heard[id] = {}
      return { services = { counter(), counter {
        name = "other" } } }
    end }
    cluster:up()
    leader, follower = cluster:leader(), cluster:followers()[1]
    for _, id in ipairs(cluster.ids) do
      cluster:node(id).counter.on("added", function(k, n)
        heard[id][#heard[id] + 1] = k .. ":" .. n
      end)
    end
  end)
  teardown(function() cluster:close() end)

  it("run commands and queries on every node", function()
    for _, id in ipairs(cluster.ids) do
      local node = cluster:node(id)
      local before = node.other.total()
      assert.equal(before + 2, node.other.add(2))
      assert.equal(before + 2, node.other:total())
    end
  end)

  it("answer in callbacks", function()
    local results = {}
    follower.other.add(1, function(err, n) results.add = { err, n } end)
    follower.other.total(function(err, n) results.total = { err, n } end)
    assert.is_nil(results.add)
    helper.wait_until(function() return results.add and results.total end, 5000,
      "answers")
    assert.is_number(results.add[2])
    assert.is_number(results.total[2])
  end)

  it("tell every node what was emitted, in order, after apply", function()
    local n = follower.counter.add(1)
    leader.counter.add(2)
    local wanted = { "1:" .. n, "2:" .. n + 2 }
    for _, id in ipairs(cluster.ids) do
      helper.wait_until(function() return #heard[id] == 2 end, 5000,
        "events at " .. id)
      assert.same(wanted, heard[id])
    end
  end)

  it("say what failed", function()
    local function is_code(code, result, err)
      assert.is_nil(result)
      assert.equal(code, err.code)
      return err
    end
    local err = is_code("apply_error", leader.counter.boom())
    assert.equal("counter.boom: boom", err.message)
    assert.equal("boom", err.value)
    assert.equal("counter.boom", err.where)
    assert.same({ why = "because" },
      is_code("refused", follower.counter.refuse()).value)
    is_code("unsupported", leader.counter.nope())
    assert.same({ n = leader.counter.total() }, leader.counter.state())
  end)

  it("have proxies with options of their own", function()
    local stale = follower:service("counter", { consistency = "stale" })
    assert.is_number(stale.total())
    local quick = follower:service("counter", { timeout = 0 })
    local _, err = quick.add(1)
    assert.equal("timeout", err.code)
  end)

  it("are what a node has, and no other", function()
    local ok, why = pcall(function() leader:service("nope") end)
    assert.is_false(ok)
    assert.truthy(why:find("services_spec.lua:%d+: node:service: there is no "
      .. "service nope on this node: it has counter, other"), why)
    assert.is_nil(leader.nope)
    ok, why = pcall(function() leader.counter = 1 end)
    assert.is_false(ok)
    assert.truthy(why:find("node.counter: read-only", 1, true))
  end)
end)

describe("a node with services", function()
  it("hears again what was emitted behind the snapshot it begins with",
    function()
      local heard = {}
      local cluster <close> = Cluster.new { nodes = 1, node = function()
        return { service = counter() }
      end }
      cluster:up()
      local node = cluster:leader()
      node.counter.add(1)
      assert(node:take_snapshot())
      node.counter.add(2)
      node:close()  -- a stop would take another snapshot
      node = raft.node(cluster:options_of("n1", {
        service = counter() }))
      cluster.objects[#cluster.objects + 1] = node
      node.counter.on("added", function(k, n)
        heard[#heard + 1] = k .. ":" .. n
      end)
      assert(node:start())
      assert(node:ready())
      node.counter.add(4)
      helper.wait_until(function() return #heard == 2 end, 5000, "events")
      assert.same({ "2:3", "4:7" }, heard)
    end)

  it("leaves a snapshot when it stops", function()
    local cluster <close> = Cluster.new { nodes = 1, node = function()
      return { service = counter() }
    end }
    cluster:up()
    local node = cluster:leader()
    node.counter.add(5)
    assert(node:stop())
    local status = node:status()
    assert.equal(status.applied, status.snapshot)
    -- Another definition of the same version has nothing to apply again.
    node = raft.node(cluster:options_of("n1", { service = counter {
      commands = { add = function(s) s.n = s.n + 1000 return s.n end } } }))
    cluster.objects[#cluster.objects + 1] = node
    assert(node:start())
    assert(node:ready())
    assert.equal(5, node.counter.total())
  end)

  it("reports what a handler raises, and goes on", function()
    local errors = {}
    local node <close> = alone { service = counter(), on = {
      error = function(err) errors[#errors + 1] = err end } }
    local n = 0
    local function bad() error("in the handler", 0) end
    node.counter.on("added", bad)
    node.counter.on("added", function() n = n + 1 end)
    assert(node:start())
    assert(node:ready())
    node.counter.add(1)
    helper.wait_until(function() return n == 1 and #errors == 1 end, 5000,
      "the handlers")
    assert.equal("handler of counter.added: in the handler", errors[1].message)
    assert.is_true(node.counter.off("added", bad))
    assert.is_false(node.counter.off("added", bad))
    node.counter.add(1)
    helper.wait_until(function() return n == 2 end, 5000, "the handler")
    assert.equal(1, #errors)
  end)

  it("tells no handler that one before it has taken off", function()
    local node <close> = alone { service = counter() }
    local heard = {}
    local function second() heard[#heard + 1] = "second" end
    node.counter.on("added", function()
      heard[#heard + 1] = "first"
      node.counter.off("added", second)
    end)
    node.counter.on("added", second)
    assert(node:start())
    assert(node:ready())
    for _ = 1, 2 do node.counter.add(1) end
    helper.wait_until(function() return #heard >= 2 end, 5000, "the handlers")
    assert.same({ "first", "first" }, heard)
  end)

  it("tells each handler values of its own", function()
    local node <close> = alone { service = counter { commands = {
      add = function() emit("added", { n = 1 }) return true end } } }
    local heard = {}
    for i = 1, 2 do
      node.counter.on("added", function(value)
        heard[i] = value.n
        value.n = 5
      end)
    end
    assert(node:start())
    assert(node:ready())
    node.counter.add()
    helper.wait_until(function() return #heard == 2 end, 5000, "the handlers")
    assert.same({ 1, 1 }, heard)
  end)

  it("lets nothing of the library be called in a command", function()
    local it = {}
    local node <close> = alone { service = counter { commands = {
      add = function() return it.node.counter.add(1) end,
      ask = function() return it.node.counter.total() end,
      nope = function() return it.node.counter.xyzzy() end,
      hear = function() it.node.counter.on("added", print) end,
      watch = function() map.watch(it.remote, "", print) end,
      proxy = function() it.node:service("counter") end } }, on = {
      error = function() end } }
    local client <close> = raft.client { members = { "127.0.0.1:1" } }
    it.node, it.remote = node, client:service("counter")
    assert(node:start())
    assert(node:ready())
    for _, name in ipairs { "add", "ask", "nope", "hear", "watch",
      "proxy" } do
      local _, err = node.counter[name]()
      assert.equal("apply_error", err.code)
      assert.equal("reentrant", err.cause and err.cause.code, name)
    end
  end)

  it("blames who waits where nothing can wait", function()
    local node <close> = alone { service = counter() }
    assert(node:start())
    local ok, why
    local co = coroutine.wrap(function()
      -- Nothing can be suspended across the C function that calls this.
      string.gsub("x", "x", function()
        ok, why = pcall(function() node.counter.add(1) end)
      end)
    end)
    co()
    assert.is_false(ok)
    assert.truthy(why:find("nothing can wait here: give a callback", 1, true))
  end)

  it("fails where memory or the stack ran out in a command", function()
    local node <close> = alone { service = counter { commands = {
      deep = function()
        local function deeper(n) return 1 + deeper(n) end
        return pcall(deeper)
      end } } }
    assert(node:start())
    assert(node:ready())
    local _, err = node.counter.deep()
    assert.equal("failed", err.code)
    assert.equal("failed", node:status().state)
  end)

  it("ends over a state that it lacks the service of", function()
    for _, has_snapshot in ipairs { true, false } do
      local cluster <close> = Cluster.new { nodes = 1, node = function()
        return { service = counter() }
      end }
      cluster:up()
      assert.equal(5, cluster:leader().counter.add(5))
      if has_snapshot then assert(cluster:leader():take_snapshot()) end
      cluster:leader():stop()
      local failure
      local node = raft.node(cluster:options_of("n1", {
        service = counter { name = "other" },
        on = { failed = function(err) failure = err end } }))
      cluster.objects[#cluster.objects + 1] = node
      local ok, err = node:start()
      helper.wait_until(function() return failure end, 5000, "the end")
      assert.equal("unsupported", failure.code)
      assert.equal("service counter is in use, and this node has no definition "
        .. "of it", failure.message)
      assert.equal("failed", node:status().state)
      if has_snapshot then assert.same({ nil, failure }, { ok, err }) end
    end
  end)
end)
