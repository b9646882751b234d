-- The node whose start and memory are measured, and what is made of it.
local cluster = require "bench.cluster"
local recovery = require "bench.compare.recovery"
local support = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"

-- Runs fn in a coroutine: what it raised, or nil.
local function in_coroutine(fn)
  local is_over, ok, err = false, nil, nil
  local co = coroutine.create(function()
    ok, err = pcall(fn)
    is_over = true
  end)
  assert(coroutine.resume(co))
  support.wait_until(function() return is_over end)
  return not ok and err or nil
end

describe("recovery of the benchmarks #house", function()
  it("has the aims beside the figures", function()
    local rounds = {}
    for i = 1, 3 do
      rounds[i] = { recovered_ms = 10 * i, applied_ms = 100, start_ms = 120,
        process_ms = 50, resident_mib = 40, log_bytes = 4.5,
        resident_bytes = 5 }
    end
    local by_name = {}
    for _, figure in ipairs(recovery.summaries(rounds)) do
      by_name[figure.name] = figure
    end
    assert.equal(20, by_name.recovered_ms.median)
    assert.equal(10, by_name.recovered_ms.from)
    assert.equal(30, by_name.recovered_ms.to)
    assert.equal(1000, by_name.recovered_ms.aim)
    assert.equal(8, by_name.log_bytes.aim)
    assert.equal(8, by_name.resident_bytes.aim)
    assert.is_nil(by_name.applied_ms.aim)
  end)

  it("starts a node that tells what it did, twice", function()
    local dir <close> = tmpdir.new()
    local err = in_coroutine(function()
      for life = 1, 2 do
        local child = cluster.script("n1", "bench/compare/starting.lua",
          dir:join("n1"), cluster.free_addresses(1)[1])
        local started = child:await("started")
        assert.matches("^started %d+ %d+ %d+ %d+$", started)
        local last = tonumber(started:match("%d+$"))
        assert.equal(life == 2, last > 100, started)
        child:ask("fill 100 128 16", "filled")
        local log, newest = child:ask("memory"):match(
          "^memory %d+ (%d+) (%d+)$")
        assert.is_true(tonumber(newest) > last + 100)
        assert.is_true(tonumber(log) > 100 * 168)
        child:kill("sigkill")
      end
    end)
    assert.is_nil(err)
  end)
end)
