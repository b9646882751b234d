--- One node of a key-value store that speaks HTTP.
--
--   lua5.4 kv.lua n1
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local cluster = require "cluster"
local http = require "http"
local raft = require "raft"
local routes = require "routes"
local store = require "store"

local id = arg[1]
if not cluster[id] then
  io.stderr:write("usage: lua5.4 kv.lua ID (one of those in cluster.lua)\n")
  os.exit(2)
end

local members = {}
for name, addresses in pairs(cluster) do members[name] = addresses.raft end

local node = raft.node {
  id = id, dir = "data/" .. id, cluster = "http-kv", members = members,
  apply = store.apply, query = store.query,
  snapshot = store.snapshot, restore = store.restore,
}

raft.run(function()
  assert(node:start())
  local server = assert(http.listen {
    address = cluster[id].http, handle = routes.new(node),
  })
  node:on("closed", function() server:close() end)
  print(("%s listens on http://%s"):format(id, server:address()))
end)
