#!/usr/bin/env lua5.4
--- Runs the programs as their README says: three of them, and clients; one gets
-- a new node, one is killed, all end in order.
--
--   lua5.4 examples/08_embed/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"
local uv = require "luv"

local IDS <const> = { "n1", "n2", "n3" }

local programs = {}  -- id -> its process

-- Waits until the program has said this, since it had printed `from` bytes.
local function says(t, id, words, from)
  local program = programs[id]
  return t:check(trial.wait(function()
    return program.text:find(words, (from or 0) + 1)
  end), "%s does not say %s:\n%s", id, words, program.text)
end

local function start(t, id)
  programs[id] = t:start("program.lua", id)
  says(t, id, "echoes on")
end

-- A client of a program: client.text is what it was sent so far.
local function connect(t, id)
  local port = t:read("cluster.lua"):match(id .. ' = .-echo = "[^:]*:(%d+)')
  local client = { socket = uv.new_tcp(), text = "", has_ended = false }
  client.socket:connect("127.0.0.1", tonumber(port), function(err)
    if err then client.has_ended = true return end
    client.socket:read_start(function(_, chunk)
      client.text = client.text .. (chunk or "")
      client.has_ended = client.has_ended or not chunk
    end)
  end)
  return client
end

-- Sends a line: the number it came back with, or "-" or "?".
local function echo(t, client, line)
  local from = #client.text
  client.socket:write(line .. "\n")
  trial.wait(function()
    return client.text:find("\n", from + 1, true) or client.has_ended
  end)
  local number, back = client.text:sub(from + 1):match("^(%S+) ([^\n]*)\n")
  t:equal(line, back, "what comes back")
  return tonumber(number) or number
end

-- Who leads, by what a program has said last.
local function leader_by(id)
  local leader
  for each in programs[id].text:gmatch("leader (n%l*%d?)\n") do
    leader = each
  end
  return programs[leader] and leader
end

-- Gives a program a new node, and echoes all the while.
local function check_new_node(t, id, client, count)
  local from, is_numberless = #programs[id].text, false
  programs[id]:kill("sighup")
  local function is_renewed()
    return programs[id].text:find("node on", from + 1, true)
  end
  while not is_renewed() and not programs[id].status do
    local number = echo(t, client, "meanwhile")
    is_numberless = is_numberless or number == "-"
    if math.type(number) then
      t:equal(count + 1, number, "a line's number")
      count = number
    end
  end
  says(t, id, "node off", from)
  t:check(is_numberless, "nothing was echoed while %s had no node", id)
  local found = echo(t, client, "again")
  t:equal(count + 1, found, "the number after a new node")
  return count + 1
end

local function close(clients)
  for _, client in pairs(clients) do client.socket:close() end
end

local function check_end(t, id)
  t:equal(0, programs[id]:wait(), id .. " ends in order")
  says(t, id, id .. ": goodbye\n" .. id .. ": 0 handles left\n$")
end

trial.run(function(t)
  t:copy("cluster.lua", "program.lua")
  local clients = {}
  for _, id in ipairs(IDS) do
    start(t, id)
    clients[id] = connect(t, id)
  end
  t:equal(1, echo(t, clients.n1, "hello"), "the first line's number")
  t:equal(2, echo(t, clients.n2, "world"), "the second")
  t:equal(3, echo(t, clients.n3, "again"), "the third")
  says(t, "n1", "n1: %l+ term=%d+ applied=%d+\n")

  local leader = trial.wait(function() return leader_by("n1") end)
  if not t:check(leader, "somebody leads") then return end
  local count = check_new_node(t, leader, clients[leader], 3)
  for _, id in ipairs(IDS) do
    count = count + 1
    t:equal(count, echo(t, clients[id], "hello"), id .. "'s number")
  end

  programs.n3:kill("sigkill")
  t:check(programs.n3:wait(), "n3 ends when it is killed")
  local _ = echo(t, clients.n1, "perhaps")  -- it may have been on its way
  start(t, "n3")
  local again = connect(t, "n3")
  t:check(echo(t, again, "back") > count, "n3 knows everything again")
  again.socket:close()

  programs.n1:kill("sigint")
  check_end(t, "n1")
  for _, id in ipairs { "n2", "n3" } do programs[id]:kill("sigterm") end
  for _, id in ipairs { "n2", "n3" } do check_end(t, id) end
  t:check(clients.n1.has_ended, "its clients are closed")
  close(clients)
end)
