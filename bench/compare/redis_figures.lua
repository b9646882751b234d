--- What redis-benchmark has measured: read, put together, and shown.
local report = require "bench.compare.report"
local statistics = require "bench.compare.statistics"

local M = {}

local TESTS <const> = { "SET", "GET" }
local OURS <const> = { "leader", "follower" }  -- beside the server itself

--- The figures in the CSV of a run: test -> { ops=, p50=, p99= }, ms. What is
-- none raises, and shows it.
function M.parse(text)
  local found = {}
  for line in text:gmatch("[^\n]+") do
    local name, rest = line:match('^"(%u+)",(.+)$')
    local values = {}
    for value in (rest or ""):gmatch('"([%d.]+)"') do
      values[#values + 1] = tonumber(value)
    end
    -- Name, requests a second, then ms: mean, least, p50, p95, p99, worst.
    if #values == 7 then
      found[name] = { ops = values[1], p50 = values[4], p99 = values[6] }
    end
  end
  for _, name in ipairs(TESTS) do
    if not found[name] then
      error("redis-benchmark has measured no " .. name .. ": " .. text, 0)
    end
  end
  return found
end

local function of_test(rounds, test)
  local list = {}
  for i, round in ipairs(rounds) do list[i] = round[test] end
  return list
end

--- A load as plain data. results: subject -> its rounds, each as from `parse`;
-- "redis-server" is one of them.
function M.summary(load, results)
  local data = { clients = load.clients, pipeline = load.pipeline, tests = {} }
  for _, test in ipairs(TESTS) do
    local server = of_test(results["redis-server"], test)
    local subjects, ratios = {}, {}
    for subject, rounds in pairs(results) do
      local list = of_test(rounds, test)
      subjects[subject] = {}
      for _, field in ipairs { "ops", "p50", "p99" } do
        subjects[subject][field] = statistics.summary(list, field)
        subjects[subject][field].rounds = statistics.column(list, field)
      end
    end
    for _, subject in ipairs(OURS) do
      ratios[subject] = statistics.ratio(of_test(results[subject], test),
        server, "ops")
    end
    data.tests[test] = { subjects = subjects, ratios = ratios }
  end
  return data
end

local function range(summary)
  return report.short(summary.from) .. "-" .. report.short(summary.to)
end

M.head = { "test", "-c", "-P", "at", "/s", "from-to", "p50 ms", "p99 ms",
  ": redis-server" }

--- The rows of a load's summary: a test and a subject each.
function M.rows(data)
  local rows = {}
  for _, test in ipairs(TESTS) do
    for _, subject in ipairs { "leader", "follower", "redis-server" } do
      local measured = data.tests[test].subjects[subject]
      local ratio = data.tests[test].ratios[subject]
      rows[#rows + 1] = { test, data.clients, data.pipeline, subject,
        report.short(measured.ops.median), range(measured.ops),
        report.short(measured.p50.median), report.short(measured.p99.median),
        ratio and ("%s (%s)"):format(report.short(ratio.median), range(ratio))
          or "-" }
    end
  end
  return rows
end

return M
