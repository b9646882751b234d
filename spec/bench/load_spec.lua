local load = require "bench.compare.load"
local subjects = require "bench.compare.subjects"
local support = require "spec.support.helper"

describe("a load of the benchmarks #house", function()
  it("keeps as many under way as asked for, and tells of all", function()
    local open, most, asked, line = {}, 0, 0, nil
    load.run(3, 0, function(done)
      asked = asked + 1
      open[#open + 1] = done
      most = math.max(most, #open)
    end, function(text) line = text end)
    assert.equal(3, asked)
    while #open > 0 do table.remove(open)() end
    assert.equal(3, most)
    -- No time was left, so nothing more was asked.
    assert.equal(3, asked)
    assert.matches("^load 3 ", line)
  end)

  it("asks again as long as there is time", function()
    local asked, line, open = 0, nil, {}
    load.run(2, 60000, function(done)
      asked = asked + 1
      open[#open + 1] = done
    end, function(text) line = text end)
    for _ = 1, 10 do table.remove(open, 1)() end
    assert.equal(12, asked)
    assert.equal(2, #open)
    assert.is_nil(line)
  end)

  it("gives no figure where a request failed", function()
    local answer
    load.run(1, 0, function(done) answer = done end, function() end)
    assert.error_matches(function() answer "busy" end, "the load failed: busy")
  end)

  it("says what its parent can read", function()
    local result = subjects.result_of("load 500 0.250000 0.500 1.250 9.000")
    assert.same({ ops = 2000.0, p50 = 0.5, p99 = 1.25, worst = 9.0 }, result)
    assert.error_matches(function() subjects.result_of("load nothing") end,
      "not the result of a load: load nothing")
  end)

  it("measures what takes longer than its time", function()
    local answer, line
    load.run(1, 1, function(done) answer = done end,
      function(text) line = text end)
    local uv = require "luv"
    local until_ns = uv.hrtime() + 2e6
    support.wait_until(function() return uv.hrtime() > until_ns end)
    answer()
    local result = subjects.result_of(line)
    assert.is_true(result.ops > 0 and result.ops < 1000)
    assert.is_true(result.p99 >= 2)
  end)
end)
