--- Redis for specs: the real one as an oracle, a client, and the example's
-- server over a stand-in for a node.
--
--   local oracle <close> = redis.oracle()       or nil, why there is none
--   local client <close> = redis.connect(oracle.address)
--   client:ask("PING\r\n")                      -> { "+PONG\r\n" }
local example = require "spec.support.example"
local helper = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local M = {}

--- Modules of the example.
M.load = example.loader("04_redis")

------------------------------------------------------------------- the tools --

-- The path of a program, or nil.
local function program(name)
  for dir in os.getenv("PATH"):gmatch("[^:]+") do
    local path = dir .. "/" .. name
    if uv.fs_access(path, "X") then return path end
  end
end

--- The path of one of Redis' tools; or nil, and why this is skipped.
function M.tool(name)
  local path = program(name)
  if path then return path end
  return nil, name .. " is not here (tools/deps examples)"
end

-- Debian's redis-server is a link to this file of redis-tools, which looks at
-- the name it was called by. So no server of the system is needed for a test.
local function server_program(dir)
  local path = program("redis-server")
  if path then return path end
  local same = program("redis-check-rdb")
  if not same then return nil end
  assert(uv.fs_symlink(same, dir:join("redis-server")))
  return dir:join("redis-server")
end

------------------------------------------------------------------- processes --

local Process = { __name = "spec.redis.process" }
Process.__index = Process

local function collect(process, pipe, field)
  assert(pipe:read_start(function(_, chunk)
    if not chunk then return pipe:close() end
    process[field] = process[field] .. chunk
  end))
end

--- Starts a program; text and errors collect what it writes.
-- @param input what it reads on stdin
function M.start(path, arguments, input)
  local stdin = assert(uv.new_pipe(false))
  local out, err = assert(uv.new_pipe(false)), assert(uv.new_pipe(false))
  local process = setmetatable({ text = "", errors = "", status = false,
    handle = false, out = out, err = err }, Process)
  process.handle = assert(uv.spawn(path, {
    args = arguments, stdio = { stdin, out, err },
    env = { "PATH=" .. os.getenv("PATH"), "TERM=dumb" },
  }, function(status)
    process.status = status
    process.handle:close()
  end))
  collect(process, out, "text")
  collect(process, err, "errors")
  if input then stdin:write(input) end
  stdin:shutdown(function() stdin:close() end)
  return process
end

--- Has all of it ended, its pipes too?
function Process:is_over()
  return self.status and self.out:is_closing() and self.err:is_closing()
end

--- Waits for its end: what it wrote, and its exit status.
function Process:wait(ms)
  helper.wait_until(function() return self:is_over() end, ms or 10000,
    "a program to end")
  return self.text, self.status // 1 | 0
end

function Process:close()
  if not self.status then self.handle:kill("sigkill") end
  self:wait()
end

Process.__close = Process.close

---------------------------------------------------------------------- client --

local Client = { __name = "spec.redis.client" }
Client.__index = Client

-- What is behind the reply at `at`; nil when it is not all there.
local function reply_end(bytes, at)
  local head, behind = bytes:match("^([^\r]*)\r\n()", at)
  if not head then return nil end
  local kind, n = head:sub(1, 1), tonumber(head:sub(2))
  if kind == "$" and n >= 0 then
    behind = behind + n + 2
  elseif kind == "*" then
    for _ = 1, n do
      behind = reply_end(bytes, behind)
      if not behind then return nil end
    end
  end
  return behind <= #bytes + 1 and behind or nil
end

--- Connects: to a path, or to a port of 127.0.0.1.
function M.connect(address)
  local is_path = type(address) == "string"
  local socket = is_path and uv.new_pipe(false) or uv.new_tcp()
  local client = setmetatable({ socket = socket, bytes = "", has_ended = false,
    replies = {}, is_connected = false, fault = false }, Client)
  local function connected(err)
    client.fault = err or false
    if err then return end
    client.is_connected = true
    socket:read_start(function(why, chunk)
      if chunk then
        client.bytes = client.bytes .. chunk
      else
        client.has_ended, client.fault = true, why or false
      end
    end)
  end
  if is_path then
    socket:connect(address, connected)
  else
    socket:connect("127.0.0.1", address, connected)
  end
  helper.wait_until(function() return client.is_connected or client.fault end)
  if client.fault then socket:close() return nil, client.fault end
  return client
end

function Client:send(bytes)
  assert(self.socket:write(bytes))
end

-- Takes n replies out of what has come, or fewer.
function Client:take(n)
  local replies, at = {}, 1
  while #replies < n do
    local behind = reply_end(self.bytes, at)
    if not behind then break end
    replies[#replies + 1] = self.bytes:sub(at, behind - 1)
    at = behind
  end
  self.bytes = self.bytes:sub(at)
  return replies
end

--- Waits for n replies: an array of their bytes.
function Client:wait(n)
  local replies = {}
  helper.wait_until(function()
    table.move(self:take(n - #replies), 1, n, #replies + 1, replies)
    return #replies == n or self.has_ended
  end, 10000, n .. " replies")
  return replies
end

--- Sends bytes and waits for the replies to n requests (1).
function Client:ask(bytes, n)
  self:send(bytes)
  return self:wait(n or 1)
end

--- Sends bytes and waits for the other end to close: all that it said.
function Client:exhaust(bytes)
  self:send(bytes)
  helper.wait_until(function() return self.has_ended end, 10000, "the end")
  return self.bytes
end

function Client:close()
  if not self.socket:is_closing() then self.socket:close() end
end

Client.__close = Client.close

--- A request as clients write it.
function M.request(...)
  local items = {}
  for i, item in ipairs { ... } do
    items[i] = ("$%d\r\n%s\r\n"):format(#item, item)
  end
  return ("*%d\r\n"):format(#items) .. table.concat(items)
end

---------------------------------------------------------------------- oracle --

local Oracle = { __name = "spec.redis.oracle" }
Oracle.__index = Oracle

--- A redis-server of its own, that keeps nothing and listens on a path only;
-- nil and why, where there is none.
function M.oracle()
  local dir = tmpdir.new()
  local path = server_program(dir)
  if not path then
    dir:remove()
    return nil, "redis-server is not here (tools/deps examples)"
  end
  local self = setmetatable({ dir = dir, address = dir:join("socket"),
    process = false }, Oracle)
  self.process = M.start(path, { "--port", "0", "--unixsocket", self.address,
    "--save", "", "--databases", "1", "--dir", dir.path,
    "--proto-max-bulk-len", "8mb" })
  helper.wait_until(function()
    return uv.fs_stat(self.address) or self.process:is_over()
  end, 10000, "redis-server to listen")
  return self
end

function Oracle:close()
  self.process:close()
  self.dir:remove()
end

Oracle.__close = Oracle.close

------------------------------------------------------------ the one of ours --

local Node = { __name = "spec.redis.node" }
Node.__index = Node

function Node:propose(bytes)
  self.proposed[#self.proposed + 1] = bytes
  if self.before then self.before("propose") end
  if self.err then return nil, self.err end
  return self.store:apply(bytes, { time = self.wall() })
end

function Node:query(request)
  self.queried = self.queried + 1
  if self.before then self.before("query") end
  if self.err then return nil, self.err end
  return self.store:query(request)
end

function Node:status() return self.state end
function Node:is_leader() return self.state.role == "leader" end
function Node:leader() return self.state.leader, "127.0.0.1:7131" end

function Node:members()
  return { n1 = { address = "127.0.0.1:7131" },
    n2 = { address = "127.0.0.1:7132" } }
end

-- Answers at once, from one store, as the leader of a cluster that is well.
local function stand_in(store, wall)
  return setmetatable({
    store = store, wall = wall, proposed = {}, queried = 0,
    err = false,     -- what it answers instead
    before = false,  -- function(call) that may wait, in a coroutine
    state = { id = "n1", state = "running", role = "leader", leader = "n1",
      term = 1, commit = 1, applied = 1, uptime = 86400000,
      peers = { n2 = { state = "replicate", match = 1, lag = 0 } } },
  }, Node)
end

local function wall()
  local seconds, microseconds = uv.gettimeofday()
  return (seconds * 1000 + microseconds // 1000) // 1 | 0
end

--- The example's server, which listens, over a stand-in: server.node.
-- @param options clients_max; wall
function M.server(options)
  options = options or {}
  local Server, Store = M.load "server", M.load "store"
  local store = Store.new()
  local server = Server.new { node = stand_in(store, options.wall or wall),
    store = store, uv = uv, host = "127.0.0.1", port = 0,
    wall = options.wall, clients_max = options.clients_max }
  assert(server:listen())
  getmetatable(server).__close = getmetatable(server).__index.close
  return server
end

return M
