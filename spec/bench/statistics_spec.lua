local load = require "bench.compare.load"
local statistics = require "bench.compare.statistics"

local function rounds(...)
  local list = {}
  for i, ops in ipairs { ... } do list[i] = { ops = ops } end
  return list
end

describe("statistics of the benchmarks #house", function()
  it("takes the middle, or the mean of both, and changes nothing", function()
    local values = { 5, 1, 9 }
    assert.equal(5, statistics.median(values))
    assert.same({ 5, 1, 9 }, values)
    assert.equal(3, statistics.median { 1, 2, 4, 9 })
    assert.is_nil(statistics.median {})
  end)

  it("sums a field up over the rounds", function()
    assert.same({ median = 20, from = 10, to = 90 },
      statistics.summary(rounds(90, 10, 20), "ops"))
  end)

  it("divides round by round, so that a slow moment is slow for both",
    function()
      local ratio = statistics.ratio(rounds(200, 20, 210),
        rounds(100, 10, 100), "ops")
      assert.same({ median = 2.0, from = 2.0, to = 2.1 }, ratio)
    end)

  it("has no ratio to nothing", function()
    assert.is_nil(statistics.ratio(rounds(1), {}, "ops"))
    assert.is_nil(statistics.ratio(rounds(1), rounds(0), "ops"))
  end)

  it("finds the latency below which a share lies", function()
    local buckets = { [1] = 98, [5] = 1, [100] = 1 }  -- of 10 us each
    assert.equal(0.01, load.percentile(buckets, 100, 0.5))
    assert.equal(0.05, load.percentile(buckets, 100, 0.99))
    assert.equal(1.0, load.percentile(buckets, 100, 1))
  end)
end)
