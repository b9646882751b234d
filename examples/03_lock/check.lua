#!/usr/bin/env lua5.4
--- Runs the workers as their README says. The one that holds the lock is
-- stopped until another has it, and its late write must be refused.
--
--   lua5.4 examples/03_lock/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"

local IDS <const> = { "n1", "n2", "n3" }

local workers, storage = {}, nil

-- Who holds the lock: the one who has said so with the greatest token.
local function holder()
  local best, who = 0, nil
  for id, worker in pairs(workers) do
    for token in worker.text:gmatch("holds the lock, token (%d+)\n") do
      if tonumber(token) > best then best, who = tonumber(token), id end
    end
  end
  return who, best
end

-- Waits for a holder with a greater token: who, and the token.
local function next_holder(t, before)
  t:check(trial.wait(function()
    local _, token = holder()
    return token > before
  end), "somebody holds the lock after token %d", before)
  return holder()
end

-- What the storage has taken, in order: { token=, id=, line= }.
local function written()
  local list = {}
  for token, id, line in storage.text:gmatch("(%d+) (n%d) line (%d)\n") do
    list[#list + 1] = { token = tonumber(token), id = id,
      line = tonumber(line) }
  end
  return list
end

local function check_storage(t)
  local list, owner = written(), {}
  t:check(#list >= 10, "%d lines were written", #list)
  for i, it in ipairs(list) do
    local before = list[i - 1]
    t:check(not before or it.token >= before.token,
      "line %d was written with token %d, an older one", i, it.token)
    owner[it.token] = owner[it.token] or it.id
    t:equal(owner[it.token], it.id, "whose token " .. it.token .. " is")
  end
end

trial.run(function(t)
  t:copy("cluster.lua", "storage.lua", "worker.lua")
  storage = t:start("storage.lua")
  t:check(storage:line(), "the storage says where it listens")
  for _, id in ipairs(IDS) do workers[id] = t:start("worker.lua", id) end

  local paused, old = next_holder(t, 0)
  if not paused then return end
  workers[paused]:kill("sigstop")
  local other, new = next_holder(t, old)
  t:check(other ~= paused, "another one holds the lock, not %s", other)
  t:check(trial.wait(function()
    local list = written()
    return #list > 0 and list[#list].token >= new
  end), "the other one writes")

  workers[paused]:kill("sigcont")
  local words = ("%s, with token %d: refused: token %d is older than"):format(
    paused, old, old)
  t:check(trial.wait(function()
    return workers[paused].text:find(words, 1, true)
  end), "%s is refused:\n%s", paused, workers[paused].text)

  local victim, token = next_holder(t, new)
  workers[victim]:kill("sigkill")
  local heir = next_holder(t, token)
  t:check(heir ~= victim, "%s is dead and holds the lock", victim)
  workers[victim]:wait()
  workers[victim] = t:start("worker.lua", victim)
  t:check(workers[victim]:line(), "%s holds it again some time", victim)
  for _, id in ipairs(IDS) do workers[id]:kill("sigint") end
  for _, id in ipairs(IDS) do
    t:equal(0, workers[id]:wait(), id .. " ends in order on Ctrl-C")
  end
  check_storage(t)
end)
