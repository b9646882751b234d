--- One node of the key-value store.
--
--   lua5.4 node.lua n1
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local raft = require "raft"
local cluster = require "cluster"
local lines = require "lines"
local store = require "store"

local id = arg[1]
if not cluster[id] then
  io.stderr:write("usage: lua5.4 node.lua ID (one of those in cluster.lua)\n")
  os.exit(2)
end

local members = {}
for name, addresses in pairs(cluster) do members[name] = addresses.raft end

local node = raft.node {
  id = id, dir = "data/" .. id, cluster = "kv", members = members,
  apply = store.apply, query = store.query,
  snapshot = store.snapshot, restore = store.restore,
}

----------------------------------------------------------------- requests --

-- What a client may ask for; each returns a result, or nil and an error.
local requests = {}

function requests.put(key, value)
  return node:propose(store.command("put", key, value))
end

function requests.del(key)
  return node:propose(store.command("del", key))
end

function requests.get(key)
  return node:query(key)
end

function requests.status()
  local s = node:status()
  return ("%s %s term=%d leader=%s commit=%d applied=%d"):format(s.id, s.role,
    s.term, s.leader or "none", s.commit, s.applied)
end

-- "put colour light blue" -> the reply: ok, value ..., none, error ...
local function answer(line)
  local name, key, value = line:match("^(%l+) ?(%S*) ?(.*)$")
  local request = requests[name]
  if not request then return "error what is that? put, get, del or status" end
  if name ~= "status" and key == "" then return "error which key?" end
  local result, err = request(key, value)
  if err then return "error " .. tostring(err) end
  if not result then return "none" end  -- no such key
  return result == true and "ok" or "value " .. result
end

raft.run(function()
  assert(node:start())
  assert(lines.listen(cluster[id].clients, answer))
  print(id .. " listens for clients on " .. cluster[id].clients)
end)
