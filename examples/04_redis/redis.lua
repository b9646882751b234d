--- One node: a replica of the keys, and a server that speaks Redis' protocol.
--
--   lua5.4 redis.lua n1 [PORT]
--
-- PORT is where clients come, instead of what cluster.lua says.
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local Server = require "server"
local Store = require "store"
local cluster = require "cluster"
local raft = require "raft"
local uv = require "luv"

-- One request has 8 MiB at the most, and may stand behind others in an entry.
local COMMAND_BYTES <const> = 16 << 20

local id, port = arg[1], math.tointeger(tonumber(arg[2]))
if not cluster[id] or (arg[2] and not port) then
  io.stderr:write("usage: lua5.4 redis.lua ID [PORT] (an ID of cluster.lua)\n")
  os.exit(2)
end

local members = {}
for name, addresses in pairs(cluster) do members[name] = addresses.raft end

local store = Store.new()
local functions = store:functions()
local node = raft.node {
  id = id, dir = "data/" .. id, cluster = "redis", members = members,
  apply = functions.apply, query = functions.query,
  save = functions.save, load = functions.load,
  max_command_bytes = COMMAND_BYTES,
}

local host, own_port = cluster[id].clients:match("^(.*):(%d+)$")
local server = Server.new { node = node, store = store, uv = uv, host = host,
  port = port or math.tointeger(tonumber(own_port)) }

io.stdout:setvbuf("line")
raft.run(function()
  assert(node:start())
  assert(server:listen())
  print(("%s listens for clients on %s:%d"):format(id, server.host,
    server.port))
end)
