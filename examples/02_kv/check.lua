#!/usr/bin/env lua5.4
--- Runs the store as its README says: three nodes and the command line, one
-- of the nodes killed meanwhile.
--
--   lua5.4 examples/02_kv/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"

local IDS <const> = { "n1", "n2", "n3" }

-- Runs kv.lua with these words: what it printed, and its exit status.
local function kv(t, ...)
  local process = t:start("kv.lua", ...)
  local status = process:wait()
  return process.text:gsub("\n$", ""), status
end

-- Checks what a command prints and its exit status.
local function expect(t, text, status, ...)
  local words = table.concat({ ... }, " ")
  local found, found_status = kv(t, ...)
  t:equal(text, found, words)
  t:equal(status, found_status, "exit status of " .. words)
end

local function start(t, id)
  local process = t:start("node.lua", id)
  t:check(process:line(), "%s says where it listens", id)
  return process
end

local function leader(t)
  return kv(t, "status"):match("leader=(n%d)")
end

trial.run(function(t)
  t:copy("cluster.lua", "kv.lua", "node.lua", "store.lua")
  local nodes = {}
  for _, id in ipairs(IDS) do nodes[id] = start(t, id) end

  expect(t, "ok", 0, "put", "colour", "light blue ")
  expect(t, "light blue ", 0, "get", "colour")
  expect(t, "ok", 0, "put", "colour", "green")
  expect(t, "ok", 0, "put", "shape", "round")
  expect(t, "ok", 0, "del", "shape")
  expect(t, "", 1, "del", "shape")
  expect(t, "", 1, "get", "shape")
  expect(t, "ok", 0, "put", "nothing", "")
  expect(t, "", 0, "get", "nothing")
  expect(t, "ok", 0, "put", "two words", "and more")
  expect(t, "and more", 0, "get", "two words")
  expect(t, "", 1, "put", "no value")

  local victim = leader(t)
  if not t:check(victim, "somebody leads") then return end
  nodes[victim]:kill("sigkill")
  t:check(nodes[victim]:wait(), "the leader ends when it is killed")
  expect(t, "green", 0, "get", "colour")
  expect(t, "ok", 0, "put", "size", "small")
  local status = kv(t, "status")
  t:check(status:find(victim .. " does not answer: ", 1, true),
    "status says that %s is down: %s", victim, status)

  nodes[victim] = start(t, victim)
  for _, id in ipairs(IDS) do
    if id ~= victim then nodes[id]:kill("sigint") end
  end
  for _, id in ipairs(IDS) do
    if id ~= victim then
      t:equal(0, nodes[id]:wait(), id .. " ends in order on Ctrl-C")
      nodes[id] = start(t, id)
    end
  end
  expect(t, "green", 0, "get", "colour")
  expect(t, "small", 0, "get", "size")
end)
