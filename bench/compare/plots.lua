--- The plots of a run: throughput and latency over what is outstanding.
local statistics = require "bench.compare.statistics"
local svg = require "bench.compare.svg"

local M = {}

local X_TITLE <const> = "outstanding"

--- File name -> what it shows.
M.list = {
  { file = "throughput.svg", part = "embedded", kind = "propose",
    field = "ops", title = "commands per second, load inside the leader" },
  { file = "latency.svg", part = "embedded", kind = "propose", field = "p99",
    title = "99th percentile of the latency, ms" },
  { file = "puts.svg", part = "client", kind = "propose", field = "ops",
    title = "puts per second of a client" },
  { file = "gets.svg", part = "client", kind = "linearizable", field = "ops",
    title = "linearizable reads per second of a client" },
}

-- The points of one plot, by subject, in the order in which they come.
local function series_of(plan, wanted)
  local series, by_name = {}, {}
  local function add(cell)
    for _, name in ipairs { "ours", "canonical", "etcd", "ceiling" } do
      local rounds = cell.results[name]
      local y = rounds and statistics.median(statistics.column(rounds,
        wanted.field))
      if y and y > 0 then
        if not by_name[name] then
          by_name[name] = { name = name, points = {} }
          series[#series + 1] = by_name[name]
        end
        table.insert(by_name[name].points, { cell.outstanding, y })
      end
    end
  end
  for _, group in ipairs(plan.groups) do
    for _, cell in ipairs(group.cells) do
      if group.part.name == wanted.part and cell.name == wanted.kind then
        add(cell)
      end
    end
  end
  return series
end

--- File name -> SVG, of those for which something was measured.
function M.draw(plan, machine)
  local drawn = {}
  for _, wanted in ipairs(M.list) do
    drawn[wanted.file] = svg.plot(wanted.title, X_TITLE, ("%s, %d cores, %s")
      :format(machine.date, machine.cores, machine.file_system),
      series_of(plan, wanted))
  end
  return drawn
end

return M
