#!/usr/bin/env lua5.4
--- Runs the service as its README says: three processes, one of them killed.
--
--   lua5.4 examples/09_service/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"

local IDS <const> = { "n1", "n2", "n3" }

-- Does this process hear that somebody has made it so much?
local function hears(process, total)
  return trial.wait(function()
    for _, line in ipairs(process:lines()) do
      if line:match("^n%d\t(%d+)$") == tostring(total) then return true end
    end
  end)
end

trial.run(function(t)
  t:copy("counter.lua")
  local processes = {}
  for _, id in ipairs(IDS) do processes[id] = t:start("counter.lua", id) end
  for _, id in ipairs(IDS) do
    t:check(hears(processes[id], 15), id .. " hears of all three")
  end

  processes.n1:kill("sigkill")
  t:check(processes.n1:wait(), "n1 ends when it is killed")
  processes.n1 = t:start("counter.lua", "n1")
  for _, id in ipairs(IDS) do
    t:check(hears(processes[id], 20), id .. " hears of n1 again")
  end
  for _, id in ipairs(IDS) do processes[id]:kill("sigint") end
  for _, id in ipairs(IDS) do
    t:equal(0, processes[id]:wait(), id .. " ends in order on Ctrl-C")
  end
end)
