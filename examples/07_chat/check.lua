#!/usr/bin/env lua5.4
--- Runs the chat as its README says: three nodes, one of them late, and two
-- clients, all at their keyboards; one terminal is killed.
--
--   lua5.4 examples/07_chat/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"

local NODES <const> = { ann = "n1", bob = "n2", cleo = "n3" }
local MANY <const> = 20  -- lines that some say at the same time

local terminals = {}  -- name -> its process
local said = 0        -- lines, by all

local function open(t, name)
  terminals[name] = t:start_terminal("chat.lua", name, NODES[name])
  t:check(terminals[name]:line(), "%s is at the keyboard", name)
end

local function say(name, text)
  terminals[name]:type(text .. "\n")
  said = said + 1
end

-- The lines of the room on this screen, in their order.
local function room_at(name)
  local list = {}
  for _, line in ipairs(terminals[name]:lines()) do
    if line:find("^%d+ %l+: ") then list[#list + 1] = line end
  end
  return list
end

-- All lines that were said are on the screens of these, in the same order.
local function check_rooms(t, names)
  for _, name in ipairs(names) do
    t:check(trial.wait(function() return #room_at(name) >= said end),
      "%s sees %d lines, and not %d", name, said, #room_at(name))
    t:equal(table.concat(room_at(names[1]), "\n"),
      table.concat(room_at(name), "\n"), "the screen of " .. name)
  end
end

-- Each of these says many lines, and the others' come in between.
local function all_talk(names)
  for i = 1, MANY do
    for _, name in ipairs(names) do say(name, "line " .. i) end
  end
end

-- What one says stands in the order in which it was said.
local function check_order(t, name)
  local n = 0
  for _, line in ipairs(room_at(name)) do
    local number = line:match("^%d+ " .. name .. ": line (%d+)$")
    if number then
      n = n % MANY + 1
      t:equal(n, tonumber(number), "a line of " .. name)
    end
  end
  t:check(n == MANY, "%s has said %d lines", name, n)
end

trial.run(function(t)
  t:copy("chat.lua", "cluster.lua", "room.lua")
  for _, name in ipairs { "ann", "bob", "cleo", "dora" } do open(t, name) end
  say("ann", "hello, all")
  check_rooms(t, { "ann", "bob", "cleo", "dora" })
  t:equal("1 ann: hello, all", room_at("bob")[1], "the first line")

  terminals.cleo:hang_up()
  t:equal(0, terminals.cleo:wait(), "cleo leaves in order")
  all_talk { "ann", "bob", "dora" }
  check_rooms(t, { "ann", "bob", "dora" })
  for _, name in ipairs { "ann", "bob", "dora" } do check_order(t, name) end

  open(t, "cleo")  -- late: all that was said meanwhile comes first
  open(t, "emil")
  check_rooms(t, { "ann", "cleo", "emil" })

  terminals.bob:kill("sigkill")
  t:check(terminals.bob:wait(), "bob ends when he is killed")
  say("emil", "where is bob?")
  say("ann", "he fell")
  check_rooms(t, { "ann", "cleo", "dora", "emil" })
  open(t, "bob")
  check_rooms(t, { "ann", "bob", "cleo", "dora", "emil" })

  for _, terminal in pairs(terminals) do terminal:hang_up() end
  for name, terminal in pairs(terminals) do
    t:equal(0, terminal:wait(), name .. " leaves in order")
  end
end)
