--- What is compared: clusters of real processes on loopback, each with its
-- files in a directory of its own. A subject that is not installed is absent,
-- and its columns stay empty.
--
-- A subject is { name, where() -> program or nil, start(nodes, part) }; what it
-- starts has :measure(cell, ms) -> result, and :close().
local cluster = require "bench.cluster"
local uv = require "luv"

local M = {}

local CANONICAL <const> = "build/bench/canonical"
local ETCDS <const> = { "build/peers/etcd/usr/bin/etcd", "/usr/bin/etcd" }
local SLACK_MS <const> = 60000  -- what a load may take beyond its time
local DIR_MODE <const> = tonumber("700", 8)
local ETCD_QUOTA <const> = 8 << 30
-- Of the other columns, too; heartbeats are 100 ms everywhere.
local ELECTION_MS <const> = 500

local function exists(path)
  return uv.fs_access(path, "X") and path or nil
end

--- What a process said of a load.
function M.result_of(line)
  local count, seconds, p50, p99, worst = line:match(
    "^load (%d+) (%S+) (%S+) (%S+) (%S+)$")
  assert(count, "not the result of a load: " .. line)
  return { ops = tonumber(count) / tonumber(seconds), p50 = tonumber(p50),
    p99 = tonumber(p99), worst = tonumber(worst) }
end

local function measure(child, cell, ms)
  return M.result_of(child:ask(("load %s %d %d %d"):format(cell.kind,
    cell.outstanding, cell.bytes, ms), "load", ms + SLACK_MS))
end

---------------------------------------------------------------- load inside --

local Embedded = {}
Embedded.__index = Embedded

function Embedded:measure(cell, ms)
  local leader = self.cluster:leader()
  if cell.at == "follower" then
    return measure(self.cluster:others(leader)[1], cell, ms)
  end
  return measure(leader, cell, ms)
end

--- From the SIGKILL of the leader to the next command that is acknowledged, and
-- to another leader, ms. A command goes before: only then do all know the
-- members, and may lead.
function Embedded:fail_over()
  local leader = self.cluster:leader()
  self:measure({ kind = "propose", outstanding = 1, bytes = 128 }, 0)
  local began = uv.hrtime()
  leader:kill("sigkill")
  self.cluster:leader()
  local elected_ms = (uv.hrtime() - began) / 1e6
  self:measure({ kind = "propose", outstanding = 1, bytes = 128 }, 0)
  return (uv.hrtime() - began) / 1e6, elected_ms
end

function Embedded:close()
  self.cluster:close()
end

local function embedded(nodes, spawn)
  local self = setmetatable({ cluster = cluster.new(nodes, false, spawn) },
    Embedded)
  M.opened[#M.opened + 1] = self
  self.cluster:leader()
  return self
end

-- Where the others reach the nodes, and where each has its files.
local function spawn_ours(leases)
  return function(id, dir, members)
    return cluster.script(id, "bench/compare/node.lua", id, dir, members,
      leases)
  end
end

local function spawn_ceiling(id, dir, members)
  return cluster.script(id, "bench/compare/ceiling.lua", id, dir, members)
end

local function spawn_canonical(id, dir, members)
  assert(uv.fs_mkdir(dir, DIR_MODE))
  local args = { id:match("%d+"), dir }
  for address in members:gmatch("=([^,]+)") do args[#args + 1] = address end
  return cluster.launch(id, CANONICAL, args)
end

-------------------------------------------------------- load in a process --

local Client = {}
Client.__index = Client

function Client:measure(cell, ms)
  return measure(self.child, cell, ms)
end

function Client:close()
  if self.child then self.child:kill("sigkill") end
  self.cluster:close()
end

local function client(nodes, spawn, script, members_of)
  local self = setmetatable({ cluster = cluster.new(nodes, false, spawn),
    child = false }, Client)
  M.opened[#M.opened + 1] = self
  self.child = cluster.script("client", script, members_of(self.cluster))
  self.child:await("ready", SLACK_MS)
  return self
end

local function etcd_path()
  for _, path in ipairs(ETCDS) do
    if exists(path) then return path end
  end
end

-- Clients have ports of their own, which these remember.
local function start_etcd(nodes)
  local clients = cluster.free_addresses(nodes)
  local function spawn(id, dir, members)
    local own = "http://" .. members:match(id .. "=([^,]+)")
    local serves = "http://" .. clients[math.tointeger(id:match("%d+"))]
    return cluster.launch(id, etcd_path(), { "--name", id, "--data-dir", dir,
      "--listen-peer-urls", own, "--initial-advertise-peer-urls", own,
      "--listen-client-urls", serves, "--advertise-client-urls", serves,
      "--initial-cluster", (members:gsub("=", "=http://")),
      "--heartbeat-interval", "100",
      "--election-timeout", tostring(ELECTION_MS),
      "--quota-backend-bytes", tostring(ETCD_QUOTA),
      "--logger", "zap", "--log-level", "error" })
  end
  return client(nodes, spawn, "bench/compare/etcd_client.lua", function()
    local list = {}
    for i, address in ipairs(clients) do
      list[i] = ("n%d=%s"):format(i, address)
    end
    return table.concat(list, ",")
  end)
end

local function always()
  return "lua5.4"
end

M.opened = {}  -- what runs; to be ended whatever happens

M.embedded = {
  { name = "ours", where = always, start = function(nodes, part)
    return embedded(nodes, spawn_ours(part == "reads" and "leases" or nil))
  end },
  { name = "canonical", where = function() return exists(CANONICAL) end,
    start = function(nodes) return embedded(nodes, spawn_canonical) end },
  { name = "ceiling", where = always,
    start = function(nodes) return embedded(nodes, spawn_ceiling) end },
}

M.client = {
  { name = "ours", where = always, start = function(nodes)
    return client(nodes, spawn_ours("leases"), "bench/compare/client.lua",
      function(run) return run.members end)
  end },
  { name = "etcd", where = etcd_path, start = start_etcd },
}

--- Ends all that is open.
function M.close_all()
  local opened = M.opened
  M.opened = {}
  for _, running in ipairs(opened) do running:close() end
end

--- The same, and nobody who waits for an answer of theirs is told.
function M.abandon()
  for _, running in ipairs(M.opened) do
    for _, child in pairs(running.cluster.children) do child.waiters = {} end
    if running.child then running.child.waiters = {} end
  end
  M.close_all()
end

return M
