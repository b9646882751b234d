-- The battery lock in simulated clusters: `wait`, the paused holder, and the
-- swarm of faults over the model; BATTERIES_SEEDS says how many seeds.
local clocks = require "spec.support.clocks"
local codec = require "raft.codec"
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local lock = require "raft.services.lock"
local model = require "spec.services.lock_model"
local sim = require "raft.sim"
local service_log = require "spec.support.service_log"

local function cluster(nodes)
  return sim.new { seed = helper.seed(), nodes = nodes,
    node = function() return { service = lock() } end }
end

-- The proxy of a client, once nodes are there that can say what they have.
local function proxy_of(s, client, opts)
  assert(s:wait(function() return next(s.members.n1.services) end, 10000))
  return client:service("lock", opts)
end

describe("lock.wait", function()
  it("gets what nobody holds at once", function()
    local s <close> = cluster(3)
    s:run(function()
      local proxy = proxy_of(s, s:client())
      assert.equal(1, lock.wait(proxy, "a", { owner = "ann" }))
      assert.equal("ann", proxy.get("a").owner)
      assert.equal(10000, proxy.get("a").ttl_ms)
    end)
  end)

  it("gets what was released soon, and before the lease is over", function()
    local s <close> = cluster(3)
    s:run(function()
      local client = s:client()
      local proxy = proxy_of(s, client)
      local token = assert(proxy.acquire("a", "ann", 60000))
      local began = s:now()
      s:spawn(function()
        s:sleep(1000)
        assert(proxy.release("a", token))
      end)
      assert.equal(2, lock.wait(proxy, "a", { owner = "bob", ttl_ms = 500 }))
      local took = s:now() - began
      assert.is_true(took > 990 and took < 1500, took .. " ms")
    end)
  end)

  it("gets what was left behind when the lease is over, with few entries",
    function()
      local s <close> = cluster(3)
      s:run(function()
        local proxy = proxy_of(s, s:client())
        s:wait(function() return s:leader() end, 5000)
        local of_node = s:node(s:leader()):service("lock")
        assert(proxy.acquire("a", "ann", 3000))
        local began, last = s:now(), s:node(s:leader()):status().last
        assert.equal(2, lock.wait(of_node, "a", { owner = "bob",
          ttl_ms = 500 }))
        local took = s:now() - began
        assert.is_true(took > 2900 and took < 3500, took .. " ms")
        local entries = s:node(s:leader()):status().last - last
        assert.is_true(entries < 6, entries .. " entries")
      end)
    end)

  it("sees that the lease was renewed, and ends with its time", function()
    local s <close> = cluster(3)
    s:run(function()
      local proxy = proxy_of(s, s:client())
      local token = assert(proxy.acquire("a", "ann", 500))
      local is_over = false
      s:spawn(function()
        while not is_over do
          assert(proxy.renew("a", token))
          s:sleep(200)
        end
      end)
      local began = s:now()
      local result, err = lock.wait(proxy, "a", { owner = "bob",
        timeout = 2000 })
      is_over = true
      assert.is_nil(result)
      assert.equal("timeout", err.code)
      assert.equal("none", err.outcome)
      assert.truthy(err.message:find("lock a: not acquired within 2000 ms: "
        .. "lock a: held by ann until", 1, true), err.message)
      assert.equal("ann", err.cause.value.owner)
      local took = s:now() - began
      assert.is_true(took > 1990 and took < 2100, took .. " ms")
    end)
  end)

  it("goes on over the death of a leader", function()
    local s <close> = cluster(3)
    s:run(function()
      local client = s:client()
      assert(proxy_of(s, client).acquire("a", "ann", 4000))
      local proxy = client:service("lock", { timeout = 300 })
      local task = s:spawn(function()
        return lock.wait(proxy, "a", { owner = "bob", timeout = 20000 })
      end)
      s:sleep(1000)
      s:crash(s:leader())
      assert.equal(2, task:wait())
    end)
    assert(s:check())
  end)

  it("is in no hurry while the time of the log stands still", function()
    local s <close> = cluster(1)
    s:run(function()
      local proxy = proxy_of(s, s:client())
      assert(proxy.acquire("a", "ann", 500))
      s:sleep(490)
      assert(proxy.acquire("b", "ann", 500))  -- the newest stamp
      s:jump("n1", -60000)  -- stamps never go back, so they stay where they are
      assert.is_true(proxy.get("a").left_ms < 15)
      local last = s:node("n1"):status().last
      local _, err = lock.wait(proxy, "a", { owner = "bob", timeout = 4000 })
      assert.equal("timeout", err.code)
      local entries = s:node("n1"):status().last - last
      assert.is_true(entries < 50, entries .. " entries")
    end)
  end)

  it("takes a callback", function()
    local s <close> = cluster(1)
    s:run(function()
      local proxy, got = proxy_of(s, s:client()), nil
      lock.wait(proxy, "a", { owner = "ann" }, function(err, token)
        got = { err, token }
      end)
      assert.is_nil(got)
      s:wait(function() return got end, 5000)
      assert.same({ nil, 1 }, got)
    end)
  end)

  it("answers what is wrong at once", function()
    local s <close> = cluster(1)
    s:run(function()
      local proxy = proxy_of(s, s:client())
      local _, err = lock.wait(proxy, "", { owner = "ann" })
      assert.equal("refused", err.code)
      assert.truthy(err.message:find("lock.acquire: key", 1, true))
      for words, call in pairs {
        ["owner: expected who wants the lock, got nil"] = { proxy, "a" },
        ["expected the proxy of a lock service, got 5"] = { 5, "a",
          { owner = "x" } },
        ["ttl_ms: expected an integer"] = { proxy, "a", { owner = "x",
          ttl_ms = 0 } },
      } do
        local ok, why = pcall(function()
          local token = lock.wait(table.unpack(call))
          return token
        end)
        assert.is_false(ok)
        assert.truthy(why:find(words, 1, true), why)
        assert.truthy(why:find("lock_sim_spec.lua:", 1, true), why)
      end
    end)
  end)

  it("ends with its loop", function()
    local s = cluster(1)
    local answer
    s:run(function()
      local proxy = proxy_of(s, s:client())
      assert(proxy.acquire("a", "ann", 60000))
      lock.wait(proxy, "a", { owner = "bob", timeout = false },
        function(err) answer = err end)
      s:sleep(300)
    end)
    s:close()
    assert.equal("closed", answer.code)
    assert.equal("none", answer.outcome)
  end)
end)

describe("a holder that was stopped", function()
  it("is refused by what it writes to, by the token", function()
    local s <close> = cluster(3)
    s:run(function()
      local newest, written = 0, {}
      local function write(token, who)
        if token < newest then return false end
        newest = token
        written[#written + 1] = who
        return true
      end
      local proxy = proxy_of(s, s:client())
      local old = assert(proxy.acquire("a", "ann", 1000))
      assert.is_true(write(old, "ann"))
      local new = lock.wait(proxy, "a", { owner = "bob" })  -- ann stands still
      assert.is_true(new > old)
      assert.is_true(write(new, "bob"))
      assert.is_false(write(old, "ann"))
      local _, err = proxy.renew("a", old)
      assert.equal("bob", err.value.owner)
      assert.same({ "ann", "bob" }, written)
    end)
  end)
end)

---------------------------------------------------------------------- swarm --

local SEEDS <const> = math.tointeger(tonumber(os.getenv "BATTERIES_SEEDS")) or 1
local MS <const> = 10000      -- under faults
local CALM_MS <const> = 5000  -- behind them
local CALM_TOKENS <const> = 9
local WORKERS <const> = { "ann", "bob", "cleo" }
local KEYS <const> = { "a", "b" }

local seen = {}     -- what the commands of this run have answered
local answered = {}  -- what clients were told: { key=, owner=, token= }

local function acquire(proxy, random, owner)
  local key, ttl_ms = random:pick(KEYS), random:between(50, 2000)
  local token
  if random:chance(0.5) then
    token = lock.wait(proxy, key, { owner = owner, ttl_ms = ttl_ms,
      timeout = random:between(50, 4000) })
  else
    token = proxy.acquire(key, owner, ttl_ms)
  end
  if token then
    answered[#answered + 1] = { key = key, owner = owner, token = token }
  end
  return key, token
end

local function work(s, owner, stop_ms)
  local random = s.world:random("work " .. owner)
  local client <close> = s:client(owner)
  local proxy = proxy_of(s, client, { timeout = 3000 })
  while s:now() < stop_ms do
    local key, token = acquire(proxy, random, owner)
    s:sleep(random:between(0, 300))
    if token and random:chance(0.4) then proxy.renew(key, token, 700) end
    if token and random:chance(0.6) then proxy.release(key, token) end
  end
end

local function work_all(s, ms)
  local stop_ms, left = s:now() + ms, #WORKERS
  for _, owner in ipairs(WORKERS) do
    s:spawn(function()
      work(s, owner, stop_ms)
      left = left - 1
    end)
  end
  s:wait(function() return left == 0 end, ms + 30000)
end

local function workload(s)
  answered = {}
  for index in pairs(seen) do seen[index] = nil end
  work_all(s, MS)
end

-- Under faults there may be no answer, or a clock that was set back, so that no
-- lease comes to its end. Behind them, with clocks that are right, locks are
-- had again: nil, or what is wrong.
local function calm(s)
  local before, client <close> = #answered, s:client("calm")
  local proxy = proxy_of(s, client)
  assert(proxy.acquire("time", "calm", 1))
  clocks.set(s, assert(proxy.get("time")).until_ms)
  work_all(s, CALM_MS)
  local count = #answered - before
  return count < CALM_TOKENS and "too few tokens: " .. count or nil
end

-- Goes through the log with the model; each grant by its token.
local function check_log()
  local m, granted = model.new(), {}
  for _, it in ipairs(service_log.in_order(seen)) do
    local expected, holder = model.step(m, it.time, it.command,
      table.unpack(it.arguments, 1, it.arguments.n))
    if expected ~= it.result then
      return nil, ("entry %d: %s answered %s, the model %s"):format(it.index,
        it.command, tostring(it.result), tostring(expected))
    elseif holder and holder.owner ~= it.why.owner then
      return nil, ("entry %d: said to be held by %s, and it is by %s"):format(
        it.index, tostring(it.why.owner), tostring(holder.owner))
    end
    if it.command == "acquire" and expected then
      granted[expected] = it.arguments[1] .. " " .. it.arguments[2]
    end
  end
  return granted
end

local function check(s)
  local problem = calm(s)
  if problem then return nil, problem end
  local granted, why = check_log()
  if not granted then return nil, why end
  for _, it in ipairs(answered) do
    if granted[it.token] ~= it.key .. " " .. it.owner then
      return nil, ("%s was told token %d of %s, which is that of %s"):format(
        it.owner, it.token, it.key, tostring(granted[it.token]))
    end
  end
  return true
end

describe("the swarm over locks", function()
  it("finds one holder at a time, and tokens that ascend", function()
    helper.patience(60000 * SEEDS)
    local first = helper.seed()
    local report, err = sim.explore { seeds = { first, first + SEEDS - 1 },
      nodes = 5, workload = workload, duration_ms = MS, shrink = false,
      node = function()
        return { service = service_log.watched(lock(), seen) }
      end,
      check = check,
      probe = codec.encode { "lock", "release", { "probe", 1 }, 2, 1 },
      say = function() end }
    assert.is_truthy(report, errors.text(err))
  end)
end)
