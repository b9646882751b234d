--- One node of the key-value store.
--
--   lua5.4 node.lua n1
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local raft = require "raft"
local members = require "cluster"
local store = require "store"

local id = arg[1]
if not members[id] then
  io.stderr:write("usage: lua5.4 node.lua ID (one of those in cluster.lua)\n")
  os.exit(2)
end

local node = raft.node {
  id = id, dir = "data/" .. id, cluster = "kv", members = members,
  apply = store.apply, query = store.query,
  snapshot = store.snapshot, restore = store.restore,
}

raft.run(function()
  assert(node:start())
  print(id .. " listens on " .. node:status().listen)
end)
