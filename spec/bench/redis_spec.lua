-- What is made of the figures of redis-benchmark.
local figures = require "bench.compare.redis_figures"

local HEAD <const> = '"test","rps","avg_latency_ms","min_latency_ms",'
  .. '"p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n'

local function csv(set, get)
  return HEAD .. ('"SET","%s","0.9","0.1","0.5","1.5","2.5","9.0"\n'):format(
    set) .. ('"GET","%s","0.8","0.1","0.4","1.4","2.4","8.0"\n'):format(get)
end

describe("the figures of redis-benchmark #house", function()
  it("are read by the name of the test", function()
    assert.same({ SET = { ops = 1000.5, p50 = 0.5, p99 = 2.5 },
      GET = { ops = 2000.0, p50 = 0.4, p99 = 2.4 } },
      figures.parse(csv("1000.5", "2000.0")))
  end)

  it("raise where there are none, with what was said", function()
    assert.error_matches(function()
      figures.parse "Could not connect to Redis at 127.0.0.1:1\n"
    end, "has measured no SET: Could not connect")
    assert.error_matches(function()
      figures.parse(HEAD .. '"SET","1","1","1","1","1","1","1"\n')
    end, "has measured no GET")
  end)

  it("have medians, spreads, and ratios round by round", function()
    local function rounds(...)
      local list = {}
      for i, ops in ipairs { ... } do list[i] = figures.parse(csv(ops, ops)) end
      return list
    end
    local data = figures.summary({ clients = 50, pipeline = 16 }, {
      leader = rounds(100, 300, 200), follower = rounds(50, 50, 50),
      ["redis-server"] = rounds(200, 300, 400) })
    local rows = figures.rows(data)
    assert.equal(6, #rows)
    assert.same({ "SET", 50, 16, "leader", "200", "100-300", "0.50", "2.50",
      "0.50 (0.50-1.00)" }, rows[1])
    assert.same({ "GET", 50, 16, "redis-server", "300", "200-400", "0.40",
      "2.40", "-" }, rows[6])
    assert.equal(#figures.head, #rows[1])
    assert.same({ 100, 300, 200 },
      data.tests.SET.subjects.leader.ops.rounds)
  end)
end)
