--- Lines over TCP: one request, one reply, a line each. `nc` speaks it too.
-- A server answers the lines of a connection one after the other; how many
-- connections there are does not matter.
local raft = require "raft"
local uv = require "luv"

local M = {}

local BACKLOG <const> = 128
local LINE_BYTES_MAX <const> = 64 << 10
local ASK_MS <const> = 7000  -- a node itself gives up after 5000

local function host_and_port(address)
  local host, port = address:match("^(.*):(%d+)$")
  return host, tonumber(port)
end

local function close(handle)
  if not handle:is_closing() then handle:close() end
end

-- The complete lines of a text, and what is left behind the last one.
local function split(text)
  local lines, from = {}, 1
  local at = text:find("\n", from, true)
  while at do
    lines[#lines + 1] = text:sub(from, at - 1):gsub("\r$", "")
    from = at + 1
    at = text:find("\n", from, true)
  end
  return lines, text:sub(from)
end

------------------------------------------------------------------- server --

local Connection = { __name = "lines.connection" }
Connection.__index = Connection

-- Answers what has come, and closes when nothing more will.
function Connection:work()
  while #self.lines > 0 and not self.socket:is_closing() do
    local reply = self.answer(table.remove(self.lines, 1))
    if not self.socket:is_closing() then self.socket:write(reply .. "\n") end
  end
  self.is_working = false
  if self.has_ended then close(self.socket) end
end

function Connection:received(chunk)
  local lines, rest = split(self.rest .. chunk)
  self.rest = rest
  if #rest > LINE_BYTES_MAX then return close(self.socket) end
  table.move(lines, 1, #lines, #self.lines + 1, self.lines)
end

local function serve(socket, answer)
  local connection = setmetatable({
    socket = socket,
    answer = answer,     -- function(line) -> reply; may wait
    rest = "",           -- the beginning of a line
    lines = {},          -- those not yet answered
    is_working = false,  -- is the one before still being answered?
    has_ended = false,   -- has the other end said all?
  }, Connection)
  socket:read_start(function(err, chunk)
    if err then return close(socket) end
    if chunk then connection:received(chunk) end
    connection.has_ended = not chunk
    if connection.is_working then return end
    connection.is_working = true
    raft.spawn(function() connection:work() end)
  end)
end

--- Listens: true, or nil and why not.
-- @param answer function(line) -> reply, in a coroutine: it may wait
function M.listen(address, answer)
  local server = uv.new_tcp()
  assert(server:bind(host_and_port(address)))
  return server:listen(BACKLOG, function(err)
    if err then return end
    local socket = uv.new_tcp()
    if server:accept(socket) then serve(socket, answer) else close(socket) end
  end)
end

------------------------------------------------------------------- client --

--- Sends a line and waits for the reply: done(nil, reply), or done(why,
-- was_sent): nobody knows what became of a request that was sent.
function M.ask(address, line, done)
  local socket, timer = uv.new_tcp(), uv.new_timer()
  local text, was_sent = "", false
  local function finish(err, result)
    if socket:is_closing() then return end
    close(socket)
    close(timer)
    done(err, result)
  end
  local function received(err, chunk)
    if not chunk then return finish(err or "closed", was_sent) end
    text = text .. chunk
    local reply = text:match("^([^\n]*)\n")
    if reply then finish(nil, reply) end
  end
  timer:start(ASK_MS, 0, function() finish("no answer", was_sent) end)
  local host, port = host_and_port(address)
  socket:connect(host, port, function(err)
    if err then return finish(err, false) end
    was_sent = true
    socket:write(line .. "\n")
    socket:read_start(received)
  end)
end

return M
