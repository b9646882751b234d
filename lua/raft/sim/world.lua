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

-- The heap. Each event knows its place in it, so that what is cancelled can be
-- taken out: most events are.

local function rise(heap, event, i)
  local time, birth = event.time, event.birth
  while i > 1 do
    local parent = heap[i // 2]
    local other = parent.time
    if other < time or (other == time and parent.birth < birth) then break end
    heap[i], parent.place = parent, i
    i = i // 2
  end
  heap[i], event.place = event, i
end

-- The earlier one of the two below i, and its place.
local function earlier_child(heap, i, count)
  local child = 2 * i
  local one, two = heap[child], child < count and heap[child + 1]
  if two and (two.time < one.time
    or (two.time == one.time and two.birth < one.birth)) then
    return two, child + 1
  end
  return one, child
end

local function sink(heap, event, i, count)
  local time, birth = event.time, event.birth
  while 2 * i <= count do
    local child, place = earlier_child(heap, i, count)
    local other = child.time
    if time < other or (time == other and birth < child.birth) then break end
    heap[i], child.place = child, i
    i = place
  end
  heap[i], event.place = event, i
end

local function take_out(heap, event)
  local i, count = event.place, #heap
  local last = heap[count]
  heap[count], event.place = nil, false
  if last == event then return end
  sink(heap, last, i, count - 1)
  rise(heap, last, last.place)
end

--- Calls fn(a, b) at this time; at once, after what is due, where it is past.
-- @return the event, for cancel
function World:at(time, fn, a, b)
  self.births = self.births + 1
  local event = { time = math.max(time, self.now), birth = self.births,
    fn = fn, a = a, b = b, place = false }
  local heap = self.heap
  rise(heap, event, #heap + 1)
  return event
end

--- It shall not happen. One that has happened already is no harm.
function World:cancel(event)
  if event.place then take_out(self.heap, event) end
end

--- When the next event is due; nil: never.
function World:next_time()
  local first = self.heap[1]
  return first and first.time
end

--- Lets the next event happen; false when there is none.
function World:step()
  local event = self.heap[1]
  if not event then return false end
  take_out(self.heap, event)
  self.now = event.time
  event.fn(event.a, event.b)
  return true
end

--- Keeps the first error that has nobody to go to; whoever runs the world
-- looks for it.
function World:fail(err)
  if self.failure == nil then self.failure = err end
end

return M
