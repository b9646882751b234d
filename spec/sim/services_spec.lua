-- Services in a simulated cluster: the same on every node, under faults, and
-- over upgrades.
local codec = require "raft.codec"
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local linearizable = require "raft.sim.linearizable"
local models = require "raft.sim.models"
local raft = require "raft"
local sim = require "raft.sim"

-- Each of the functions does what would differ from node to node.
local function bag()
  return raft.service { name = "bag",
    init = function() return { items = {}, log = {} } end,
    commands = {
      put = function(s, key)
        s.items[key] = math.random(1000)
        s.log[#s.log + 1] = os.date("%S") .. key
        return os.time()
      end,
      drop = function(s)
        local key = next(s.items)
        if key == nil then return nil, "empty" end
        s.items[key] = nil
        return key
      end,
      shuffle = function(s)
        local list = {}
        for key, weight in pairs(s.items) do
          list[#list + 1] = { key = key, weight = weight % 3 }
        end
        table.sort(list, function(a, b) return a.weight < b.weight end)
        for i, item in ipairs(list) do s.log[i] = item.key .. math.random(9) end
        return table.concat(s.log, " ")
      end,
    },
    queries = { state = function(s) return s end } }
end

-- What every node has as its state, as bytes; all must be there.
local function states(s, name, query)
  local all = {}
  for i, id in ipairs(s.ids) do
    local proxy = s:node(id):service(name, { timeout = 10000 })
    all[i] = codec.encode(assert(proxy[query]()))
  end
  return all
end

local function assert_equal_states(s, name, query)
  local all = states(s, name, query)
  for i = 2, #all do assert.equal(all[1], all[i]) end
  return codec.decode(all[1])
end

describe("a service in a simulation", function()
  it("is the same on every node, whatever it asks for", function()
    local s <close> = sim.new { seed = helper.seed(), nodes = 3,
      node = function() return { service = bag(), snapshot_bytes = 2000 } end }
    s:run(function()
      local proxy, done = s:client():service("bag"), 0
      for i = 1, 60 do  -- a crash may leave an answer unknown
        done = done + (proxy.put("k" .. i * 7 % 23) and 1 or 0)
        if i % 5 == 0 then proxy.drop() end
        if i % 9 == 0 then proxy.shuffle() end
        if i % 20 == 0 then
          local id = s.ids[i // 20]
          s:crash(id)
          s:restart(id)
        end
      end
      assert.is_true(done > 50)
      local state = assert_equal_states(s, "bag", "state")
      assert.is_string(next(state.items))
    end)
    assert(s:check())
  end)

  it("shows what the guard cannot see", function()
    local keys_of  -- gets its function after raft.service
    local function leaky()
      return raft.service { name = "leaky",
        init = function() return { t = { a = 1, b = 2, c = 3, d = 4, e = 5 } }
        end,
        commands = { go = function(s) return keys_of(s.t) end } }
    end
    local definition = leaky()
    function keys_of(t)
      local keys = {}
      for key in pairs(t) do keys[#keys + 1] = key end
      return table.concat(keys)
    end
    local s <close> = sim.new { seed = 1, nodes = 3,
      node = function() return { service = definition } end }
    local ok, why = pcall(s.run, s, function()
      local proxy = s:client():service("leaky")
      for _ = 1, 5 do proxy.go() end
      s:sleep(1000)
    end)
    assert.is_false(ok)
    assert.truthy(errors.text(why):find("divergence", 1, true))
  end)

  it("shows a query that changes the state", function()
    local def = raft.service { name = "spy", init = function() return {} end,
      commands = { go = function() end },
      queries = { look = function(s) s.looks = (s.looks or 0) + 1 end } }
    local s <close> = sim.new { seed = 1, nodes = 1,
      node = function() return { service = def } end }
    local ok, why = pcall(s.run, s, function()
      local proxy = s:client():service("spy")
      proxy.go()
      proxy.look()
      s:sleep(10)
    end)
    assert.is_false(ok)
    assert.truthy(errors.text(why):find("queries: spy.look has changed the "
      .. "state", 1, true))
  end)

  it("is heard at every node, in order", function()
    local heard = {}
    local def = raft.service { name = "bell", init = function() return {} end,
      commands = { ring = function(_, n) emit("rung", n, entry.index) end } }
    local s <close> = sim.new { seed = 3, nodes = 3,
      node = function() return { service = def } end }
    s:run(function()
      s:wait(function() return s:leader() end)
      for _, id in ipairs(s.ids) do
        heard[id] = {}
        s:node(id).bell.on("rung", function(n)
          heard[id][#heard[id] + 1] = n
        end)
      end
      for i = 1, 5 do s:client():service("bell").ring(i) end
      s:wait(function() return s:is_settled() end)
    end)
    for _, id in ipairs(s.ids) do assert.same({ 1, 2, 3, 4, 5 }, heard[id]) end
  end)
end)

------------------------------------------------------------------- upgrades --

local function account(version)
  local older = version > 1 and account(1) or nil
  local def = { name = "account", version = version, older = { older },
    init = function() return { total = 0 } end,
    commands = { add = function(s, k)
      s.total = s.total + k
      return s.total
    end },
    queries = { state = function(s) return s end,
      version = function() return entry.version end } }
  if version == 2 then
    def.init = function() return { cents = 0, upgrades = 0 } end
    def.upgrade = function(s, from)
      return { cents = s.total * 100, upgrades = (s.upgrades or 0) + 1,
        from = from, index = entry.index }
    end
    def.commands = {
      add = function(s, k)
        s.cents = s.cents + 100 * k
        return s.cents // 100
      end,
      add_cents = function(s, k)
        s.cents = s.cents + k
        return s.cents
      end }
  end
  return raft.service(def)
end

-- A cluster whose nodes run the version that stands in `versions`.
local function cluster(versions, options)
  options.node = function(id)
    return { service = account(versions[id] or 1) }
  end
  return sim.new(options)
end

local function upgrade(s, versions, id)
  versions[id] = 2
  s:crash(id, "process")
  s:restart(id)
  assert(s:wait(function()
    return s:node(id):status().state == "running"
  end, 10000))
  assert(s:node(id):ready { timeout = 10000 })
end

local function version_at(s, id)
  return s:node(id):service("account", { timeout = 10000 }).version()
end

describe("an upgrade of a service", function()
  for _, has_snapshot in ipairs { false, true } do
    it("goes node by node" .. (has_snapshot and ", over a snapshot" or ""),
      function()
        local versions = {}
        local s <close> = cluster(versions, { seed = helper.seed(), nodes = 3 })
        s:run(function()
          local account_ = s:client():service("account")
          assert.equal(5, account_.add(5))
          for i, id in ipairs(s.ids) do
            if has_snapshot then assert(s:node(id):take_snapshot()) end
            upgrade(s, versions, id)
            assert.equal(5 + i, account_.add(1))
            if i < 3 then
              assert.equal(1, version_at(s, id))
              local _, err = s:node(id).account.add_cents(1)
              assert.equal("refused", err.code)
            end
          end
          assert(s:wait(function()
            return version_at(s, "n1") == 2
          end, 5000))
          local client = s:client():service("account")
          assert.equal(801, client.add_cents(1))
          local state = assert_equal_states(s, "account", "state")
          assert.same({ cents = 801, upgrades = 1, from = 1,
            index = state.index }, state)
        end)
        assert(s:check())
      end)
  end

  it("needs no older code once it is over: there is a snapshot", function()
    local versions = {}
    local s <close> = cluster(versions, { seed = 5, nodes = 1 })
    s:run(function()
      local account_ = s:client():service("account")
      assert.equal(5, account_.add(5))
      upgrade(s, versions, "n1")
      assert(s:wait(function()
        return s:node("n1"):status().snapshot > 0
      end, 5000))
      assert.equal(2, version_at(s, "n1"))
      assert.equal(6, account_.add(1))
    end)
    assert(s:check())
  end)

  it("waits for no member that was removed", function()
    local versions = {}
    local s <close> = cluster(versions, { seed = helper.seed(), nodes = 4 })
    s:run(function()
      local account_ = s:client():service("account")
      assert.equal(5, account_.add(5))
      for _, id in ipairs { "n1", "n2", "n3" } do upgrade(s, versions, id) end
      s:sleep(1000)
      assert.equal(1, version_at(s, "n1"))
      assert.same({ account = { version = 2, in_use = 1,
        lacking = { "n4" } } }, s:node("n1"):status().services)
      assert(s:node("n1"):remove("n4"))
      assert(s:wait(function() return version_at(s, "n1") == 2 end, 5000))
      assert(s:wait(function()
        return s:node("n1"):status().snapshot > 0
      end, 5000))
      assert.equal(6, s:client():service("account").add(1))
    end)
    assert(s:check())
  end)

  it("cannot be gone back from: an old node ends, and says so", function()
    local versions, failure = { n1 = 2, n2 = 2, n3 = 2 }, nil
    local s <close> = sim.new { seed = 9, nodes = 3, may_fail = true,
      node = function(id)
        return { service = account(versions[id]), on = {
          failed = function(err) failure = err end } }
      end }
    s:run(function()
      local account_ = s:client():service("account")
      assert.equal(5, account_.add(5))
      versions.n3 = 1
      s:crash("n3", "process")
      s:restart("n3")
      s:wait(function() return failure end, 10000)
    end)
    assert.equal("unsupported", failure.code)
    assert.truthy(failure.message:find("service account is in use at version 2",
      1, true))
  end)
end)

---------------------------------------------------------------------- swarm --

local SEEDS <const>, MS <const> = 3, 15000
local CLIENTS <const> = 3

local function counter()
  return raft.service { name = "counter",
    init = function() return { n = 0 } end,
    commands = { add = function(s, k)
      s.n = s.n + k
      emit("added", s.n)
      return s.n
    end },
    queries = { total = function(s) return s.n end } }
end

local function work(s, name, stop_ms, done)
  local random = s.world:random("work " .. name)
  local client <close> = s:client(name)
  local proxy
  s:wait(function() return next(s.members.n1.services) end, 10000)
  proxy = client:service("counter", { timeout = 3000 })
  while s:now() < stop_ms do
    if random:chance(0.5) then
      proxy.add(random:between(1, 9))
    else
      proxy.total()
    end
    s:sleep(random:between(0, 200))
  end
  done()
end

local function workload(s)
  local stop_ms, left = s:now() + MS, CLIENTS
  for i = 1, CLIENTS do
    s:spawn(function()
      work(s, "c" .. i, stop_ms, function() left = left - 1 end)
    end)
  end
  s:wait(function() return left == 0 end, MS + 30000)
end

-- The history as the checker takes it.
local function history(s)
  local list = {}
  for _, o in ipairs(s:history()) do
    local input
    if o.kind == "query" then
      input = { op = "get" }
    elseif o.kind == "propose" and o.client ~= "liveness" then
      local call = codec.decode(o.input)
      input = { op = "add", by = call[3][1] }
    end
    if input then
      list[#list + 1] = { client = o.client, key = "n", call = o.call,
        back = o.back, input = input, output = o.output, outcome = o.outcome }
    end
  end
  return list
end

local function check(s)
  local verdict, info = linearizable.check(history(s), models.counter(),
    { steps_max = 200000 })
  if verdict == "violation" then return nil, info.text end
  return true
end

describe("the swarm over a service", function()
  it("finds a linearizable counter", function()
    local first = helper.seed()
    local count = 0
    local report, err = sim.explore { seeds = { first, first + SEEDS - 1 },
      nodes = 5, node = function() return { service = counter() } end,
      workload = workload, duration_ms = MS, shrink = false,
      check = function(s)
        count = count + #history(s)
        return check(s)
      end,
      probe = codec.encode { "counter", "add", { 0 }, 1, 1 },
      say = function() end }
    assert.is_truthy(report, errors.text(err))
    assert.is_true(count > 20, "too little was done: " .. count)
  end)
end)
