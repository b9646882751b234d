-- The battery lock: leases by the time of the log, tokens that ascend.
local helper = require "spec.support.helper"
local lock = require "raft.services.lock"
local model = require "spec.services.lock_model"
local one_service = require "spec.support.one_service"
local service_log = require "spec.support.service_log"

local function new(opts)
  local log = one_service.new(lock(opts))
  log.time = 1
  return log
end

-- The refusal of a command: what stands in the error's value.
local function refusal(log, ...)
  local result, why = log:run(...)
  assert.is_nil(result)
  assert.is_not_nil(why)
  return why
end

describe("lock: acquire", function()
  it("gives a token, and a greater one each time", function()
    local log = new()
    assert.equal(1, log:run("acquire", "a", "ann", 500))
    assert.equal(2, log:run("acquire", "b", "bob", 500))
    assert.is_true(log:run("release", "a", 1))
    assert.equal(3, log:run("acquire", "a", "ann", 500))
    log.time = log.time + 500
    assert.equal(4, log:run("acquire", "b", "cleo", 500))
  end)

  it("is refused while another holds it, and says who and how long", function()
    local log = new()
    log.time = 1000
    log:run("acquire", "a", "ann", 500)
    log.time = 1499
    assert.same({ owner = "ann", token = 1, until_ms = 1500, left_ms = 1,
      message = "lock a: held by ann until 1970-01-01 00:00:01.500 UTC "
        .. "(token 1)" }, refusal(log, "acquire", "a", "bob", 500))
    log.time = 1500
    assert.equal(2, log:run("acquire", "a", "bob", 500))
    assert.same({ owner = "bob", token = 2, until_ms = 2000, ttl_ms = 500,
      left_ms = 500 }, log:ask("get", "a"))
  end)

  it("again by its owner is a new lease with the same token", function()
    local log = new()
    log.time = 1000
    assert.equal(1, log:run("acquire", "a", "ann", 500))
    log.time = 1400
    assert.equal(1, log:run("acquire", "a", "ann", 500))
    log.time = 1899
    assert.equal(1899, refusal(log, "acquire", "a", "bob", 9).until_ms
      - 1)
    log.time = 1900
    assert.equal(2, log:run("acquire", "a", "ann", 500))
  end)

  it("goes on with its tokens after a snapshot", function()
    local log = new()
    log:run("acquire", "a", "ann", 500)
    log:run("release", "a", 1)
    log:restart()
    assert.equal(2, log:run("acquire", "b", "ann", 500))
    log:restart()
    assert.equal("ann", refusal(log, "acquire", "b", "bob", 500).owner)
  end)

  it("tells what happens to a lock", function()
    local log = new()
    log.time = 1000
    log:run("acquire", "a", "ann", 500)
    log:run("acquire", "a", "ann", 500)
    log:run("acquire", "a", "bob", 500)
    log:run("release", "a", 1)
    log:run("acquire", "a", "bob", 500)
    log.time = 1500
    log:run("acquire", "a", "cleo", 500)
    assert.same({ { "acquired", "a", "ann", 1, 1500 },
      { "released", "a", "ann", 1 }, { "acquired", "a", "bob", 2, 1500 },
      { "expired", "a", "bob", 2 }, { "acquired", "a", "cleo", 3, 2000 } },
      log:told())
  end)
end)

describe("lock: renew and release", function()
  it("want the token of the holder", function()
    local log = new()
    log.time = 1000
    log:run("acquire", "a", "ann", 500)
    log:run("release", "a", 1)
    log:run("acquire", "a", "bob", 500)
    assert.equal("lock a: token 1 does not hold it: it is held by bob until "
      .. "1970-01-01 00:00:01.500 UTC (token 2)",
      refusal(log, "renew", "a", 1, 500).message)
    assert.equal("bob", refusal(log, "release", "a", 1).owner)
    assert.equal(2, log:run("renew", "a", 2, 700))
    assert.equal(1700, log:ask("get", "a").until_ms)
    log.time = 1600
    assert.equal(2, log:run("renew", "a", 2))  -- as long as before
    assert.equal(2300, log:ask("get", "a").until_ms)
    assert.is_true(log:run("release", "a", 2))
    assert.is_nil(log:ask("get", "a"))
  end)

  it("come too late when the lease is over", function()
    local log = new()
    log.time = 1000
    log:run("acquire", "a", "ann", 500)
    log.time = 1500
    assert.same({ message = "lock a: token 1 does not hold it: nobody does, "
      .. "its lease is over or it was released" },
      refusal(log, "renew", "a", 1))
    assert.is_nil(refusal(log, "release", "a", 1).owner)
  end)

  it("get does not see what is over", function()
    local log = new()
    log.time = 1000
    log:run("acquire", "a", "ann", 500)
    log:run("acquire", "b", "ann", 501)
    log.time = 1500
    log:run("renew", "b", 2, 9)
    assert.is_nil(log:ask("get", "a"))
    assert.equal(9, log:ask("get", "b").left_ms)
  end)
end)

describe("lock: arguments", function()
  local LONG <const> = ("k"):rep(1025)
  for words, call in pairs {
    ["acquire: key: expected a string of 1 to 1024 bytes, got nil"] =
      { "acquire" },
    ['acquire: key: expected a string of 1 to 1024 bytes, got "'
      .. ("k"):rep(60) .. '..."'] = { "acquire", LONG, "ann", 500 },
    ["acquire: owner: expected a string of 1 to 256 bytes, got 5"] =
      { "acquire", "a", 5, 500 },
    ["acquire: ttl_ms: expected an integer from 1 to 86400000, got 0"] =
      { "acquire", "a", "ann", 0 },
    ["acquire: ttl_ms: expected an integer from 1 to 86400000, got 1.5"] =
      { "acquire", "a", "ann", 1.5 },
    ["acquire: ttl_ms: expected an integer from 1 to 86400000, got 86400001"] =
      { "acquire", "a", "ann", 86400001 },
    ["renew: key: expected a string of 1 to 1024 bytes, got a table"] =
      { "renew", {}, 1 },
    ["renew: token: expected an integer from 1 to 9223372036854775807, got "
      .. '"1"'] = { "renew", "a", "1" },
    ["renew: ttl_ms: expected an integer from 1 to 86400000, got -1"] =
      { "renew", "a", 1, -1 },
    ["release: token: expected an integer from 1 to 9223372036854775807, got "
      .. "nil"] = { "release", "a" },
  } do
    it("refused: " .. words:sub(1, 70), function()
      local log = new()
      log:run("acquire", "a", "bob", 500)
      local before = log:ask("get", "a")
      assert.equal("lock." .. words, refusal(log, table.unpack(call)))
      assert.same(before, log:ask("get", "a"))
      assert.equal(2, log:run("acquire", "b", "bob", 500))  -- no token lost
    end)
  end

  it("get refuses what is no key", function()
    local _, why = new():ask("get", "")
    assert.equal("lock.get: key: expected a string of 1 to 1024 bytes, got "
      .. '""', why)
  end)

  it("takes an integer that came as a float", function()
    local log = new()
    log:run("acquire", "a", "ann", 500.0)
    assert.equal("integer", math.type(log:ask("get", "a").until_ms))
    assert.is_true(log:run("release", "a", 1.0))
  end)

  it("options that are wrong raise, and name the path", function()
    for words, opts in pairs {
      ["raft.services.lock: max_keys: expected an integer from 1 to 1048576 "
        .. "(keys), got 0"] = { max_keys = 0 },
      ["raft.services.lock: nam: unknown option, did you mean name?"] =
        { nam = "x" },
    } do
      local ok, why = pcall(function()
        local service = lock(opts)
        return service
      end)
      assert.is_false(ok)
      assert.truthy(why:find(words, 1, true), why)
      assert.truthy(why:find("lock_spec.lua:", 1, true), why)
    end
    assert.equal("locks", lock { name = "locks" }.name)
    assert.equal("lock", lock().name)
  end)
end)

describe("lock: room", function()
  it("is for so many keys, and what is over makes room", function()
    local log = new { max_keys = 3 }
    log.time = 1000
    for i = 1, 3 do log:run("acquire", "k" .. i, "ann", 100 * i) end
    assert.equal("lock.acquire: 3 locks are held, and there can be no more",
      refusal(log, "acquire", "k4", "ann", 500))
    assert.equal(2, log:run("acquire", "k2", "ann", 500))
    log.time = 1100
    assert.equal(4, log:run("acquire", "k4", "ann", 500))
    assert.equal(3, refusal(log, "acquire", "k3", "bob", 5).token)
  end)

  it("is part of the state, whatever a node is started with", function()
    local log = new { max_keys = 1 }
    log:run("acquire", "a", "ann", 500)
    log:restart(lock { max_keys = 9 })
    assert.equal("lock.acquire: 1 locks are held, and there can be no more",
      refusal(log, "acquire", "b", "ann", 500))
  end)

  it("changes with a higher version", function()
    local service = lock { version = 2, max_keys = 2, older = { lock() } }
    assert.equal(2, service.version)
    local state = { limits = { max_keys = 1 } }
    service.upgrade(state)
    assert.equal(2, state.limits.max_keys)
  end)

  it("is given back by owners that are gone", function()
    local log = new()
    for i = 1, 1000 do
      log:run("acquire", "gone" .. i, "ann", 10)
      log.time = log.time + 1
    end
    local bytes = #log:bytes()
    assert.is_true(bytes < 5000, bytes .. " bytes of state")
  end)
end)

---------------------------------------------------------------- at random --

local KEYS <const>, OWNERS <const> = { "a", "b", "c" }, { "ann", "bob", "cleo" }

local function drawn(m)
  local key = KEYS[math.random(#KEYS)]
  local kind = math.random(4)
  local token = math.max(1, m.token - math.random(0, 4))
  if kind == 1 then return "renew", key, token, math.random(300) end
  if kind == 2 then return "release", key, token end
  return "acquire", key, OWNERS[math.random(#OWNERS)], math.random(300)
end

describe("lock: random commands", function()
  it("do what the model does, over snapshots", function()
    helper.seed()
    local log, m, done = new(), model.new(), 0
    for i = 1, 4000 do
      log.time = log.time + math.random(0, 60)
      local call = table.pack(drawn(m))
      local result, why = log:run(table.unpack(call, 1, call.n))
      local expected, holder = model.step(m, log.time,
        table.unpack(call, 1, call.n))
      assert.equal(expected, result)
      if holder then
        assert.equal(holder.owner, why.owner)
        assert.equal(holder.until_ms, why.until_ms)
      else
        done = done + 1
      end
      if i % 97 == 0 then log:restart() end
    end
    assert.is_true(done > 500, done .. " were not refused")
    assert.is_true(done < 3500)
  end)
end)

describe("lock: annotations and page #house", function()
  it("the page is about what there is", function()
    service_log.check_page("lock", lock, lock())
  end)

  it("have every command, query and function", function()
    service_log.check_annotations("lock", lock, lock())
  end)
end)
