--- A client of etcd in a process of its own, with the load inside it.
--
--   lua5.4 bench/compare/etcd_client.lua <members>
--
-- Kinds of load: propose (puts), linearizable and stale (gets; etcd calls stale
-- ones serializable). It talks to the member that leads, as our client does.
package.path = "./?.lua;" .. package.path
local grpc = require "bench.compare.grpc"
local load = require "bench.compare.load"
local proto = require "bench.compare.proto"
local uv = require "luv"

local KEYS <const> = 10000
local RETRY_MS <const> = 50

local hosts = {}
for address in arg[1]:gmatch("=([^,]+)") do hosts[#hosts + 1] = address end

local leader, leader_host  -- the connection, "host:port"

local function put(bytes)
  local headers = grpc.headers(leader_host, "/etcdserverpb.KV/Put")
  local value, n = proto.bytes(2, ("x"):rep(bytes)), 0
  return function(done)
    n = n % KEYS + 1
    leader:call(headers, proto.bytes(1, "k" .. n) .. value, done)
  end
end

local function get(is_serializable)
  local headers = grpc.headers(leader_host, "/etcdserverpb.KV/Range")
  local message = proto.bytes(1, "k1")
    .. (is_serializable and proto.integer(7, 1) or "")
  return function(done) leader:call(headers, message, done) end
end

local starts = {
  propose = put,
  linearizable = function() return get(false) end,
  stale = function() return get(true) end,
}

-- Is this the member that leads? Then we stay with it.
local function ask(connection, host, again)
  local headers = grpc.headers(host, "/etcdserverpb.Maintenance/Status")
  connection:call(headers, "", function(err, message)
    local status = not err and proto.fields(message)
    local self = status and proto.fields(status[1])[2]
    if leader or not self or self ~= status[4] then
      connection:close()
      return again()
    end
    leader, leader_host = connection, host
    load.say "ready"
  end)
end

local function search(i)
  local host = hosts[(i - 1) % #hosts + 1]
  local ip, port = host:match("(.*):(%d+)")
  local function again()
    local timer = uv.new_timer()
    timer:start(RETRY_MS, 0, function()
      timer:close()
      search(i + 1)
    end)
  end
  grpc.connect(ip, math.tointeger(port), function(err, connection)
    if err then return again() end
    ask(connection, host, again)
  end)
end

search(1)
load.serve(function(kind, bytes)
  return assert(starts[kind], "etcd has no " .. kind)(bytes)
end, function() os.exit(0) end)
uv.run()
