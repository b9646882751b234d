-- Lab 4C of MIT 6.5840: the key-value service with snapshots, which keep the
-- log at about 1000 bytes. See spec/labs/kv.lua.
local kv = require "spec.labs.kv"
local lab = require("spec.labs.lab").define(it)
local labs = require "spec.labs.harness"

local expect = labs.expect
local PUTS <const> = 50            -- while a server is cut off
local LARGE <const> = 4000         -- repetitions
local SMALL_PUTS <const> = 200     -- each of two values
local SNAPSHOT_BYTES <const> = 500 -- of a state with next to nothing in it
local SPEED_OPS <const> = 1000
local OP_MS <const> = 100 / 3      -- three in a heartbeat of the labs

-- name, servers, clients, what else
local TESTS <const> = {
  { "SnapshotRecover4C", 5, 1, crash = true },
  { "SnapshotRecoverManyClients4C", 5, 20, crash = true },
  { "SnapshotUnreliable4C", 5, 5, is_unreliable = true },
  { "SnapshotUnreliableRecover4C", 5, 5, crash = true, is_unreliable = true },
  { "SnapshotUnreliableRecoverConcurrentPartition4C", 5, 5, crash = true,
    partitions = true, is_unreliable = true },
  { "SnapshotUnreliableRecoverConcurrentPartitionLinearizable4C", 7, 15,
    crash = true, partitions = true, is_unreliable = true,
    random_keys = true },
}

local function snapshot_lab(name, servers, options, fn)
  options.servers, options.node = servers, kv.node_with_snapshots
  lab(name, options, fn)
end

local function expect_value(clerk, key, value)
  local got = clerk:get(key)
  expect(got == value, "%s is %q, expected %q", key, tostring(got), value)
end

describe("lab 4C", function()
  for _, test in ipairs(TESTS) do
    local name, servers, clients = table.unpack(test)
    test.clients, test.has_snapshots = clients, true
    snapshot_lab(name, servers, { is_unreliable = test.is_unreliable },
      function(t)
        kv.generic(t, test)
        expect(t.snapshots > 0, "no snapshot was taken")
      end)
  end

  -- Who was cut off while the others' logs were cut needs a snapshot. Logs keep
  -- a tail, so there are large values as well, all of one key.
  snapshot_lab("SnapshotRPC4C", 3, {}, function(t)
    local a, b, c = table.unpack(t.s.ids)
    kv.clerk(t, "all"):put("a", "A")
    t.s:partition({ a, b }, { c })
    local inside = kv.clerk(t, "ab", { a, b })
    for i = 1, PUTS do
      inside:put(tostring(i), tostring(i))
      inside:put("large", (tostring(i) .. ";"):rep(LARGE))
    end
    t:sleep(labs.ELECTION_MS)
    inside:put("b", "B")
    kv.check_log_size(t)
    expect(t.snapshots > 0, "no snapshot was taken")
    local restores = t.restores
    t.s:partition({ a, c }, { b })
    local other = kv.clerk(t, "ac", { a, c })
    other:put("c", "C")
    other:put("d", "D")
    expect_value(other, "a", "A")
    expect_value(other, "b", "B")
    expect_value(other, "1", "1")
    expect_value(other, tostring(PUTS), tostring(PUTS))
    expect(t.restores > restores, "nobody has installed a snapshot")
    t:connect_all()
    local last = kv.clerk(t, "last")
    last:put("e", "E")
    expect_value(last, "c", "C")
    expect_value(last, "e", "E")
    expect_value(last, "1", "1")
    kv.check(t)
  end)

  -- What is deleted from the state is not in the snapshot.
  snapshot_lab("SnapshotSize4C", 3, {}, function(t)
    local clerk = kv.clerk(t, "c")
    for _ = 1, SMALL_PUTS do
      clerk:put("x", "0")
      expect_value(clerk, "x", "0")
      clerk:put("x", "1")
      expect_value(clerk, "x", "1")
    end
    kv.check_log_size(t)
    expect(t.snapshots > 0, "no snapshot was taken")
    expect(t.snapshot_bytes <= SNAPSHOT_BYTES, "a snapshot of %d bytes",
      t.snapshot_bytes)
    kv.check(t)
  end)

  snapshot_lab("Speed4C", 3, {}, function(t)
    local clerk = kv.clerk(t, "c")
    local from_ms = t.s:now()
    for i = 1, SPEED_OPS do clerk:append("x", ("x 0 %d y"):format(i)) end
    local op_ms = (t.s:now() - from_ms) / SPEED_OPS
    expect(op_ms <= OP_MS, "%.1f ms an operation", op_ms)
    expect(t.snapshots > 0, "no snapshot was taken")
  end)
end)
