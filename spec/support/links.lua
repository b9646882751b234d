--- Transports for specs: nodes with a plain greeting that note what they hear,
-- and bare sockets that say whatever a spec wants.
local Transport = require "raft.transport"
local core = require "raft.core"
local logger = require "raft.logger"
local support = require "spec.support.helper"
local uv = require "luv"

local M = {}

local nonces = 0  -- handed out: each node here is another process

local Node = { __name = "spec.node" }
Node.__index = Node

-- Quick in what may be waited for, patient in what may not happen.
local LIMITS <const> = { dial_min_ms = 5, dial_max_ms = 40, patience_ms = 5,
  hello_ms = 3000, settle_ms = 50 }

local function limits_of(wanted)
  local limits = {}
  for name, value in pairs(LIMITS) do limits[name] = value end
  for name, value in pairs(wanted or {}) do limits[name] = value end
  return limits
end

local function handlers_of(node)
  local function note(kind, link)
    node.events[#node.events + 1] = kind .. " " .. link.id
  end
  return {
    open = function(link) note("open", link) end,
    closed = function(link) note("closed", link) end,
    bytes = function(link, chunk)
      local so_far = node.received[link.id] or ""
      node.received[link.id] = so_far .. chunk
    end,
    refused = function(peer, code, text)
      node.refusals[#node.refusals + 1] = { peer = peer, code = code,
        text = text }
    end,
  }
end

--- A listening node.
-- @param options id; and, if wanted: limits, listen, uv, judge(hello, link),
--   hello (fields of the hello that differ), on (handlers that differ), guard
function M.node(options)
  nonces = nonces + 1
  local node = setmetatable({
    id = options.id,
    events = {},    -- "open n2", "closed n2", in order
    received = {},  -- id -> bytes
    refusals = {},  -- { peer=, code=, text= }
    lines = {},     -- of the logger
    hello = { cluster = "shop", incarnation = nonces, starts = 1,
      nonce = nonces, id = options.id },
    transport = false,
  }, Node)
  for name, value in pairs(options.hello or {}) do node.hello[name] = value end
  local handlers = handlers_of(node)
  for name, fn in pairs(options.on or {}) do handlers[name] = fn end
  node.transport = Transport.new {
    uv = options.uv or uv, id = options.id, guard = options.guard,
    listen = options.listen or "127.0.0.1:0", handlers = handlers,
    limits = limits_of(options.limits),
    logger = logger.new(function(level, text, fields)
      node.lines[#node.lines + 1] = { level = level, text = text,
        fields = fields }
    end),
    hello = function() return node:hello_now() end,
    judge = options.judge or function() return true end,
  }
  assert(node.transport:listen())
  return node
end

function Node:hello_now()
  local hello = {}
  for name, value in pairs(self.hello) do hello[name] = value end
  return hello
end

function Node:address() return self.transport:address() end

function Node:status() return self.transport:status() end

--- What was received from this peer, without pings.
function Node:got(id)
  local ping = core.ping():gsub("%W", "%%%0")
  return ((self.received[id] or ""):gsub(ping, ""))
end

--- How often this event was noted.
function Node:count(event)
  local count = 0
  for _, noted in ipairs(self.events) do
    if noted == event then count = count + 1 end
  end
  return count
end

--- The lines of the logger with this text.
function Node:said(text)
  local found = {}
  for _, line in ipairs(self.lines) do
    if line.text == text then found[#found + 1] = line end
  end
  return found
end

--- Closes and waits until no handle is left.
function Node:close()
  local is_closed = false
  self.transport:close(function() is_closed = true end)
  support.wait_until(function() return is_closed end, nil, "close")
end

function M.close(...)
  for _, node in ipairs({ ... }) do node:close() end
end

--- Tells each node where all the others are.
function M.introduce(...)
  local addresses = {}
  for _, node in ipairs({ ... }) do addresses[node.id] = node:address() end
  for _, node in ipairs({ ... }) do node.transport:peers(addresses) end
end

local function is_one_link(a, b)
  local at_a, at_b = a.transport:living(b.id), b.transport:living(a.id)
  return at_a and at_b and at_a.is_dialed ~= at_b.is_dialed
    and a:status().pending == 0 and b:status().pending == 0
end

--- Waits until two nodes agree on one link and nothing else is under way.
function M.wait_linked(a, b)
  support.wait_until(function() return is_one_link(a, b) end, nil,
    ("one link between %s and %s"):format(a.id, b.id))
end

--- Sends from one node to the other and waits for it.
function M.pass(from, to, bytes)
  local before = to:got(from.id)
  assert(from.transport:send(to.id, bytes), "it was not sent")
  support.wait_until(function()
    return to:got(from.id) == before .. bytes
  end, nil, "bytes")
end

--------------------------------------------------------------- bare sockets --

local Raw = { __name = "spec.raw" }
Raw.__index = Raw

--- A bare connection to "host:port".
function M.raw(address)
  local host, port = address:match("^(.*):(%d+)$")
  local raw = setmetatable({ stream = assert(uv.new_tcp()), got = "",
    is_connected = false, is_ended = false }, Raw)
  assert(raw.stream:connect(host, tonumber(port), function(why)
    raw.is_connected, raw.is_ended = not why, why and true or false
  end))
  support.wait_until(function() return raw.is_connected or raw.is_ended end,
    nil, "a connection")
  return raw
end

--- Takes in what comes, from now on.
function Raw:read()
  assert(self.stream:read_start(function(_, chunk)
    if chunk then self.got = self.got .. chunk else self.is_ended = true end
  end))
  return self
end

function Raw:send(bytes)
  self.stream:write(bytes)  -- may be refused: the other end may have closed
  return self
end

--- Greets as this hello says and waits until the link is up.
function Raw:greet(hello, node)
  self:send(core.hello_encode(hello))
  support.wait_until(function() return #self.got > 0 end, nil, "an answer")
  self:send(core.ping())
  support.wait_until(function() return node.transport:has(hello.id) end, nil,
    "a link")
  return self
end

function Raw:wait_ended()
  support.wait_until(function() return self.is_ended end, nil, "the end")
end

function Raw:close()
  if not self.stream:is_closing() then self.stream:close() end
end

return M
