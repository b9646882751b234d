--- One direction of a connection: segments, in order, with what a network
-- does to them.
--
-- What a process has handed over is `filled` until the other one has read it.
-- A segment that meets a cut wire, or a machine without power, waits and is
-- sent again, after 200, 400, 800 ms and so on; so a backlog arrives a while
-- after the wire was mended. Who waits too long sees ETIMEDOUT.
--
-- Limits. Acknowledgements go through a cut wire: a cut is one-way for good,
-- where TCP itself would soon stop sending in the other direction as well.

local M = {}

local Way = { __name = "raft.sim.way" }
Way.__index = Way

local ROOM_PARTS <const> = 3  -- a writer goes on when a third is free

--- @param from, to the two sockets
-- @param pair the wire; false for a way within one machine, which takes no time
function M.new(network, from, to, pair)
  return setmetatable({
    network = network,
    world = network.world,
    from = from,
    to = to,
    pair = pair,
    filled = 0,           -- bytes sent and not yet read
    is_awaited = false,   -- does the sender wait for room?
    last_arrival = 0,     -- world time; none comes earlier than those before
    free_at = 0,          -- world time at which the wire has sent all
    waiting = false,      -- segments to be sent again: { fn, payload, size }...
    waiting_since = false,
    rto_ns = 0,           -- the wait after the next failure
    is_broken = false,    -- nothing of it will arrive any more
  }, Way)
end

----------------------------------------------------------------- the journey --

local function count(self, size)
  local counts, pair = self.network.counts, self.pair
  counts.segments, counts.bytes = counts.segments + 1, counts.bytes + size
  pair.segments, pair.bytes = pair.segments + 1, pair.bytes + size
end

-- It is on its way.
local function launch(self, fn, payload, size)
  local pair = self.pair
  local time = self.from.loop:time()
  if pair.bandwidth > 0 then
    local start = math.max(time, self.free_at)
    self.free_at = start + (size * 1000000) // pair.bandwidth | 0
    time = self.free_at
  end
  time = math.max(time + pair:delay(), self.last_arrival)
  self.last_arrival = time
  count(self, size)
  self.world:at(time, fn, self, payload)
end

local function give_up(self)
  self.waiting, self.is_broken = false, true
  self.network:tell("timeout", self.from, self.to)
  self.from:fail("ETIMEDOUT")
end

local function send_again(self)
  local list = self.waiting
  if not list or self.is_broken then return end
  local pair = self.pair
  local late = self.world.now - self.waiting_since
  if pair.is_cut then
    if late >= pair.timeout_ns then return give_up(self) end
    return self:plan_again()
  end
  self.waiting = false
  for i = 1, #list, 3 do launch(self, list[i], list[i + 1], list[i + 2]) end
end

function Way:plan_again()
  local now = self.world.now
  local rest = self.waiting_since + self.pair.timeout_ns - now
  self.world:at(now + math.max(0, math.min(self.rto_ns, rest)), send_again,
    self)
  self.rto_ns = self.rto_ns * 2
end

-- It was not acknowledged. `since` counts from the first that was not.
local function keep(self, fn, payload, size)
  local list = self.waiting
  if list then
    table.move({ fn, payload, size }, 1, 3, #list + 1, list)
    return
  end
  self.waiting = { fn, payload, size }
  if not self.waiting_since then
    self.waiting_since, self.rto_ns = self.world.now, self.pair.rto_ns
  end
  if self.world.now - self.waiting_since >= self.pair.timeout_ns then
    return give_up(self)
  end
  self:plan_again()
end

--- Sends a segment: fn(way, payload) when it arrives.
function Way:transmit(fn, payload, size)
  if self.is_broken then return end
  if not self.pair then return fn(self, payload) end
  if self.waiting or self.pair.is_cut then
    return keep(self, fn, payload, size)
  end
  launch(self, fn, payload, size)
end

--- Sends a segment that nobody will send again.
function Way:transmit_once(fn)
  if self.is_broken then return end
  if not self.pair then return fn(self) end
  if self.waiting or self.pair.is_cut then return end
  launch(self, fn, false, 0)
end

--- Nothing more comes out of it.
function Way:break_off()
  self.is_broken, self.waiting = true, false
end

-------------------------------------------------------------------- arrivals --

local function reset_arrives(self)
  self.from:reset()
end

-- The machine at the other end does not know this connection.
local function refuse(self)
  local back = self.pair and self.network:pair(self.pair.to, self.pair.from)
  if not back then return self.from:reset() end
  if back.is_cut then return false end
  self.world:at(self.world.now + back:delay(), reset_arrives, self)
  return true
end

-- Is there somebody to take it? If not, that has been dealt with.
local function is_taken(self, fn, payload, size)
  local to = self.to
  if to.state == "open" then
    self.waiting_since = self.waiting and self.world.now
    return true
  end
  if self.is_broken then return false end
  local is_answered = to.host:is_up() and refuse(self)
  if self.pair and not is_answered then keep(self, fn, payload, size) end
  return false
end

local function arrive_data(self, bytes)
  if is_taken(self, arrive_data, bytes, #bytes) then self.to:receive(bytes) end
end

local function arrive_end(self)
  if self.to.state == "closed" then return end  -- it needs no end any more
  if is_taken(self, arrive_end, false, 0) then self.to:receive_end() end
end

local function arrive_reset(self)
  self.to:reset()
end

------------------------------------------------------------------ the sender --

-- ns do not count here: within a machine a way is a pipe of this size.
local OWN_BYTES <const> = 1 << 20
local OWN_SEGMENT_BYTES <const> = 65536

--- Takes as much as there is room for, from this position on.
-- @return the number of bytes taken; 0: there is no room
function Way:send(bytes, at)
  local pair = self.pair
  local room = (pair and pair.buffer_bytes or OWN_BYTES) - self.filled
  local size = #bytes - at + 1
  local taken = math.min(room, size)
  if taken < size then self.is_awaited = true end
  if taken <= 0 then return 0 end
  self.filled = self.filled + taken
  local step = pair and pair.segment_bytes or OWN_SEGMENT_BYTES
  if taken == #bytes and taken <= step then
    self:transmit(arrive_data, bytes, taken)
    return taken
  end
  for from = at, at + taken - 1, step do
    local piece = bytes:sub(from, math.min(from + step, at + taken) - 1)
    self:transmit(arrive_data, piece, #piece)
  end
  return taken
end

--- Could more be sent?
function Way:has_room()
  local bytes = self.pair and self.pair.buffer_bytes or OWN_BYTES
  return self.filled <= bytes - bytes // ROOM_PARTS
end

--- Nothing more will be sent.
function Way:finish()
  self:transmit(arrive_end, false, 0)
end

--- The connection is broken off; what is on its way comes before.
function Way:reset()
  self:transmit_once(arrive_reset)
  self:break_off()
end

local function room_is_known(self)
  self.from:poke()
end

--- The reader has read so much.
function Way:is_read(size)
  self.filled = self.filled - size
  if not self.is_awaited or not self:has_room() then return end
  self.is_awaited = false
  if not self.pair then return self.from:poke() end
  local back = self.network:pair(self.pair.to, self.pair.from)
  self.world:at(self.world.now + back:delay(), room_is_known, self)
end

return M
