-- A lock service that is right, and a use of it that is wrong: whoever holds
-- the lock may be stopped (a long collection, a suspended laptop) until it
-- holds it no more, and go on writing all the same. Only the thing that is
-- written to can refuse: it must ask for the token that the lock gave, and take
-- none that is older than one it has seen.
--
--   lua5.4 examples/simulation/lock.lua           finds the double write
--   lua5.4 examples/simulation/lock.lua fencing   cannot
local sim = require "raft.sim"

local has_fencing = arg[1] == "fencing"

local TTL_MS <const> = 1000

-- The replicated part: one lock. Time is that of the log, the same everywhere.
local function node()
  local token, owner, until_ms = 0, false, 0
  return {
    apply = function(name, entry)
      if owner and owner ~= name and entry.time < until_ms then return false end
      if owner ~= name or entry.time >= until_ms then token = token + 1 end
      owner, until_ms = name, entry.time + TTL_MS
      return token
    end,
  }
end

-- The thing that the lock guards: a file on some server, say.
local function new_store()
  local store = { writes = {}, newest = 0 }
  function store.write(token, name)
    if has_fencing and token < store.newest then return false end
    store.newest = math.max(store.newest, token)
    table.insert(store.writes, { token = token, name = name })
    return true
  end
  return store
end

local store

local function worker(s, random, name)
  local client <close> = s:client(name)
  for _ = 1, 10 do
    local token = client:propose(name)
    if token then
      if random:chance(0.2) then s:sleep(random:between(1000, 3000)) end
      store.write(token, name)
    end
    s:sleep(random:between(1, 500))
  end
end

local function workload(s, random)
  store = new_store()
  local one = s:spawn(function() worker(s, random:derive("one"), "one") end)
  worker(s, random:derive("two"), "two")
  one:wait()
end

-- Nobody writes once the next holder has.
local function check()
  for i = 2, #store.writes do
    local before, write = store.writes[i - 1], store.writes[i]
    if write.token < before.token then
      return nil, ("%s wrote with token %d after %s had with token %d"):format(
        write.name, write.token, before.name, before.token)
    end
  end
end

local report, err = sim.explore { seeds = 20, nodes = 3, node = node,
  workload = workload, check = check, duration_ms = 10000 }
if err and err.missing then print(err) end
os.exit(report ~= nil)
