--- The text of INFO: what this node knows of itself, without asking anybody. So
-- it is answered where there is no leader, too.
local raft = require "raft"

local M = {}

--- Whose words and replies these are.
M.REDIS_VERSION = "7.0.15"

local section = {}  -- name -> function(server, add), where add(name, value)

function section.server(server, add)
  local status = server.node:status()
  add("redis_version", M.REDIS_VERSION)
  add("redis_mode", "standalone")
  add("raft_version", raft._VERSION)
  add("process_id", server.uv.os_getpid() // 1 | 0)
  add("tcp_port", server.port)
  add("uptime_in_seconds", status.uptime // 1000)
  add("uptime_in_days", status.uptime // 86400000)
end

function section.clients(server, add)
  add("connected_clients", server.client_count)
  add("maxclients", server.clients_max)
end

-- On a leader: who follows, as Redis lists its replicas.
local function add_followers(status, members, add)
  local ids = {}
  for id in pairs(status.peers) do ids[#ids + 1] = id end
  table.sort(ids)
  add("connected_slaves", #ids)
  for i, id in ipairs(ids) do
    local host, port = members[id].address:match("^(.*):(%d+)$")
    local peer = status.peers[id]
    add("slave" .. i - 1, ("ip=%s,port=%s,state=%s,offset=%d,lag=%d")
      :format(host, port, peer.state, peer.match, peer.lag))
  end
end

-- The addresses are those at which the nodes meet each other.
function section.replication(server, add)
  local status = server.node:status()
  local is_leader = status.role == "leader"
  add("role", is_leader and "master" or "slave")
  if is_leader then
    add_followers(status, server.node:members(), add)
  else
    local _, address = server.node:leader()
    local host, port = (address or ":0"):match("^(.*):(%d+)$")
    add("master_host", host)
    add("master_port", port)
    add("master_link_status", address and "up" or "down")
  end
  add("raft_id", status.id)
  add("raft_state", status.state)
  add("raft_role", status.role)
  add("raft_leader", status.leader or "")
  add("raft_term", status.term)
  add("raft_commit_index", status.commit)
  add("raft_applied_index", status.applied)
end

function section.keyspace(server, add)
  local count, ending = server.store:counts()
  if count == 0 then return end
  add("db0", ("keys=%d,expires=%d,avg_ttl=0"):format(count, ending))
end

local ORDER <const> = { "server", "clients", "replication", "keyspace" }
local ALL <const> = { all = true, default = true, everything = true }

local function text_of(name, server)
  local lines = { "# " .. name:gsub("^%l", string.upper) }
  section[name](server, function(key, value)
    lines[#lines + 1] = ("%s:%s"):format(key, value)
  end)
  return table.concat(lines, "\r\n") .. "\r\n"
end

--- The sections that are named in arguments 2 and on; all, where none is.
function M.text(server, arguments)
  local wanted = {}
  for i = 2, #arguments do
    local name = arguments[i]:lower()
    wanted[ALL[name] and "all" or name] = true
  end
  if #arguments == 1 then wanted.all = true end
  local texts = {}
  for _, name in ipairs(ORDER) do
    if wanted.all or wanted[name] then
      texts[#texts + 1] = text_of(name, server)
    end
  end
  return table.concat(texts, "\r\n")
end

return M
