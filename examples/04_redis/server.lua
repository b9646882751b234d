--- Listens for clients, and knows who is there.
local Connection = require "connection"
local Pass = require "pass"
local resp = require "resp"

local M = {}

local BACKLOG <const> = 511
local CLIENTS_MAX <const> = 10000
local SWEEP_MS <const> = 1000  -- between two looks for keys that have ended

local Server = { __name = "redis.server" }
Server.__index = Server

--- Wall clock in ms: what the time may be. Only the log decides what it is.
local function wall_of(uv)
  return function()
    local seconds, microseconds = uv.gettimeofday()
    return seconds // 1 * 1000 + microseconds // 1000 | 0
  end
end

--- @param options node, store, uv, host, port
function M.new(options)
  local uv = options.uv
  local self = setmetatable({
    node = options.node,    -- of raft, or what has its methods
    store = options.store,
    uv = uv,
    host = options.host,
    port = options.port,    -- 0: the kernel chooses
    wall = options.wall or wall_of(uv),
    clients_max = options.clients_max or CLIENTS_MAX,
    pass = false,           -- to raft; set below
    clients = {},           -- connection -> true
    client_count = 0,
    last_id = 0,            -- of a client
    socket = false,         -- that listens
    timer = false,          -- of the sweep
  }, Server)
  self.pass = Pass.new { node = self.node, uv = uv, wall = self.wall }
  return self
end

--- A connection has ended.
function Server:closed(connection)
  self.clients[connection] = nil
  self.client_count = self.client_count - 1
end

-- One more than may be there is told so.
local function turn_away(socket)
  socket:write(resp.error("ERR max number of clients reached"))
  local ok = socket:shutdown(function() socket:close() end)
  if not ok then socket:close() end
end

local function accept(self)
  local socket = assert(self.uv.new_tcp())
  if not self.socket:accept(socket) then return socket:close() end
  if self.client_count >= self.clients_max then return turn_away(socket) end
  socket:nodelay(true)
  self.last_id = self.last_id + 1
  local connection = Connection.new(self, socket, self.last_id)
  self.clients[connection] = true
  self.client_count = self.client_count + 1
  connection:mind_reading()
end

-- Keys that nobody asks for end too: who leads brings the time.
local function sweep(self)
  local is_ours = self.node:is_leader() and self.store:is_overdue(self.wall())
  if is_ours then self.pass:move_time() end
end

--- Listens: true, or nil and why not.
function Server:listen()
  local socket = assert(self.uv.new_tcp())
  self.socket = socket
  local ok, err = socket:bind(self.host, self.port)
  if ok then
    ok, err = socket:listen(BACKLOG, function(why)
      if not why then accept(self) end  -- else whoever came is gone again
    end)
  end
  if not ok then
    return nil, ("%s:%d: %s"):format(self.host, self.port, err)
  end
  self.port = socket:getsockname().port
  self.timer = assert(self.uv.new_timer())
  self.timer:start(SWEEP_MS, SWEEP_MS, function() sweep(self) end)
  return true
end

--- Closes all connections, and listens no more.
function Server:close()
  for connection in pairs(self.clients) do connection:close() end
  if self.socket and not self.socket:is_closing() then self.socket:close() end
  if self.timer and not self.timer:is_closing() then self.timer:close() end
  self.pass:close()
end

return M
