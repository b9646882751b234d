--- Processes on a virtual network, for specs: each does what it is told, in a
-- turn of its own loop, and the world goes on until something is so.
local Loop = require "raft.sim.loop"
local Network = require "raft.sim.network"
local World = require "raft.sim.world"

local Site = { __name = "spec.site" }
Site.__index = Site

local M = {}

local NS_PER_MS <const> = 1000000
local PORT <const> = 7000

--- A network with these options.
function M.new(seed, options)
  local world = World.new(seed)
  return setmetatable({ world = world, network = Network.new(world, options),
    loops = {} }, Site)
end

--- ms since the beginning.
function Site:now()
  return self.world.now / NS_PER_MS
end

--- A process at this address: its loop.
function Site:process(ip, options)
  options = options or {}
  options.name = ip
  local loop = Loop.new(self.world, options)
  self.network:join(loop, ip)
  self.loops[ip] = loop
  return loop
end

--- Calls fn(uv) in a turn of the process at this address, and waits for it.
function Site:on(ip, fn)
  local loop, is_done, result = self.loops[ip], false, nil
  loop:ready(function()
    result, is_done = fn(loop.uv), true
  end)
  self:wait(function() return is_done end)
  return result
end

--- Lets the world go on until predicate() is true; how long, in ms. Fails
-- after so many ms of virtual time (60000).
function Site:wait(predicate, ms)
  local world, from = self.world, self.world.now
  local until_time = from + (ms or 60000) * NS_PER_MS
  while not predicate() do
    local time = world:next_time()
    if not time or time > until_time then
      error(("in vain from %d ms on"):format(from // NS_PER_MS), 2)
    end
    world:step()
    if world.failure then error(world.failure, 0) end
  end
  return (world.now - from) / NS_PER_MS
end

--- Lets so many ms go by.
function Site:sleep(ms)
  local is_over = false
  self.world:at(self.world.now + (ms * NS_PER_MS) // 1, function()
    is_over = true
  end)
  self:wait(function() return is_over end, ms + 1)
end

----------------------------------------------------------------- connections --

-- What has come of a connect or a read.
local function end_of(stream)
  return { stream = stream, got = "", chunks = {}, is_open = false,
    why = false, has_end = false }
end

local function read(site, this)
  assert(this.stream:read_start(function(why, chunk)
    if chunk then
      this.got = this.got .. chunk
      this.chunks[#this.chunks + 1] = { at = site:now(), chunk = chunk }
      return
    end
    this.why, this.has_end = why or false, true
  end))
  this.is_open = true
end

--- Listens at this address: an array of the ends that it accepts.
-- @param is_lazy does it read nothing by itself?
function Site:listen(ip, is_lazy)
  local accepted = {}
  self:on(ip, function(uv)
    local server = uv.new_tcp()
    assert(server:bind(ip, PORT))
    assert(server:listen(16, function(why)
      assert(not why, why)
      local this = end_of(uv.new_tcp())
      assert(server:accept(this.stream))
      accepted[#accepted + 1] = this
      if not is_lazy then read(self, this) end
    end))
    accepted.server = server
  end)
  return accepted
end

--- Reads what comes to an end from now on.
function Site:read(ip, this)
  self:on(ip, function() read(self, this) end)
end

--- Begins to connect: this end, with `why` set when it fails.
function Site:connect(from, to)
  return self:on(from, function(uv)
    local this = end_of(uv.new_tcp())
    assert(this.stream:connect(to, PORT, function(why)
      if why then this.why = why else read(self, this) end
    end))
    return this
  end)
end

--- Two ends of one connection: near at `from`, far at `to`.
function Site:link(from, to, is_lazy)
  local accepted = self:listen(to, is_lazy)
  local near = self:connect(from, to)
  self:wait(function() return near.is_open and accepted[1] end)
  self:on(to, function() accepted.server:close() end)
  return near, accepted[1]
end

--- Writes at one end; what comes of it is noted in this.written.
function Site:write(ip, this, bytes)
  self:on(ip, function()
    local request, _, name = this.stream:write(bytes, function(why)
      this.written = why or true
    end)
    if not request then this.written = name end
  end)
end

return M
