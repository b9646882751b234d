--- Memory of a node, idle and after a million entries; start-up time with them.
local cluster = require "bench.cluster"
local tables = require "bench.tables"

local ENTRIES <const> = 1000000
local BYTES <const> = 128
local MIB <const> = 1 << 20

local function memory_of(child)
  return tonumber(child:ask("memory"):match("%d+")) / MIB
end

local function mib(value)
  return ("%.1f"):format(value)
end

return function()
  local run = cluster.new(3, { 500, 1000 })
  local leader = run:leader()
  local follower = run:others(leader)[1]
  leader:ask("write", "wrote")
  local rows = { { "idle", mib(memory_of(leader)), mib(memory_of(follower)) } }
  leader:ask(("load %d 1024 %d"):format(ENTRIES, BYTES))
  rows[2] = { "after 1e6 entries", mib(memory_of(leader)),
    mib(memory_of(follower)) }
  tables.print("resident memory, MiB (Lua included)",
    { "", "leader", "follower" }, rows)
  follower:kill("sigkill")
  local started = run:start(follower.id):await("started")
  tables.print("start() of a node with 1e6 entries of 128 bytes in its log",
    { "ms" }, { { started:match("started (%S+)") } })
  run:close()
end
