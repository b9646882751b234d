--- A TCP proxy on loopback with switches: a network that can be broken.
--
--   local proxy = Proxy.new(uv, "127.0.0.1:7101")
--   ... dial proxy:address() ...
--   proxy:cut()  proxy:cut("up")  proxy:delay(20)  proxy:pass()
--   proxy:reset()  proxy:half_open()  proxy:close()
--
-- "up" is from who connects to the proxy towards the target, "down" is back.
-- What is cut is swallowed, ends of streams included, and new connections are
-- still taken: nobody notices but by silence. A connection that has lost bytes
-- cannot go on, so pass() resets it.
local Proxy = { __name = "spec.proxy" }
Proxy.__index = Proxy

local M = {}

local BACKLOG <const> = 128
local OTHER <const> = { up = "down", down = "up" }

-- An error must not leave a luv callback: it is kept, and raised by close.
local function guarded(proxy, fn)
  return function(...)
    local ok, what = xpcall(fn, debug.traceback, ...)
    if not ok then proxy.fault = proxy.fault or what end
  end
end

--- A proxy that passes everything on to the target, "host:port".
function M.new(uv, target)
  local host, port = target:match("^(.*):(%d+)$")
  local proxy = setmetatable({
    uv = uv,
    host = host,
    port = tonumber(port),
    listening = assert(uv.new_tcp()),
    is_cut = { up = false, down = false },
    delay_ms = 0,
    pairs = {},          -- connections in order: { up=, down=, is_tainted= }
    timers = {},         -- of delayed chunks -> true
    connections = 0,     -- taken since birth
    fault = false,       -- the first error of a callback
  }, Proxy)
  assert(uv.tcp_bind(proxy.listening, "127.0.0.1", 0))
  assert(uv.listen(proxy.listening, BACKLOG, guarded(proxy, function(why)
    assert(not why, why)
    proxy:take()
  end)))
  return proxy
end

--- Where to dial instead of the target.
function Proxy:address()
  local name = assert(self.uv.tcp_getsockname(self.listening))
  return ("127.0.0.1:%d"):format(name.port // 1 | 0)
end

function Proxy:shut(handle)
  if handle and not self.uv.is_closing(handle) then self.uv.close(handle) end
end

-- A pair holds the two ends by the direction in which bytes leave at them:
-- pair.up is the target's end, pair.down the dialer's.
function Proxy:take()
  local uv = self.uv
  local pair = { up = assert(uv.new_tcp()), down = assert(uv.new_tcp()),
    is_tainted = false }
  assert(uv.accept(self.listening, pair.down))
  self.connections = self.connections + 1
  self.pairs[#self.pairs + 1] = pair
  assert(uv.tcp_connect(pair.up, self.host, self.port,
    guarded(self, function(why)
      if why then return self:drop(pair) end
      self:pump(pair, "up")
      self:pump(pair, "down")
    end)))
end

function Proxy:drop(pair)
  self:shut(pair.up)
  self:shut(pair.down)
  for i, other in ipairs(self.pairs) do
    if other == pair then return table.remove(self.pairs, i) end
  end
end

-- Carries bytes that go in this direction.
function Proxy:pump(pair, direction)
  local from = pair[OTHER[direction]]
  self.uv.read_start(from, guarded(self, function(why, chunk)
    if self.is_cut[direction] then
      pair.is_tainted = true
      if not chunk then self:shut(from) end
    elseif why or not chunk then
      self:later(function() self:drop(pair) end)
    else
      self:later(function() self:put(pair, pair[direction], chunk) end)
    end
  end))
end

function Proxy:put(pair, to, chunk)
  if self.uv.is_closing(to) then return end
  if not self.uv.write(to, chunk) then self:drop(pair) end
end

-- Timers of one delay fire in the order of their start.
function Proxy:later(fn)
  if self.delay_ms == 0 and not next(self.timers) then return fn() end
  local timer = assert(self.uv.new_timer())
  self.timers[timer] = true
  assert(self.uv.timer_start(timer, self.delay_ms, 0,
    guarded(self, function()
      self.timers[timer] = nil
      self:shut(timer)
      fn()
    end)))
end

--- Swallows what goes "up" or "down" from now on; nil: both.
function Proxy:cut(direction)
  if direction ~= "down" then self.is_cut.up = true end
  if direction ~= "up" then self.is_cut.down = true end
end

--- Everything passes again; connections that have lost bytes are reset.
function Proxy:pass()
  self.is_cut.up, self.is_cut.down, self.delay_ms = false, false, 0
  for _, pair in ipairs({ table.unpack(self.pairs) }) do
    if pair.is_tainted then self:reset_pair(pair) end
  end
end

--- Each chunk is passed on this much later.
function Proxy:delay(ms)
  self.delay_ms = ms
end

function Proxy:reset_pair(pair)
  for _, direction in ipairs({ "up", "down" }) do
    local handle = pair[direction]
    if not self.uv.is_closing(handle)
      and not self.uv.tcp_close_reset(handle) then
      self:shut(handle)
    end
  end
  self:drop(pair)
end

--- Resets all connections; new ones are taken as before.
function Proxy:reset()
  for _, pair in ipairs({ table.unpack(self.pairs) }) do
    self:reset_pair(pair)
  end
end

--- The target's ends close, the dialers hear nothing: as when a machine was
-- switched off. New connections are taken as before.
function Proxy:half_open()
  for _, pair in ipairs(self.pairs) do
    pair.is_tainted = true
    self:shut(pair.up)
    self.uv.read_stop(pair.down)
  end
end

--- How many connections are there now.
function Proxy:count()
  return #self.pairs
end

--- Closes everything, and raises what went wrong in a callback.
function Proxy:close()
  self:shut(self.listening)
  for _, pair in ipairs({ table.unpack(self.pairs) }) do self:drop(pair) end
  for timer in pairs(self.timers) do self:shut(timer) end
  self.timers = {}
  if self.fault then error(self.fault, 0) end
end

Proxy.__close = Proxy.close

return M
