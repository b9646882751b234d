#!/usr/bin/env lua5.4
--- Runs the counter as its README says: three processes, one of them killed.
--
--   lua5.4 examples/01_counter/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"

local IDS <const> = { "n1", "n2", "n3" }

-- Starts these nodes; their processes by id, and what each printed first,
-- smallest number first: "5 10 15".
local function start(t, ids)
  local processes, totals = {}, {}
  for _, id in ipairs(ids) do
    processes[id] = t:start("counter.lua", id)
  end
  for i, id in ipairs(ids) do
    totals[i] = tonumber(processes[id]:line()) or -1
  end
  table.sort(totals)
  return processes, table.concat(totals, " ")
end

trial.run(function(t)
  t:copy("counter.lua", "add.lua")
  local processes, totals = start(t, IDS)
  t:equal("5 10 15", totals, "each adds 5, one after the other")

  t:equal("22", t:start("add.lua", "7"):line(), "a client adds 7")

  processes.n1:kill("sigkill")
  t:check(processes.n1:wait(), "n1 ends when it is killed")
  local again, total = start(t, { "n1" })
  t:equal("27", total, "n1 knows everything after a kill -9")

  processes.n1 = again.n1
  for _, id in ipairs(IDS) do processes[id]:kill("sigint") end
  for _, id in ipairs(IDS) do
    t:equal(0, processes[id]:wait(), id .. " ends in order on Ctrl-C")
  end
  t:equal("32 37 42", select(2, start(t, IDS)), "all know it after a restart")
end)
