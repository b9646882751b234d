--- From node:change { old = false, new = address } to its success: an empty
-- node has taken the place of another one, in one step.
local cluster = require "bench.cluster"
local tables = require "bench.tables"

local ELECTION <const> = { 150, 300 }
local TIMES <const> = 10
local COMMAND_BYTES <const> = 1024
local LOGS <const> = { 0, 10, 50 }  -- MiB that the new node has to receive

-- Replaces the leader, or a follower: ms.
local function replace_once(run, number, is_leader)
  local leader = run:leader()
  local old = is_leader and leader or run:others(leader)[1]
  local asked = is_leader and run:others(leader)[1] or leader
  local id = "m" .. number
  local where = run:join(id)
  run.children[id]:await("started")
  local line = asked:ask(("replace %s %s %s"):format(old.id, id, where),
    "replaced")
  run:retire(old.id)
  run:leader():ask("write", "wrote")
  return tonumber(line:match("%S+$"))
end

local function row_of(mib, what, times)
  table.sort(times)
  return { mib, what, #times, ("%.0f"):format(times[(#times + 1) // 2]),
    ("%.0f"):format(times[#times]) }
end

local function rows_of(mib, rows)
  local run, number = cluster.new(3, ELECTION), 0
  for _, child in ipairs(run:others(run:leader())) do child:ask("status") end
  if mib > 0 then
    run:leader():ask(("load %d 64 %d"):format((mib << 20) // COMMAND_BYTES,
      COMMAND_BYTES), "load")
  end
  for _, what in ipairs { "follower", "leader" } do
    local times = {}
    for i = 1, TIMES do
      number = number + 1
      times[i] = replace_once(run, number, what == "leader")
    end
    rows[#rows + 1] = row_of(mib, what, times)
  end
  run:close()
end

return function()
  local rows = {}
  for _, mib in ipairs(LOGS) do rows_of(mib, rows) end
  tables.print("one node replaced by an empty one, ms",
    { "log MiB", "replaced", "times", "p50", "max" }, rows)
end
