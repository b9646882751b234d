-- Lab 4B of MIT 6.5840: a key-value service, asked by raft.client. See
-- spec/labs/kv.lua.
local kv = require "spec.labs.kv"
local lab = require("spec.labs.lab").define(it)
local labs = require "spec.labs.harness"

local expect = labs.expect
local SPEED_OPS <const> = 1000
local OP_MS <const> = 100 / 3      -- three in a heartbeat of the labs
local APPENDS <const> = 10         -- of each client of UnreliableOneKey

-- name, servers, clients, what else
local TESTS <const> = {
  { "Basic4B", 5, 1 },
  { "Concurrent4B", 5, 5 },
  { "Unreliable4B", 5, 5, is_unreliable = true },
  { "ManyPartitionsOneClient4B", 5, 1, partitions = true },
  { "ManyPartitionsManyClients4B", 5, 5, partitions = true },
  { "PersistOneClient4B", 5, 1, crash = true },
  { "PersistConcurrent4B", 5, 5, crash = true },
  { "PersistConcurrentUnreliable4B", 5, 5, crash = true,
    is_unreliable = true },
  { "PersistPartition4B", 5, 5, crash = true, partitions = true },
  { "PersistPartitionUnreliable4B", 5, 5, crash = true, partitions = true,
    is_unreliable = true },
  { "PersistPartitionUnreliableLinearizable4B", 7, 15, crash = true,
    partitions = true, is_unreliable = true, random_keys = true },
}

-- Each of those appends once, and those of one client in order.
local function check_appends(value, clients)
  local total = 0
  for i = 1, clients do
    local from = 1
    for j = 1, APPENDS do
      local text = ("x %d %d y"):format(i, j)
      local at = value:find(text, from, true)
      expect(at, "%q is not there, or out of order", text)
      expect(not value:find(text, at + 1, true), "%q is there twice", text)
      from, total = at + 1, total + #text
    end
  end
  expect(#value == total, "%d bytes, expected %d", #value, total)
end

-- A majority that has the leader, and the others.
local function split(t)
  local leader = t:check_one_leader()
  local with = { leader, t:after(leader, 1), t:after(leader, 2) }
  local without = { t:after(leader, 3), t:after(leader, 4) }
  return with, without
end

-- Is the task done within so many ms?
local function is_done_in(t, task, ms)
  return t.s:wait(function() return task:is_done() end, ms) ~= nil
end

describe("lab 4B", function()
  for _, test in ipairs(TESTS) do
    local name, servers, clients = table.unpack(test)
    test.clients = clients
    lab(name, { servers = servers, node = kv.node,
      is_unreliable = test.is_unreliable },
      function(t) kv.generic(t, test) end)
  end

  lab("Speed4B", { servers = 3, node = kv.node }, function(t)
    local clerk = kv.clerk(t, "c")
    clerk:get("x")
    local from_ms, expected = t.s:now(), {}
    for i = 1, SPEED_OPS do
      expected[i] = ("x 0 %d y"):format(i)
      clerk:append("x", expected[i])
    end
    local op_ms = (t.s:now() - from_ms) / SPEED_OPS
    expect(clerk:get("x") == table.concat(expected), "another value")
    expect(op_ms <= OP_MS, "%.1f ms an operation", op_ms)
  end)

  -- The minority gets nothing done, and once healed all of it.
  lab("OnePartition4B", { servers = 5, node = kv.node, is_unreliable = true },
    function(t)
      local clerk = kv.clerk(t, "all")
      clerk:put("1", "13")
      local majority, minority = split(t)
      t.s:partition(majority, minority)
      local inside = kv.clerk(t, "majority", majority)
      inside:put("1", "14")
      expect(inside:get("1") == "14", "the majority lost a put")
      local putter = kv.clerk(t, "put", minority)
      local getter = kv.clerk(t, "get", minority)
      local put = t:spawn(function() putter:put("1", "15") end)
      local get = t:spawn(function() getter:get("1") end)
      t:sleep(1000)
      expect(not put:is_done(), "put completed in a minority")
      expect(not get:is_done(), "get completed in a minority")
      expect(inside:get("1") == "14", "another value while cut off")
      inside:put("1", "16")
      expect(inside:get("1") == "16", "the majority stopped")
      t:connect_all()
      expect(is_done_in(t, put, 3000) and is_done_in(t, get, 3000),
        "no answer within 3 s of the heal")
      t:join { put, get }
      expect(clerk:get("1") == "15", "the late put is not there")
      kv.check(t)
    end)

  -- Of the edition of 2024, as all those with Append.
  lab("UnreliableOneKey", { servers = 3, node = kv.node,
    is_unreliable = true }, function(t)
      local clients, tasks = 5, {}
      kv.clerk(t, "all"):put("k", "")
      for i = 1, clients do
        tasks[i] = t:spawn(function()
          local clerk = kv.clerk(t, "c" .. i)
          for j = 1, APPENDS do
            clerk:append("k", ("x %d %d y"):format(i, j))
          end
        end)
      end
      t:join(tasks)
      check_appends(kv.clerk(t, "last"):get("k"), clients)
    end)
end)
