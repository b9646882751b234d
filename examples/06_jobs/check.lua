#!/usr/bin/env lua5.4
--- Runs the scheduler as its README says: three nodes, of which the busy one is
-- killed again and again. Every period must be in the journal, once.
--
--   lua5.4 examples/06_jobs/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"
local uv = require "luv"

local IDS <const> = { "n1", "n2", "n3" }
local KILLS <const> = 2
local LINES <const> = 5     -- between two of them
local EVERY_MS <const> = 500

local nodes = {}

-- The journal: { due_ms=, id= }, in order.
local function entries(t)
  local list = {}
  if not uv.fs_stat(t.dir .. "/journal.txt") then return list end
  for line in t:read("journal.txt"):gmatch("([^\n]*)\n") do
    local due_ms, id = line:match("^beat (%d+) by (n%d), attempt %d+$")
    t:check(due_ms, "a line of the journal, not %s", line)
    list[#list + 1] = { due_ms = tonumber(due_ms), id = id }
  end
  return list
end

local function count(t)
  if not uv.fs_stat(t.dir .. "/journal.txt") then return 0 end
  local _, lines = t:read("journal.txt"):gsub("\n", "")
  return lines
end

-- Waits for so many lines more.
local function wait_for(t, more)
  local before = count(t)
  return t:check(trial.wait(function() return count(t) >= before + more end),
    "%d lines after %d", more, before)
end

local function start(t, id)
  nodes[id] = t:start("jobs.lua", id)
end

-- Kills the node that has done the last run, in the middle of the next one or
-- of anything else, and starts it again.
local function kill_the_busy_one(t)
  local list = entries(t)
  local id = list[#list].id
  nodes[id]:kill("sigkill")
  t:check(nodes[id]:wait(), "%s ends when it is killed", id)
  if not wait_for(t, LINES) then return end
  start(t, id)
  t:check(nodes[id]:line(), "%s works again", id)
end

local function check_journal(t)
  local list, by, seen = entries(t), {}, {}
  local first, last = math.huge, 0
  for _, it in ipairs(list) do
    t:check(not seen[it.due_ms], "%d was done twice", it.due_ms)
    seen[it.due_ms], by[it.id] = true, true
    first, last = math.min(first, it.due_ms), math.max(last, it.due_ms)
  end
  for due_ms = first, last, EVERY_MS do
    t:check(seen[due_ms], "%d was not done", due_ms)
  end
  t:check(next(by, (next(by))), "more than one has worked")
end

trial.run(function(t)
  t:copy("cluster.lua", "jobs.lua", "journal.lua")
  for _, id in ipairs(IDS) do start(t, id) end
  for _, id in ipairs(IDS) do
    t:check(nodes[id]:line(), "%s says that it works", id)
  end
  if not wait_for(t, LINES) then return end
  for _ = 1, KILLS do kill_the_busy_one(t) end
  wait_for(t, LINES)
  for _, id in ipairs(IDS) do nodes[id]:kill("sigint") end
  for _, id in ipairs(IDS) do
    t:equal(0, nodes[id]:wait(), id .. " ends in order on Ctrl-C")
  end
  check_journal(t)
end)
