--- The world of a simulation: virtual time, what will happen when, and the
-- streams of random numbers. Everything else of a simulation lies in it.
--
-- Promises. Events come in order of time, and of birth where times are equal;
-- nothing else decides. Time stands still while an event is at work. Times are
-- integers, in ns.
local Random = require "raft.sim.random"

local M = {}

M.NS_PER_MS = 1000000

local World = { __name = "raft.sim.world" }
World.__index = World

--- @param seed an integer; the same seed, the same world
function M.new(seed)
  return setmetatable({
    seed = seed,
    now = 0,            -- ns since the beginning
    heap = {},          -- array of events; parent i, children 2i and 2i + 1
    births = 0,         -- events so far
    source = Random.new(seed),
    streams = {},       -- name -> random stream
    failure = nil,      -- the first error that nobody could take
  }, World)
end

--- The random stream of this name.
function World:random(name)
  local stream = self.streams[name]
  if not stream then
    stream = self.source:derive(name)
    self.streams[name] = stream
  end
  return stream
end

-------------------------------------------------------------------- events --

local function is_before(a, b)
  if a.time ~= b.time then return a.time < b.time end
  return a.birth < b.birth
end

local function rise(heap, i)
  local event = heap[i]
  while i > 1 do
    local parent = heap[i // 2]
    if not is_before(event, parent) then break end
    heap[i] = parent
    i = i // 2
  end
  heap[i] = event
end

local function sink(heap, event, count)
  local i = 1
  while 2 * i <= count do
    local child = 2 * i
    if child < count and is_before(heap[child + 1], heap[child]) then
      child = child + 1
    end
    if is_before(event, heap[child]) then break end
    heap[i] = heap[child]
    i = child
  end
  heap[i] = event
end

--- Calls fn(a, b) at this time; at once, after what is due, where it is past.
-- @return the event, for cancel
function World:at(time, fn, a, b)
  self.births = self.births + 1
  local event = { time = math.max(time, self.now), birth = self.births,
    fn = fn, a = a, b = b }
  local heap = self.heap
  heap[#heap + 1] = event
  rise(heap, #heap)
  return event
end

--- It shall not happen. One that has happened already is no harm.
function World:cancel(event)
  event.fn = false
end

local function pop(heap)
  local first, count = heap[1], #heap
  local last = heap[count]
  heap[count] = nil
  if count > 1 then sink(heap, last, count - 1) end
  return first
end

--- When the next event is due; nil: never.
function World:next_time()
  local heap = self.heap
  while heap[1] and not heap[1].fn do pop(heap) end
  return heap[1] and heap[1].time
end

--- Lets the next event happen; false when there is none.
function World:step()
  if not self:next_time() then return false end
  local event = pop(self.heap)
  local fn = event.fn
  event.fn = false
  self.now = event.time
  fn(event.a, event.b)
  return true
end

--- Keeps the first error that has nobody to go to; whoever runs the world
-- looks for it.
function World:fail(err)
  if self.failure == nil then self.failure = err end
end

return M
