#!/usr/bin/env lua5.4
--- Runs the server as its README says: three nodes, redis-cli and
-- redis-benchmark; the leader is killed under load, and then all of them.
--
--   lua5.4 examples/04_redis/check.lua
package.path = (arg[0]:match("^(.*/)") or "./") .. "../../?.lua;"
  .. package.path
local trial = require "examples.support.trial"

local IDS <const> = { "n1", "n2", "n3" }
local KILLS <const> = 3         -- of a leader, under load
local COMMANDS <const> = 40     -- one after the other, before and after each
local AT_ONCE <const> = 12      -- commands under way when the leader is killed
local KEYS_ASKED <const> = 50   -- in one MGET

local FILES <const> = { "batch.lua", "cluster.lua", "commands.lua",
  "config.lua", "connection.lua", "deadlines.lua", "generic.lua", "glob.lua",
  "info.lua", "inline.lua", "keyspace.lua", "numbers.lua", "pass.lua",
  "redis.lua", "refusals.lua", "requests.lua", "resp.lua", "server.lua",
  "session.lua", "store.lua", "strings.lua" }

local function start(t, id)
  local process = t:start("redis.lua", id)
  t:check(process:line(), "%s says where it listens", id)
  return process
end

local function port_of(t, id)
  return (t:read("cluster.lua"):match(id .. " = .-clients = \"[^:]*:(%d+)"))
end

-- Runs redis-cli against a node: what it printed.
local function cli(t, id, ...)
  local process = t:start_program(t:has("redis-cli"), "-p", port_of(t, id), ...)
  process:wait()
  return ((process.text .. process.errors):gsub("\n+$", ""))
end

local function leader(t, id)
  return cli(t, id, "info", "replication"):match("raft_leader:(n%d)")
end

-- Any that is not this one.
local function other_than(id)
  return id == "n1" and "n2" or "n1"
end

---------------------------------------------------------------- a session --

local function check_session(t)
  t:equal("OK", cli(t, "n1", "set", "colour", "light blue"), "set")
  for _, id in ipairs(IDS) do
    t:equal("light blue", cli(t, id, "get", "colour"), "get at " .. id)
  end
  t:equal("", cli(t, "n2", "set", "colour", "green", "nx"), "set nx")
  t:equal("1", cli(t, "n3", "incr", "visits"), "incr")
  t:equal("2", cli(t, "n1", "incr", "visits"), "incr elsewhere")
  t:equal("ERR value is not an integer or out of range",
    cli(t, "n1", "incr", "colour"), "incr of a word")
  t:equal("colour\nvisits", cli(t, "n2", "keys", "*"), "keys")
  t:equal("OK", cli(t, "n2", "set", "short", "1", "px", "50"), "set px")
  t:check(trial.wait(function()
    return cli(t, "n3", "get", "short") == ""
  end), "a key ends, though nobody writes")
  t:equal("-2", cli(t, "n1", "ttl", "short"), "ttl of what has ended")
end

------------------------------------------------------------- a dead leader --

-- Keeps redis-benchmark at work at this node. It ends at the first error that
-- it is told of, as all are whose writes were on their way to a leader that
-- was killed; then another one goes on.
local function keep_busy(t, load, id)
  if load.process and not load.process.status then return end
  load.process = t:start_program(t:has("redis-benchmark"), "-p",
    port_of(t, id), "-q", "-n", "1000000", "-P", "16", "-t", "set", "-r",
    "1000")
  load.starts = load.starts + 1
end

-- Runs commands one after the other, at changing nodes. `known` counts them and
-- holds what was acknowledged: numbers of keys, and the newest answer of INCR;
-- and how many INCR nobody can tell of.
local function write_some(t, known, load, ids)
  for i = known.count + 1, known.count + COMMANDS do
    local id = ids[i % #ids + 1]
    keep_busy(t, load, load.id)
    if i % 3 == 0 then
      local n = math.tointeger(tonumber(cli(t, id, "incr", "n")))
      t:check(not n or n > known.n, "INCR gives %s after %d", n, known.n)
      known.n = n or known.n
      known.open = known.open + (n and 0 or 1)
    elseif cli(t, id, "set", "k" .. i, "v" .. i) == "OK" then
      known.keys[#known.keys + 1] = i
    end
  end
  known.count = known.count + COMMANDS
end

-- Starts commands at all nodes, kills the leader, and hears what they say.
local function kill_meanwhile(t, known, victim)
  local clients, first = {}, known.count + 1
  known.count = known.count + AT_ONCE
  for i = first, known.count do
    clients[i] = t:start_program(t:has("redis-cli"), "-p",
      port_of(t, IDS[i % #IDS + 1]), "set", "k" .. i, "v" .. i)
  end
  trial.wait(function() return clients[first].text ~= "" end)
  victim:kill("sigkill")
  t:check(victim:wait(), "the leader ends when it is killed")
  for i = first, known.count do
    clients[i]:wait()
    if clients[i].text == "OK\n" then known.keys[#known.keys + 1] = i end
  end
end

-- Everything that was acknowledged is there, at this node.
local function check_known(t, known, id, when)
  local missing = 0
  for from = 1, #known.keys, KEYS_ASKED do
    local names, values = {}, {}
    for i = from, math.min(from + KEYS_ASKED - 1, #known.keys) do
      names[#names + 1] = "k" .. known.keys[i]
      values[#values + 1] = "v" .. known.keys[i]
    end
    local found = cli(t, id, "mget", table.unpack(names))
    if found ~= table.concat(values, "\n") then missing = missing + 1 end
  end
  t:equal(0, missing, ("%s at %s: parts that lack what was acknowledged")
    :format(when, id))
  local n = math.tointeger(tonumber(cli(t, id, "get", "n")))
  t:check(n and n >= known.n and n <= known.n + known.open,
    "%s at %s: n is %s, from %d to %d", when, id, n, known.n,
    known.n + known.open)
end

local function check_kill(t, nodes, known, load)
  local victim = trial.wait(function() return leader(t, "n1") end)
  if not t:check(victim, "somebody leads") then return end
  load.id = other_than(victim)
  write_some(t, known, load, IDS)
  kill_meanwhile(t, known, nodes[victim])
  local others = {}
  for _, id in ipairs(IDS) do
    if id ~= victim then others[#others + 1] = id end
  end
  write_some(t, known, load, others)
  nodes[victim] = start(t, victim)
  write_some(t, known, load, IDS)
end

local function check_kills(t, nodes, known)
  local load = { id = false, process = false, starts = 0 }
  for _ = 1, KILLS do check_kill(t, nodes, known, load) end
  t:check(#known.keys + known.n > known.count * 8 // 10,
    "most of %d were acknowledged: %d and %d", known.count, #known.keys,
    known.n)
  t:check(load.starts < 10 * KILLS, "redis-benchmark was at work, started %d "
    .. "times", load.starts)
  load.process:kill("sigkill")
  for _, id in ipairs(IDS) do check_known(t, known, id, "after the kills") end
end

-- One of three is no majority: it says so, and still tells of itself.
local function check_alone(t, id)
  local path, port = t:has("redis-cli"), port_of(t, id)
  local write = t:start_program(path, "-p", port, "set", "alone", "1")
  local read = t:start_program(path, "-p", port, "get", "colour")
  t:check(cli(t, id, "info"):find("raft_id:" .. id, 1, true),
    "INFO needs nobody else")
  write:wait()
  read:wait()
  t:check(write.text:find("^CLUSTERDOWN .*; it may have been done"),
    "what a write is told without a majority: %s", write.text)
  t:check(read.text:find("^CLUSTERDOWN .*; nothing was done"),
    "what a read is told without a majority: %s", read.text)
end

trial.run(function(t)
  if not t:has("redis-cli") or not t:has("redis-benchmark") then
    return t:skip("redis-cli and redis-benchmark are not here "
      .. "(tools/deps examples)")
  end
  t:copy(table.unpack(FILES))
  local nodes = {}
  for _, id in ipairs(IDS) do nodes[id] = start(t, id) end
  if t.failed > 0 then return end
  check_session(t)

  local known = { keys = {}, n = 0, open = 0, count = 0 }
  check_kills(t, nodes, known)

  nodes.n1:kill("sigkill")
  nodes.n2:kill("sigkill")
  check_alone(t, "n3")
  nodes.n3:kill("sigkill")
  for _, id in ipairs(IDS) do nodes[id]:wait() end
  for _, id in ipairs(IDS) do nodes[id] = start(t, id) end
  for _, id in ipairs(IDS) do
    check_known(t, known, id, "after a kill of all")
  end

  for _, id in ipairs(IDS) do nodes[id]:kill("sigint") end
  for _, id in ipairs(IDS) do
    t:equal(0, nodes[id]:wait(), id .. " ends in order on Ctrl-C")
  end
end)
