-- Lab 4A of MIT 6.5840: a replicated state machine, submitted to; and what 4C
-- asks of it. A submit is a proposal at a server that leads; the service is a
-- counter.
local lab = require("spec.labs.lab").define(it)
local labs = require "spec.labs.harness"

local expect = labs.expect
local SERVERS <const> = 3
local INCREMENTS <const> = 10
local CONCURRENT <const> = 50
local SUBMITS <const> = 100
local SUBMIT_MS <const> = 10000    -- until a submit must have found a leader
local RETURN_MS <const> = 1000     -- after a heal, or a shutdown
local AGREE_MS <const> = 10000     -- until all servers have the same count
local MAXRAFTSTATE <const> = 1000  -- bytes of log between two snapshots

-- A server; t.counts[id] is what its counter says.
local function counter(t, id)
  t.counts = t.counts or {}
  t.counts[id] = 0
  return {
    apply = function(command)
      t.counts[id] = t.counts[id] + (command == "inc" and 1 or -1)
      return t.counts[id]
    end,
  }
end

-- The same with snapshots, and how often one was restored.
local function snapshotting_counter(t, id)
  local server = counter(t, id)
  server.snapshot_bytes, server.snapshot_mode = MAXRAFTSTATE, "inline"
  server.snapshot = function() return tostring(t.counts[id]) end
  server.restore = function(bytes)
    t.counts[id] = math.tointeger(tonumber(bytes))
    t.restores = (t.restores or 0) + 1
  end
  return server
end

-- Submits to the servers of `ids` in turn until one has done it.
local function submit(t, ids, command)
  local limit_ms = t.s:now() + SUBMIT_MS
  while t.s:now() < limit_ms do
    for _, id in ipairs(ids) do
      if t:is_leader(id) then
        local count, err = t.s:node(id):propose(command, { forward = false,
          timeout = 2000 })
        if not err then return count end
      end
    end
    t:sleep(50)
  end
  labs.fail("no server has done it in %d ms", SUBMIT_MS)
end

-- So many tasks beside each other: what each has submitted to this one server
-- came to, in .errs and .results.
local function flood(t, id, count, command)
  local got = { results = {}, errs = {}, ended = 0, tasks = {} }
  for i = 1, count do
    got.tasks[i] = t:spawn(function()
      local result, err = t.s:node(id):propose(command,
        { forward = false, timeout = false })
      got.results[i], got.errs[i] = result, err
      got.ended = got.ended + 1
    end)
  end
  return got
end

local function expect_counts(t, ids, low, high)
  local function agree()
    for _, id in ipairs(ids) do
      local count = t.counts[id]
      if count ~= t.counts[ids[1]] or count < low or count > high then
        return false
      end
    end
    return true
  end
  if t.s:wait(agree, AGREE_MS) then return end
  local shown = {}
  for i, id in ipairs(ids) do shown[i] = id .. "=" .. t.counts[id] end
  labs.fail("expected counts from %d to %d, got %s", low, high,
    table.concat(shown, " "))
end

local function increment(t, ids, count)
  for _ = 1, count do submit(t, ids, "inc") end
end

local function others(t, id)
  return { t:after(id, 1), t:after(id, 2) }
end

local function rsm(name, fn, node)
  lab(name, { servers = SERVERS, node = node or counter }, fn)
end

describe("lab 4A", function()
  rsm("Basic4A", function(t)
    for i = 1, INCREMENTS do
      local count = submit(t, t.s.ids, "inc")
      expect(count == i, "got %d, expected %d", count, i)
    end
    expect_counts(t, t.s.ids, INCREMENTS, INCREMENTS)
  end)

  rsm("Concurrent4A", function(t)
    local got = flood(t, t:check_one_leader(), CONCURRENT, "inc")
    t:join(got.tasks)
    expect(#got.results == CONCURRENT, "not all were done")
    table.sort(got.results)
    for i, count in ipairs(got.results) do
      expect(count == i, "%d was answered twice", count)
    end
    expect_counts(t, t.s.ids, CONCURRENT, CONCURRENT)
  end)

  rsm("LeaderFailure4A", function(t)
    submit(t, t.s.ids, "inc")
    local leader = t:check_one_leader()
    t:disconnect(leader)
    submit(t, others(t, leader), "inc")
    expect_counts(t, others(t, leader), 2, 2)
    t:connect(leader)
    expect_counts(t, t.s.ids, 2, 2)
  end)

  rsm("LeaderPartition4A", function(t)
    increment(t, t.s.ids, INCREMENTS)
    local leader = t:check_one_leader()
    t:disconnect(leader)
    local got = flood(t, leader, SUBMITS, "dec")
    increment(t, others(t, leader), INCREMENTS)
    t:sleep(1000)
    expect(#got.results == 0, "%d were done in a minority", #got.results)
    t:connect(leader)
    local in_time = t.s:wait(function()
      return got.ended == SUBMITS
    end, RETURN_MS)
    expect(in_time, "only %d have returned %d ms after the heal", got.ended,
      RETURN_MS)
    t:join(got.tasks)
    for i = 1, SUBMITS do expect(got.errs[i], "%d was done", i) end
    expect_counts(t, t.s.ids, 2 * INCREMENTS, 2 * INCREMENTS)
  end)

  rsm("RestartReplay4A", function(t)
    increment(t, t.s.ids, SUBMITS)
    t:crash(table.unpack(t.s.ids))
    t:sleep(labs.ELECTION_MS)
    t:restart(table.unpack(t.s.ids))
    expect(submit(t, t.s.ids, "inc") == SUBMITS + 1, "not all were replayed")
    expect_counts(t, t.s.ids, SUBMITS + 1, SUBMITS + 1)
  end)

  -- Every submit ends, whatever came of it.
  rsm("Shutdown4A", function(t)
    local leader = t:check_one_leader()
    t:disconnect(leader)  -- so that none is done
    local got = flood(t, leader, SUBMITS, "inc")
    t:sleep(10)
    local from_ms, stops = t.s:now(), {}
    for i, id in ipairs(t.s.ids) do
      stops[i] = t:spawn(function() t.s:node(id):stop { timeout = 1000 } end)
    end
    t:join(stops)
    t:join(got.tasks)
    local ms = t.s:now() - from_ms
    expect(got.ended == SUBMITS, "%d have ended", got.ended)
    expect(ms <= 2 * RETURN_MS, "it took %.0f ms", ms)
    for i = 1, SUBMITS do
      expect(got.errs[i] and not got.results[i], "%d was done", i)
    end
  end)

  rsm("RestartSubmit4A", function(t)
    increment(t, t.s.ids, SUBMITS)
    t:crash(table.unpack(t.s.ids))
    t:restart(table.unpack(t.s.ids))
    increment(t, t.s.ids, SUBMITS)
    expect_counts(t, t.s.ids, 2 * SUBMITS, 2 * SUBMITS)
  end)

  rsm("Snapshot4C", function(t)
    increment(t, t.s.ids, SUBMITS)
    expect_counts(t, t.s.ids, SUBMITS, SUBMITS)
    t:each(function(id)
      local bytes = t:log_bytes(id)
      expect(bytes <= 2 * MAXRAFTSTATE, "the log of %s has %d bytes", id, bytes)
    end)
    t:crash(table.unpack(t.s.ids))
    t:restart(table.unpack(t.s.ids))
    expect(submit(t, t.s.ids, "inc") == SUBMITS + 1, "not all is there again")
    expect_counts(t, t.s.ids, SUBMITS + 1, SUBMITS + 1)
    expect(t.restores == SERVERS, "%d snapshots were restored",
      t.restores or 0)
  end, snapshotting_counter)
end)
