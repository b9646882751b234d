--- A scheduler on three machines: each period of a job is done by one of them,
-- whichever of them live. What is done here is a line in a journal.
--
--   lua5.4 jobs.lua n1
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local cluster = require "cluster"
local cron = require "raft.services.cron"
local journal = require "journal"
local raft = require "raft"

local CLAIM_MS <const> = 2000  -- after the death of one another goes on

local id = arg[1]
if not cluster[id] then
  io.stderr:write("usage: lua5.4 jobs.lua ID (one of cluster.lua)\n")
  os.exit(2)
end

local node = raft.node {
  id = id, dir = "data/" .. id, cluster = "jobs", members = cluster,
  service = cron {},
}

-- A run is done at least once. Its name and its time say which one it is, so
-- that a second time is seen, and does no harm.
local function beat(tick)
  local name = ("%s %d"):format(tick.name, tick.due_ms)
  if journal.has(name) then return print(name .. " was done already") end
  raft.sleep(100)  -- the work
  journal.add(("%s by %s, attempt %d"):format(name, id, tick.attempt))
  print(name)
end

io.stdout:setvbuf("line")
raft.run(function()
  assert(node:start())
  assert(node:ready { timeout = false })
  assert(node.cron.set("beat", { every = 500, missed = "all", max_runs = 100 }))
  local worker = cron.run(node, { jobs = { beat = beat },
    claim_ms = CLAIM_MS })
  node:on("closed", function() worker:stop() end)
  print(id .. " works")
end)
