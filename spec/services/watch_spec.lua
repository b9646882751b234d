-- Watches of maps and configurations, and workers of queues.
local config = require "raft.services.config"
local errors = require "raft.errors"
local map = require "raft.services.map"
local one_service = require "spec.support.one_service"
local proxies = require "raft.service.proxy"
local queue = require "raft.services.queue"
local raft = require "raft"
local support = require "spec.support.helper"

local TIMEOUT <const> = errors.new("timeout", "nobody there")
local CLOSED <const> = errors.new("closed", "it is over")
local HOUR_MS <const> = 3600000

-- Waits until the list has so many items, and some turns more: all of them in
-- one line.
local function line(list, count)
  support.wait_until(function() return #list >= count end, nil,
    count .. " items")
  raft.sleep(5)
  return table.concat(list, ", ")
end

-- A node of its own with this service, on the loop of the test.
local function node_with(service)
  local node = raft.node { id = "n1", volatile = true, log = false,
    members = { n1 = "127.0.0.1:0" }, election_timeout = { 10, 20 },
    service = service }
  assert(node:start())
  assert(node:ready())
  return node
end

describe("map.watch", function()
  -- A watch that notes what it is told as "key=value@version".
  local function watch(proxy, prefix, opts)
    local list = {}
    opts = opts or {}
    opts.poll_ms = opts.poll_ms or 1
    opts.ready = function(version) list[#list + 1] = "ready@" .. version end
    local it = map.watch(proxy, prefix or "", function(key, value, version)
      list[#list + 1] = ("%s=%s@%d"):format(key, tostring(value), version)
    end, opts)
    return it, list
  end

  it("tells what is there, then every change", function()
    local it = one_service.new(map {})
    it:run("put", "b", 1)
    it:run("put", "a", false)
    local watch_ <close>, list = watch(it:proxy())
    assert.equal("a=false@2, b=1@1, ready@2", line(list, 3))
    it:run("put", "a", 2)
    it:run("put", "a", 3)
    it:run("delete", "b")
    assert.equal("a=false@2, b=1@1, ready@2, a=2@3, a=3@4, b=nil@5",
      line(list, 6))
    assert.equal(5, watch_.version)
  end)

  it("tells of an empty map that it is", function()
    local it = one_service.new(map {})
    local _ <close>, list = watch(it:proxy())
    assert.equal("ready@0", line(list, 1))
  end)

  it("tells only what begins with the prefix", function()
    local it = one_service.new(map {})
    it:run("put", "a/1", 1)
    it:run("put", "b", 1)
    local _ <close>, list = watch(it:proxy(), "a/")
    line(list, 2)
    it:run("put", "b", 2)
    it:run("put", "a/2", 2)
    assert.equal("a/1=1@1, ready@2, a/2=2@4", line(list, 3))
  end)

  it("misses nothing while it reads page after page", function()
    local it = one_service.new(map {})
    for i = 1, 250 do it:run("put", ("k%03d"):format(i), i) end
    local proxy, pages = it:proxy(), 0
    rawset(proxy, "list", function(...)
      pages = pages + 1
      if pages == 2 then  -- one that was told, and one that was not yet
        it:run("delete", "k001")
        it:run("put", "k240", "new")
      end
      return it:ask("list", ...)
    end)
    local _ <close>, list = watch(proxy)
    line(list, 252)
    assert.equal(252, #list)
    assert.equal("k001=1@1", list[1])
    assert.equal("k240=new@252", list[240])
    assert.equal("k001=nil@251", list[251])
    assert.equal("ready@252", list[252])
  end)

  it("that falls behind compares", function()
    local it = one_service.new(map { history_max = 2 })
    for _, key in ipairs { "a", "b", "c" } do it:run("put", key, 1) end
    local _ <close>, list = watch(it:proxy())
    line(list, 4)
    it:run("put", "d", 1)
    it:run("delete", "d")
    it:run("delete", "a")
    it:run("put", "b", 2)
    it:run("put", "b", 3)
    assert.equal("a=1@1, b=1@2, c=1@3, ready@3, b=3@8, a=nil@8",
      line(list, 6))
  end)

  it("does not go back where who is asked lags behind", function()
    local it = one_service.new(map {})
    it:run("put", "a", 1)
    local old, proxy = it:ask("list"), it:proxy()
    local watch_ <close>, list = watch(proxy)
    line(list, 2)
    it:run("delete", "a")
    it:run("put", "b", 1)
    line(list, 4)
    local asked = 0
    rawset(proxy, "changes", function() return false end)
    rawset(proxy, "list", function()
      asked = asked + 1
      return old
    end)
    support.wait_until(function() return asked > 2 end)
    rawset(proxy, "changes", nil)
    it:run("put", "b", 2)
    assert.equal("a=1@1, ready@1, a=nil@2, b=1@3, b=2@4", line(list, 5))
    assert.equal(4, watch_.version)
  end)

  it("tells that a key has expired, and none that had before", function()
    local it = one_service.new(map {})
    it:run("put", "a", 1, 100)
    it:run("put", "b", 1, 10)
    it.time = 1050
    it.machine.newest = { index = 9, term = 1, time = 1050 }
    local _ <close>, list = watch(it:proxy())
    line(list, 2)
    it.time = 1100
    it:run("sweep")
    assert.equal("a=1@1, ready@2, a=nil@4", line(list, 3))
  end)

  it("asks again after an error, and ends where that is final", function()
    local it, heard = one_service.new(map {}), {}
    local proxy = it:proxy()
    proxy.err = TIMEOUT
    local watch_, list = watch(proxy, "", { error = function(err)
      heard[#heard + 1] = err.code
    end })
    raft.sleep(5)
    assert.equal(0, #list)
    proxy.err = false
    assert.equal("ready@0", line(list, 1))
    proxy.err = CLOSED
    assert.equal("closed", line(heard, 1))
    assert.is_true(watch_.is_closed)
  end)

  it("tells what its function raises, and goes on", function()
    local it, heard = one_service.new(map {}), {}
    it:run("put", "a", 1)
    it:run("put", "b", 1)
    local watch_ <close> = map.watch(it:proxy(), "", function(key)
      error("not " .. key, 0)
    end, { poll_ms = 1, error = function(err) heard[#heard + 1] = err.message
    end })
    assert.truthy(line(heard, 2):find("not a", 1, true))
    assert.truthy(heard[2]:find("not b", 1, true))
    assert.is_false(watch_.is_closed)
  end)

  it("tells nothing once it is closed", function()
    local it = one_service.new(map {})
    local watch_, list = watch(it:proxy())
    line(list, 1)
    watch_:close()
    it:run("put", "a", 1)
    raft.sleep(5)
    assert.equal("ready@0", table.concat(list, ", "))
  end)

  it("hears of changes at a node at once", function()
    local node <close> = node_with(map {})
    local watch_, list = watch(node.map, "", { poll_ms = HOUR_MS })
    line(list, 1)
    for i = 1, 3 do node.map.put("a", i) end
    assert.equal("ready@0, a=1@1, a=2@2, a=3@3", line(list, 4))
    watch_:close()
    node.map.put("a", 4)
    raft.sleep(5)
    assert.equal(4, #list)
  end)

  it("hears no more of a node once it has ended", function()
    local heard, object = {}, { query = function() return nil, CLOSED end }
    local proxy = proxies.new(object, "map", { commands = {},
      queries = { list = true } }, {}, function(method, event)
        heard[#heard + 1] = method .. " " .. event
        return true
      end)
    map.watch(proxy, "", print, { error = function() end })
    assert.equal("on change, off change", line(heard, 2))
  end)

  it("refuses what it cannot use, and blames who called", function()
    local it = one_service.new(map {})
    local line_ = debug.getinfo(1, "l").currentline + 1
    local ok, why = pcall(function() map.watch(it:proxy(), 5) end)
    assert.is_false(ok)
    assert.truthy(why:find("watch_spec.lua:" .. line_ .. ": map.watch: expected"
      .. " a prefix as a string, got 5", 1, true), why)
    ok, why = pcall(function() map.watch(it:proxy(), "", 5) end)
    assert.is_false(ok)
    assert.truthy(why:find("watch_spec.lua:" .. line_ + 4 .. ": map.watch: "
      .. "expected a function, got 5", 1, true), why)
    ok, why = pcall(map.watch, it:proxy(), "", print, { pol = 1 })
    assert.is_false(ok)
    assert.truthy(why:find("map.watch: pol: unknown option", 1, true), why)
  end)
end)

describe("config.watch", function()
  local function watch(proxy, opts)
    local list = {}
    local it = config.watch(proxy, function(settings, version, changed)
      list[#list + 1] = ("%d: n %s (%s)"):format(version,
        tostring(settings.n), table.concat(changed, " "))
    end, opts or { poll_ms = 1 })
    return it, list
  end

  local function new()
    return config { history_max = 2, fields = {
      n = { type = "integer", default = 1 }, m = { type = "any" } } }
  end

  it("tells the settings, then every version of them", function()
    local it = one_service.new(new())
    local _ <close>, list = watch(it:proxy())
    line(list, 1)
    it:run("set", "n", 2)
    it:run("update", { n = 3, m = 1 })
    it:run("unset", "m")
    assert.equal("0: n 1 (n), 1: n 2 (n), 2: n 3 (m n), 3: n 3 (m)",
      line(list, 4))
  end)

  it("does not go back where who is asked lags behind", function()
    local it = one_service.new(new())
    local old, proxy = it:ask("all"), it:proxy()
    local _ <close>, list = watch(proxy)
    line(list, 1)
    it:run("set", "n", 2)
    line(list, 2)
    local asked = 0
    rawset(proxy, "since", function() return false end)
    rawset(proxy, "all", function()
      asked = asked + 1
      return old
    end)
    support.wait_until(function() return asked > 2 end)
    rawset(proxy, "since", nil)
    it:run("set", "n", 3)
    assert.equal("0: n 1 (n), 1: n 2 (n), 2: n 3 (n)", line(list, 3))
  end)

  it("that falls behind goes on with the newest", function()
    local it = one_service.new(new())
    local _ <close>, list = watch(it:proxy())
    line(list, 1)
    for i = 2, 6 do it:run("set", "n", i) end
    assert.equal("0: n 1 (n), 5: n 6 (n)", line(list, 2))
  end)

  it("hears of changes at a node at once", function()
    local node <close> = node_with(new())
    local watch_, list = watch(node.config, { poll_ms = HOUR_MS })
    line(list, 1)
    node.config.set("n", 2)
    node.config.set("n", 3)
    assert.equal("0: n 1 (n), 1: n 2 (n), 2: n 3 (n)", line(list, 3))
    watch_:close()
  end)
end)

describe("queue.worker", function()
  it("runs and acknowledges one message after the other", function()
    local it, list = one_service.new(queue {}), {}
    it:run("push", "a")
    it:run("push", "b")
    local _ <close> = queue.worker(it:proxy(), function(value, message)
      raft.sleep(1)
      list[#list + 1] = value .. message.id
    end, { poll_ms = 1 })
    assert.equal("a1, b2", line(list, 2))
    it:run("push", "c")
    assert.equal("a1, b2, c3", line(list, 3))
    assert.same({ ready = 0, leased = 0, delayed = 0, dead = 0 },
      it:ask("length"))
  end)

  it("gives back what raises, for later, and tells it", function()
    local it, heard = one_service.new(queue { attempts_max = 2 }), {}
    it:run("push", "a")
    local _ <close> = queue.worker(it:proxy(), function()
      error("boom", 0)
    end, { poll_ms = 1, retry_ms = 50, error = function(err, message)
      heard[#heard + 1] = message.attempt .. " " .. tostring(err.value)
    end })
    assert.equal("1 boom", line(heard, 1))
    assert.equal(1, it:ask("length").delayed)
    it.time = it.time + 50
    assert.equal("1 boom, 2 boom", line(heard, 2))
    assert.equal(1, it:ask("length").dead)
  end)

  it("says so where the lease had ended", function()
    local it, heard, runs = one_service.new(queue { lease_ms = 10 }), {}, 0
    it:run("push", "a")
    local _ <close> = queue.worker(it:proxy(), function()
      runs = runs + 1
      if runs == 1 then it.time = it.time + 10 end
    end, { poll_ms = 1, error = function(err)
      heard[#heard + 1] = tostring(err)
    end })
    assert.equal("timeout: message 1: its lease had ended before it was done: "
      .. "it comes again", line(heard, 1))
    support.wait_until(function() return runs == 2 end)
  end)

  it("ends with the message that it has", function()
    local it, worker, runs = one_service.new(queue {}), nil, 0
    it:run("push", "a")
    it:run("push", "b")
    worker = queue.worker(it:proxy(), function()
      runs = runs + 1
      worker:close()
    end, { poll_ms = 1 })
    support.wait_until(function() return runs == 1 end)
    raft.sleep(5)
    assert.equal(1, runs)
    assert.same({ ready = 1, leased = 0, delayed = 0, dead = 0 },
      it:ask("length"))
  end)

  it("hears of messages at a node at once", function()
    local node <close> = node_with(queue {})
    local list = {}
    local worker = queue.worker(node.queue, function(value)
      list[#list + 1] = value
    end, { poll_ms = HOUR_MS })
    raft.sleep(20)
    for _, value in ipairs { "a", "b" } do node.queue.push(value) end
    assert.equal("a, b", line(list, 2))
    worker:close()
  end)
end)
