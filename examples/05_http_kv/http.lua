--- A small HTTP/1.1 server on luv: keep-alive, pipelining, limits.
--
--   local server = assert(http.listen { address = "127.0.0.1:8080",
--     handle = function(request) return { status = 200, body = "hello" } end })
--   server:close()
--
-- `handle` runs in a coroutine and may wait; see http_parser.lua for what a
-- request is. A response: status, headers ({ "ETag: ..." }), body. The requests
-- of one connection are answered one after the other, in their order; how many
-- connections there are does not matter.
--
-- Whoever is slow is not waited for: neither in sending a request nor in taking
-- a response. Nothing more is read while much is unanswered or unsent, so a
-- connection has a bounded part of our memory.
local http_parser = require "http_parser"
local raft = require "raft"
local uv = require "luv"

local M = {}

local BACKLOG <const> = 128
local CLIENT_MS <const> = 30000          -- patience with a client
local LINGER_MS <const> = 2000           -- with one that was refused
local LOOKS <const> = 8                  -- at the clock, within that patience
local READ_AHEAD_BYTES <const> = 256 << 10
local WRITE_AHEAD_BYTES <const> = 1 << 20
local CONTINUE <const> = "HTTP/1.1 100 Continue\r\n\r\n"
local NO_BODY <const> = { [204] = true, [304] = true }

local REASONS <const> = { [200] = "OK", [201] = "Created",
  [204] = "No Content", [304] = "Not Modified", [400] = "Bad Request",
  [404] = "Not Found", [405] = "Method Not Allowed", [408] = "Request Timeout",
  [412] = "Precondition Failed", [413] = "Content Too Large",
  [414] = "URI Too Long", [417] = "Expectation Failed",
  [431] = "Request Header Fields Too Large", [500] = "Internal Server Error",
  [501] = "Not Implemented", [503] = "Service Unavailable",
  [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported" }

local function close(handle)
  if not handle:is_closing() then handle:close() end
end

------------------------------------------------------------------ responses --

-- The response as bytes. A HEAD is told what a GET would get, without the body.
local function encode(response, is_head, keep_alive)
  local status, body = response.status, response.body or ""
  local lines = { ("HTTP/1.1 %d %s"):format(status, REASONS[status] or "?"),
    os.date("!Date: %a, %d %b %Y %H:%M:%S GMT") }
  for _, header in ipairs(response.headers or {}) do
    lines[#lines + 1] = header
  end
  if not NO_BODY[status] then
    lines[#lines + 1] = "Content-Length: " .. #body
  end
  lines[#lines + 1] = keep_alive and "Connection: keep-alive"
    or "Connection: close"
  lines[#lines + 1] = "\r\n"
  local head = table.concat(lines, "\r\n")
  if is_head or NO_BODY[status] then return head end
  return head .. body
end

----------------------------------------------------------------- connections --

local Connection = { __name = "http.connection" }
Connection.__index = Connection

function Connection:close()
  self.server.connections[self] = nil
  close(self.socket)
end

-- The client is to do something from now on: send, or take what we sent.
function Connection:wait(ms)
  self.until_ms = uv.now() + ms
end

function Connection:write(bytes)
  self.socket:write(bytes, function(err)
    if err then return self:close() end
    self:go()  -- there may be room again
  end)
end

-- Ends the connection once what we said has left. What the client still sends
-- is read and dropped for a while: closing on it would take our answer away.
function Connection:finish()
  self.is_ending = true
  self:wait(LINGER_MS)
  if self.socket:is_closing() then return end
  self.socket:shutdown(function()
    self.is_shut = true
    if self.has_ended then self:close() end
  end)
  if not self.has_ended then self.socket:read_start(self.on_chunk) end
end

function Connection:respond(response, is_head, keep_alive)
  if self.socket:is_closing() then return end
  self:write(encode(response, is_head, keep_alive))
  self:wait(self.server.client_ms)
  if not keep_alive then self:finish() end
end

-- What the user's code raises is our fault, and nothing that a client may read.
local function call(handle, request)
  local ok, response = xpcall(handle, debug.traceback, request)
  if ok then return response end
  io.stderr:write("http: ", request.method, " ", request.target, ": ",
    tostring(response), "\n")
  return { status = 500 }
end

-- Answers the next request: true when there may be another one.
function Connection:work_once()
  local request, problem = self.parser:next()
  if problem then
    self:respond({ status = problem.status, body = problem.text .. "\n" })
  elseif request then
    self.until_ms = false  -- it is our turn
    local response = call(self.server.handle, request)
    self:respond(response, request.method == "HEAD", request.keep_alive)
    return request.keep_alive
  elseif self.parser:take_expectation() then
    self:write(CONTINUE)
  end
  return false
end

-- Is there room for what we would answer?
function Connection:has_room()
  return not self.is_ending and not self.socket:is_closing()
    and self.socket:get_write_queue_size() < WRITE_AHEAD_BYTES
end

function Connection:work()
  local may_go_on = true
  while may_go_on and self:has_room() do may_go_on = self:work_once() end
  self.is_working = false
  if may_go_on or self.is_ending or self.socket:is_closing() then return end
  if self.has_ended then return self:finish() end
  self.socket:read_start(self.on_chunk)  -- it may have been stopped
end

-- Goes on with the requests, if that is not being done.
function Connection:go()
  if self.is_working or self.is_ending then return end
  if self.parser.held == "" and not self.has_ended then return end
  self.is_working = true
  raft.spawn(function() self:work() end)
end

function Connection:received(chunk)
  if not chunk then
    self.has_ended = true
    if self.is_shut then return self:close() end
    return self:go()
  elseif self.is_ending then
    return
  end
  if not self.is_working and not self.parser:is_amid() then
    self:wait(self.server.client_ms)  -- a new request begins
  end
  self.parser:push(chunk)
  if #self.parser.held > READ_AHEAD_BYTES then self.socket:read_stop() end
  self:go()
end

-- The client had its time. Half a request deserves an answer.
function Connection:give_up()
  local is_silent = self.is_ending or not self.parser:is_amid()
    or self.socket:get_write_queue_size() > 0
  if is_silent then return self:close() end
  self:respond({ status = 408 })
end

---------------------------------------------------------------------- server --

local Server = { __name = "http.server" }
Server.__index = Server

function Server:accept()
  local socket = uv.new_tcp()
  if not self.listener:accept(socket) then return close(socket) end
  local connection = setmetatable({
    server = self,
    socket = socket,
    parser = http_parser.new(self.limits),
    is_working = false,  -- are requests being answered?
    has_ended = false,   -- has the client said all?
    is_ending = false,   -- have we?
    is_shut = false,     -- and has it left?
    until_ms = false,    -- how long we wait for the client; false: not at all
    on_chunk = false,    -- luv's callback
  }, Connection)
  function connection.on_chunk(err, chunk)
    if err then return connection:close() end
    connection:received(chunk)
  end
  self.connections[connection] = true
  connection:wait(self.client_ms)
  socket:read_start(connection.on_chunk)
end

-- Ends what has waited for too long.
function Server:sweep()
  local late = {}
  for connection in pairs(self.connections) do
    local until_ms = connection.until_ms
    if until_ms and uv.now() > until_ms then late[#late + 1] = connection end
  end
  for _, connection in ipairs(late) do connection:give_up() end
end

--- Where it listens: "host:port".
function Server:address()
  local name = self.listener:getsockname()
  return ("%s:%d"):format(name.ip, name.port)
end

--- Closes everything at once.
function Server:close()
  for connection in pairs(self.connections) do close(connection.socket) end
  self.connections = {}
  close(self.listener)
  close(self.timer)
end

--- Listens: a server, or nil and why not.
-- @param options address "host:port"; handle function(request) -> response;
--   limits of http_parser; client_ms, for how long a client may do nothing
function M.listen(options)
  local host, port = options.address:match("^(.*):(%d+)$")
  local server = setmetatable({
    handle = options.handle,
    limits = options.limits,
    client_ms = options.client_ms or CLIENT_MS,
    listener = uv.new_tcp(),
    timer = uv.new_timer(),
    connections = {},  -- connection -> true
  }, Server)
  local ok, why = server.listener:bind(host, tonumber(port))
  if ok then
    ok, why = server.listener:listen(BACKLOG, function(err)
      if not err then server:accept() end
    end)
  end
  if not ok then
    server:close()
    return nil, why
  end
  local every_ms = math.max(1, server.client_ms // LOOKS)
  server.timer:start(every_ms, every_ms, function() server:sweep() end)
  return server
end

return M
