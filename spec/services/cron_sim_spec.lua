-- The battery cron in simulated clusters: workers, their death, and the swarm
-- of faults over the model. BATTERIES_SEEDS says how many seeds that gets.
local clocks = require "spec.support.clocks"
local codec = require "raft.codec"
local cron = require "raft.services.cron"
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local model = require "spec.services.cron_model"
local sim = require "raft.sim"
local service_log = require "spec.support.service_log"

local function cluster(options)
  options.seed = helper.seed()
  options.node = options.node or function() return { service = cron() } end
  return sim.new(options)
end

-- A node as cron.run takes it, whatever becomes of its process.
local function object_of(s, id)
  return { id = id,
    service = function(_, ...) return s:node(id):service(...) end,
    is_leader = function() return s:leader() == id end }
end

local function proxy_of(s, client, opts)
  assert(s:wait(function() return next(s.members.n1.services) end, 10000))
  return client:service("cron", opts)
end

-- A worker at each node: { id -> worker }. work(id) -> jobs.
local function workers_of(s, work, opts)
  local workers = {}
  for _, id in ipairs(s.ids) do
    local all = { jobs = work(id), claim_ms = 2000 }
    for name, value in pairs(opts or {}) do all[name] = value end
    workers[id] = cron.run(object_of(s, id), all)
  end
  return workers
end

local function stop(workers)
  for _, worker in pairs(workers) do worker:stop() end
end

-- How often each thing is in the list.
local function counts(list)
  local count = {}
  for _, it in ipairs(list) do count[it] = (count[it] or 0) + 1 end
  return count
end

describe("cron.run", function()
  it("does each run once in the cluster, in time, with one entry a tick",
    function()
      local journal, seen = {}, {}
      local s <close> = cluster { nodes = 3, node = function()
        return { service = service_log.watched(cron(), seen) }
      end }
      s:run(function()
        local proxy = proxy_of(s, s:client())
        local first = proxy.set("a", { every = 1000, payload = "p" })
        local workers = workers_of(s, function()
          return { a = function(tick)
            assert.equal("p", tick.payload)
            journal[#journal + 1] = tick.due_ms
          end }
        end)
        s:sleep(10000)
        stop(workers)
        for i, due_ms in ipairs(journal) do
          assert.equal(first + 1000 * (i - 1), due_ms)
        end
        assert.is_true(#journal >= 9 and #journal <= 11, #journal .. " runs")
      end)
      local ticks, late_ms = 0, 0
      for _, it in ipairs(service_log.in_order(seen)) do
        if it.command == "tick" then
          ticks = ticks + 1
          late_ms = math.max(late_ms, ticks > 3 and it.time % 1000 or 0)
        end
      end
      assert.is_true(ticks <= #journal + 4, ticks .. " entries")
      assert.is_true(late_ms < 100, late_ms .. " ms late")
      assert(s:check())
    end)

  it("does again what a dead worker had begun", function()
    local s <close> = cluster { nodes = 3 }
    s:run(function()
      local proxy = proxy_of(s, s:client())
      assert(proxy.set("a", { every = 60000 }))
      local began, done = {}, {}
      local workers = workers_of(s, function(id)
        return { a = function(tick)
          began[#began + 1] = { id = id, due_ms = tick.due_ms,
            attempt = tick.attempt }
          s:sleep(1000)
          done[#done + 1] = id
        end }
      end)
      assert(s:wait(function() return began[1] end, 70000))
      s:crash(began[1].id)  -- its worker cannot extend its claim any more
      assert(s:wait(function() return began[2] end, 10000))
      assert.not_equal(began[1].id, began[2].id)
      assert.equal(began[1].due_ms, began[2].due_ms)
      assert.equal(2, began[2].attempt)
      s:wait(function() return #done == 2 end, 5000)
      s:restart(began[1].id)
      s:sleep(5000)
      stop(workers)
      assert.equal(0, proxy.jobs().a.runs)
      assert.is_nil(began[3])
    end)
    assert(s:check())
  end)

  it("does nothing again without retry", function()
    local s <close> = cluster { nodes = 3 }
    s:run(function()
      local proxy, began = proxy_of(s, s:client()), {}
      assert(proxy.set("a", { every = 60000, retry = false }))
      local workers = workers_of(s, function(id)
        return { a = function(tick)
          began[#began + 1] = id
          assert.equal(1, tick.attempt)
          s:sleep(1000)
        end }
      end)
      assert(s:wait(function() return began[1] end, 70000))
      s:crash(began[1])
      s:sleep(10000)
      stop(workers)
      assert.equal(1, #began)
      assert.equal(0, proxy.jobs().a.runs)
    end)
  end)

  it("holds on to a run for as long as it takes", function()
    local s <close> = cluster { nodes = 3 }
    s:run(function()
      local proxy, began = proxy_of(s, s:client()), 0
      assert(proxy.set("a", { every = 60000 }))
      local workers = workers_of(s, function()
        return { a = function(tick)
          began = began + 1
          s:sleep(20000)  -- ten claims
          assert.is_true(tick.is_mine)
        end }
      end)
      assert(s:wait(function() return began == 1 end, 70000))
      s:sleep(25000)
      stop(workers)
      assert.equal(1, began)
      assert.equal(0, proxy.jobs().a.runs)
    end)
  end)

  it("tries again what fails, and says so", function()
    local s <close> = cluster { nodes = 1 }
    s:run(function()
      local proxy, tries, told = proxy_of(s, s:client()), 0, {}
      assert(proxy.set("a", { every = 60000 }))
      local workers = workers_of(s, function()
        return { a = function()
          tries = tries + 1
          if tries == 1 then error("boom", 0) end
          if tries == 2 then return nil, "no" end
        end }
      end, { on_error = function(err, run)
        told[#told + 1] = run.name .. ": " .. err.message
      end })
      assert(s:wait(function() return tries == 3 end, 80000))
      s:sleep(3000)
      stop(workers)
      assert.same({ "a: job a: boom", "a: job a: no" }, told)
      assert.equal(3, tries)
    end)
  end)

  it("works over a client, which does not know who leads", function()
    local s <close> = cluster { nodes = 3 }
    s:run(function()
      local client, done = s:client(), {}
      local proxy = proxy_of(s, client)
      assert(proxy.set("a", { every = 2000 }))
      local worker = cron.run(client, { jobs = { a = function(tick)
        done[#done + 1] = tick.due_ms
      end } })
      s:sleep(9000)
      worker:stop()
      assert.is_true(#done >= 4, #done .. " runs")
    end)
  end)

  it("is in no hurry while the time of the log stands still", function()
    local s <close> = cluster { nodes = 1 }
    s:run(function()
      local proxy, done = proxy_of(s, s:client()), 0
      assert(proxy.set("a", { every = 500 }))
      local workers = workers_of(s, function()
        return { a = function() done = done + 1 end }
      end)
      assert(s:wait(function() return done > 1 end, 5000))
      local clock = proxy.tick()
      s:sleep(clock.due_ms - clock.now_ms - 10)
      clock = proxy.tick()  -- the newest stamp
      s:jump("n1", -60000)  -- stamps never go back, so they stay where they are
      assert.is_true(clock.due_ms - clock.now_ms < 15)
      local last, before = s:node("n1"):status().last, done
      s:sleep(20000)
      local entries = s:node("n1"):status().last - last
      assert.is_true(done <= before + 1)
      assert.is_true(entries < 150, entries .. " entries")
      s:jump("n1", 60000)
      assert(s:wait(function() return done > before + 3 end, 5000))
      stop(workers)
    end)
  end)

  it("ends when it is stopped", function()
    local s <close> = cluster { nodes = 1 }
    s:run(function()
      local proxy, done = proxy_of(s, s:client()), 0
      assert(proxy.set("a", { every = 500 }))
      local workers = workers_of(s, function()
        return { a = function() done = done + 1 end }
      end)
      assert(s:wait(function() return done > 1 end, 5000))
      stop(workers)
      s:sleep(1000)
      local last, before = s:node("n1"):status().last, done
      s:sleep(5000)
      assert.equal(last, s:node("n1"):status().last)
      assert.equal(before, done)
    end)
  end)

  it("says what is wrong with its options", function()
    local node = { service = function() end }
    for words, call in pairs {
      ["expected a node or a client, got 5"] = { 5, {} },
      ["jobs: expected name -> function(tick), got nil"] = { node, {} },
      ["jobs: there is none"] = { node, { jobs = {} } },
      ["jobs.a: expected a function, got 5"] = { node, { jobs = { a = 5 } } },
      ["claim_ms: expected an integer from 3"] = { node, { claim_ms = 1,
        jobs = { a = print } } },
    } do
      local ok, why = pcall(function()
        local worker = cron.run(table.unpack(call))
        return worker
      end)
      assert.is_false(ok)
      assert.truthy(why:find("raft.services.cron.run: " .. words, 1, true), why)
      assert.truthy(why:find("cron_sim_spec.lua:", 1, true), why)
    end
  end)
end)

---------------------------------------------------------------------- swarm --

local SEEDS <const> = math.tointeger(tonumber(os.getenv "BATTERIES_SEEDS")) or 1
local MS <const> = 10000      -- under faults
local CALM_MS <const> = 4000  -- behind them
local END_MS <const> = 2000   -- for what has begun
local CALM_TICKS <const>, CALM_RUNS <const> = 6, 4  -- of 9 that are due
local EVERY_MS <const> = { again = 700, once = 900 }

local seen = {}   -- what the commands of this run have answered
local begun = {}  -- "name due_ms" of each run that some worker has begun
local ended = {}  -- the same of those that came to their end

local function jobs_of(s, id)
  local random = s.world:random("jobs " .. id)
  local function work(tick)
    begun[#begun + 1] = tick.name .. " " .. tick.due_ms
    s:sleep(random:between(0, 500))
    ended[tick.name .. " " .. tick.due_ms] = true
  end
  return { again = work, once = work }
end

-- A worker for each node, whenever it is up.
local function serve(s, id, stop_ms)
  while s:now() < stop_ms do
    if next(s.members[id].services) and s.members[id]:is_up() then
      local worker = cron.run(object_of(s, id), { jobs = jobs_of(s, id),
        claim_ms = 1500, on_error = function(err) error(err, 0) end })
      s:wait(function() return worker.is_over or s:now() > stop_ms end, MS)
      worker:stop()
    end
    s:sleep(300)
  end
end

local function set_jobs(proxy)
  local _, err = proxy.set("again", { every = EVERY_MS.again, retry = true })
  if err then return nil, err end
  return proxy.set("once", { every = EVERY_MS.once, retry = false })
end

local function serve_all(s, stop_ms)
  for _, id in ipairs(s.ids) do
    s:spawn(function() serve(s, id, stop_ms) end)
  end
  s:sleep(math.max(0, stop_ms - s:now()) + END_MS)
end

local function workload(s)
  begun, ended = {}, {}
  local stop_ms = s:now() + MS
  local client <close> = s:client()
  set_jobs(proxy_of(s, client, { timeout = MS }))
  serve_all(s, stop_ms)
end

-- Under faults there may be no tick at all: none could be set, or a leader's
-- clock was set back and the log's time stands still. Once all is healed, and
-- the clocks are right, every job must tick and be done.
local function calm(s)
  local client <close> = s:client("calm")
  local proxy = proxy_of(s, client)
  clocks.set(s, assert(proxy.tick()).now_ms)
  assert(set_jobs(proxy))
  serve_all(s, s:now() + CALM_MS)
end

-- Goes through the log with the model.
local function check_log()
  local m = model.new()
  for _, it in ipairs(service_log.in_order(seen)) do
    local expected = model.step(m, it.time, it.command,
      table.unpack(it.arguments, 1, it.arguments.n))
    if codec.encode(expected) ~= codec.encode(it.result) then
      return nil, ("entry %d: %s answered otherwise than the model"):format(
        it.index, it.command)
    end
  end
  return m
end

local function look()
  local m, why = check_log()
  if not m then return nil, why end
  local ticks = counts(m.ticks)
  for tick, count in pairs(ticks) do
    if count > 1 then return nil, tick .. " ticked twice" end
  end
  for run, count in pairs(counts(begun)) do
    if not ticks[run] then return nil, run .. " was begun, and never ticked" end
    if count > 1 and run:find("^once") then
      return nil, run .. " was begun " .. count .. " times"
    end
  end
  for run in pairs(m.done) do
    if not ended[run] then return nil, run .. " counts as done, and is not" end
  end
  return m
end

local function size(t)
  local count = 0
  for _ in pairs(t) do count = count + 1 end
  return count
end

local function check(s)
  local before, why = look()
  if not before then return nil, why end
  calm(s)
  local after
  after, why = look()
  if not after then return nil, why end
  local ticks = #after.ticks - #before.ticks
  local done = size(after.done) - size(before.done)
  if ticks < CALM_TICKS then return nil, "too few ticks: " .. ticks end
  if done < CALM_RUNS then return nil, "too few runs: " .. done end
  return true
end

describe("the swarm over jobs", function()
  it("finds one tick for each time, and runs that are kept to", function()
    helper.patience(60000 * SEEDS)
    local first = helper.seed()
    local report, err = sim.explore { seeds = { first, first + SEEDS - 1 },
      nodes = 5, duration_ms = MS, shrink = false,
      workload = function(s)
        for index in pairs(seen) do seen[index] = nil end
        workload(s)
      end,
      node = function()
        return { service = service_log.watched(cron(), seen) }
      end,
      check = check,
      probe = codec.encode { "cron", "finish", { "probe", 1 }, 2, 1 },
      say = function() end }
    assert.is_truthy(report, errors.text(err))
  end)
end)
