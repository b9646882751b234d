-- The state machine of examples/04_redis as a service in the simulation, under
-- all its faults: whatever happens, all replicas have the same keys, and what
-- was acknowledged happened once.
local redis = require "spec.support.redis"
local sim = require "raft.sim"

local Store, batch = redis.load "store", redis.load "batch"

local CLIENTS <const> = 3
local COMMANDS <const> = 40  -- of each

local stores = {}  -- id -> the store of its newest life
local acked        -- what INCR has answered -> true
local asked        -- how many INCR there were

local function node(id)
  stores[id] = Store.new()
  local functions = stores[id]:functions()
  functions.snapshot_bytes = 2000
  return functions
end

local function commands_of(...)
  local pieces = {}
  for i, line in ipairs { ... } do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    pieces[i] = batch.command(words)
  end
  return batch.pack { table.concat(pieces) }
end

local function incr(client)
  asked = asked + 1
  local results = client:propose(commands_of("incr n"))
  if not results then return end
  local n = tonumber(results[1]:match("%d+"))
  assert(not acked[n], "two were told " .. n)
  acked[n] = true
end

-- Keys that end soon, in an order that everybody must have.
local function churn(client, random)
  local key = "k" .. random:between(1, 8)
  client:propose(commands_of(
    ("set %s %d px %d"):format(key, random:between(1, 99),
      random:between(1, 3000)),
    ("expire k%d 1 gt"):format(random:between(1, 8)),
    ("append k%d x"):format(random:between(1, 8)), "keys *", "dbsize"))
end

local function user(s, random, name)
  local client <close> = s:client(name)
  for _ = 1, COMMANDS do
    if random:chance(0.5) then incr(client) else churn(client, random) end
    s:sleep(random:between(1, 200))
  end
end

local function workload(s, random)
  acked, asked = {}, 0
  local users = {}
  for i = 1, CLIENTS do
    local name = "user" .. i
    local own = random:derive(name)
    users[i] = s:spawn(function() user(s, own, name) end)
  end
  for _, task in ipairs(users) do task:wait() end
end

-- The keys of a store as one text.
local function text_of(store)
  local lines = {}
  for _, key in ipairs(store.keys:names(function() return true end)) do
    lines[#lines + 1] = ("%s=%s until %s"):format(key, store.keys:get(key),
      store.keys:deadline(key))
  end
  return table.concat(lines, "\n")
end

local function check(s)
  local first
  for id in pairs(s:node("n1"):members()) do
    if stores[id] then
      first = first or text_of(stores[id])
      if text_of(stores[id]) ~= first then
        return nil, id .. " has other keys"
      end
    end
  end
  local highest, n = 0, math.tointeger(tonumber(stores.n1.keys:get("n") or 0))
  for told in pairs(acked) do highest = math.max(highest, told) end
  if n < highest or n > asked then
    return nil, ("n is %d, told were %d, asked %d"):format(n, highest, asked)
  end
  return true
end

describe("examples/04_redis in the simulation", function()
  it("has the same keys everywhere, and does nothing twice", function()
    assert(sim.explore { seeds = 6, nodes = 3, duration_ms = 6000,
      probe = "", node = node, workload = workload, check = check })
  end)
end)
