local json = require "bench.compare.json"
local plots = require "bench.compare.plots"
local planning = require "bench.compare.plan"
local report = require "bench.compare.report"
local svg = require "bench.compare.svg"

local function round(ops)
  return { ops = ops, p50 = 0.5, p99 = 12.34, worst = 50.0 }
end

-- A measured plan of one part, where canonical raft is not installed.
local function measured()
  local plan = planning.parse({ "embedded", "outstanding=1,64", "rounds=3" },
    false)
  for i, cell in ipairs(plan.groups[1].cells) do
    cell.results = {
      ours = { round(1000.0 * i), round(1200.0 * i), round(1100.0 * i) },
      ceiling = { round(2000.0 * i), round(2400.0 * i), round(1100.0 * i) },
    }
  end
  return plan
end

describe("the report of a comparison #house", function()
  it("has medians, spreads, and ratios round by round", function()
    local plan = measured()
    local part, cells = plan.groups[1].part, plan.groups[1].cells
    assert.same({ "propose", 3, 128, 64, "2200", "2000-2400", "0.50", "12.3",
      "-", "-", "-", "-", "4000", "2200-4800", "0.50", "12.3",
      "-", "0.50 (0.50-1.00)" }, report.row(part, cells[2]))
    assert.equal(#report.head(part), #report.row(part, cells[1]))
  end)

  it("keeps all rounds as data, and invents no absent peer", function()
    local data = report.data(measured(), { cpu = "a" })
    local cell = data.cells[2]
    assert.same({ 2000.0, 2400.0, 2200.0 }, cell.subjects.ours.ops.rounds)
    assert.equal(0.5, cell.ratios.ceiling.median)
    assert.is_nil(cell.subjects.canonical)
    assert.is_nil(cell.ratios.canonical)
  end)

  it("draws who was measured only", function()
    local drawn = plots.draw(measured(), { date = "2000-01-01", cores = 2,
      file_system = "ext4" })
    assert.matches(">ours<", drawn["throughput.svg"], 1, true)
    assert.is_nil(drawn["throughput.svg"]:find(">canonical<", 1, true))
    assert.is_nil(drawn["puts.svg"])
  end)
end)

describe("JSON of the benchmarks #house", function()
  it("writes plain values, keys in order", function()
    assert.equal('{\n  "a": [1, 0.5, "x"],\n  "b": {\n    "c": true\n  }\n}',
      json.encode { b = { c = true }, a = { 1, 0.5, "x" } })
    assert.equal("[]", json.encode {})
  end)

  it("escapes", function()
    assert.equal([["a\"b\\c\n\u0001"]], json.encode 'a"b\\c\n\1')
  end)

  it("refuses what JSON has not", function()
    assert.error_matches(function() json.encode(0 / 0) end, "no such number")
    assert.error_matches(function() json.encode(1 / 0) end, "no such number")
    assert.error_matches(function() json.encode { f = print } end,
      "JSON has no function")
  end)
end)

describe("plots of the benchmarks #house", function()
  local series = { { name = "a<b", points = { { 1, 10 }, { 100, 1000 } } } }

  it("places points on logarithmic axes", function()
    local text = svg.plot("t", "x", "y", series)
    -- From the lower left corner of the axes to the upper right one.
    assert.matches('d="M70.0 350.0L530.0 40.0"', text, 1, true)
    assert.matches("a&lt;b", text, 1, true)
    assert.matches("^<svg ", text)
    assert.matches("</svg>\n$", text)
  end)

  it("draws nothing of nothing, and refuses zero", function()
    assert.is_nil(svg.plot("t", "x", "y", {}))
    assert.error_matches(function()
      svg.plot("t", "x", "y", { { name = "a", points = { { 1, 0 } } } })
    end, "no zero")
  end)
end)
