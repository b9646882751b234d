--- The snapshots that a leader sends, and how fast. One for each member that
-- needs one, a few at a time, each on a connection of its own.
--
-- Promises. What matters goes first: a turn of the loop reads one chunk at
-- most, RATE is never passed, and a loop that wakes late slows it down. Each
-- SHIP of the core is answered by SHIPPED, unless we lead no more. The log is
-- kept for a transfer up to a bound, and that is said.
local Backoff = require "raft.transport.backoff"
local Shipment = require "raft.node.shipment"
local errors = require "raft.errors"
local raft_core = require "raft.core"

local M = {}

local ACTIVE_MAX <const> = 2              -- transfers at a time
local RATE <const> = 64 << 20             -- bytes a second, of all together
local PAUSE_MAX_MS <const> = 50           -- after a chunk, in a slow loop
local FAILED_MIN_MS <const> = 200         -- before a transfer that has failed
local FAILED_MAX_MS <const> = 30000       -- is begun again
-- While a file is pinned the log behind it stays. When it has grown by more
-- than so many snapshots' worth of log, a newer file is the shorter way.
local PIN_SNAPSHOTS <const> = 4
local PIN_BYTES_MIN <const> = 1 << 30

local PACE_MS <const> = math.ceil(raft_core.SHIP_CHUNK_BYTES * 1000 / RATE)

local Shipping = { __name = "raft.shipping" }
Shipping.__index = Shipping

--- @param driver gives options, core, storage, transport, logger, role, term,
--   loop_lag_ms, now(), step(), warn(), guard(), node.scheduler
function M.new(driver)
  return setmetatable({
    driver = driver,
    list = {},         -- shipments, in order of birth
    failed = {},       -- peer -> the back-off of one that failed
    chunk_at = 0,      -- when the next chunk may be read
    timer = false,     -- fires turn()
    timer_at = 0,      -- when
    is_closed = false,
    pin_bytes_max = math.max(PIN_BYTES_MIN,
      PIN_SNAPSHOTS * (driver.options.snapshot_bytes or 0)),
  }, Shipping)
end

function Shipping:find(peer)
  for i, shipment in ipairs(self.list) do
    if shipment.peer == peer then return shipment, i end
  end
end

--- The core wants a member to have the newest snapshot, of `index` or later.
-- @param is_bare one without a state: it keeps no commands
function Shipping:ship(peer, index, is_bare)
  local old = self:find(peer)
  if old then
    local is_enough = not old.source or old.source.info.index >= index
    local is_it = old.term == self.driver.term and old.is_bare == is_bare
    if is_it and is_enough then
      old.index = index
      return
    end
    self:drop(old)
  end
  local failed, now = self.failed[peer], self.driver:now()
  local try_at = failed and now + failed:next(self:random()) or now
  self.list[#self.list + 1] = Shipment.new(self, peer, index, is_bare,
    try_at)
  self:wake()
end

--- How far the transfer to this member is: nil, or { index, sent, bytes }.
function Shipping:progress(peer)
  local shipment = self:find(peer)
  if not shipment then return nil end
  local info = shipment.source and shipment.source.info
  return { index = info and info.index or shipment.index,
    sent = shipment.taken, bytes = info and info.size or 0 }
end

--- We may lead no more, or in another term: what began before ends.
function Shipping:look_at_role()
  local driver = self.driver
  for i = #self.list, 1, -1 do
    local shipment = self.list[i]
    if driver.role ~= "leader" or shipment.term ~= driver.term then
      self:drop(shipment)
    end
  end
  if driver.role ~= "leader" then self.failed = {} end
end

--- Ends all of them. Nothing is told to the core.
function Shipping:close()
  self.is_closed = true
  self:stop_timer()
  for i = #self.list, 1, -1 do self:drop(self.list[i]) end
end

------------------------------------------------------- for the shipments --

--- Pins the newest file that covers `index`, or one of it without a state;
-- false when there is none.
function Shipping:pin(index, is_bare)
  return self.driver.storage.snapshots:pin(index, is_bare) or false
end

--- A number of [0, 1).
function Shipping:random()
  return self.driver.transport:random()
end

-- Ends one without a word to the core.
function Shipping:drop(shipment)
  local _, i = self:find(shipment.peer)
  table.remove(self.list, i)
  shipment:finish(false)
end

--- One has ended; what was dropped is not in the list any more.
function Shipping:ended(shipment, is_done)
  local known, i = self:find(shipment.peer)
  if known ~= shipment then return end
  table.remove(self.list, i)
  local peer, driver = shipment.peer, self.driver
  if is_done then
    self.failed[peer] = nil
  else
    self.failed[peer] = self.failed[peer]
      or Backoff.new(FAILED_MIN_MS, FAILED_MAX_MS)
  end
  driver:step(driver.core:shipped(driver:now(), peer, shipment.index, is_done))
  driver:wants_flush()
  self:wake()
end

--------------------------------------------------------------------- turns --

local function active_count(self)
  local count = 0
  for _, shipment in ipairs(self.list) do
    if shipment.source then count = count + 1 end
  end
  return count
end

-- Begins those whose time has come, while there are places.
local function begin_some(self, now)
  local room = ACTIVE_MAX - active_count(self)
  for _, shipment in ipairs(table.move(self.list, 1, #self.list, 1, {})) do
    local is_due = shipment.state == "queued" and now >= shipment.try_at
    if is_due and room > 0 then
      room = room - 1
      if not shipment:begin(now) then shipment:finish(false) end
    end
  end
end

-- Has the log that is kept for this one not grown by too much? False: it is
-- given up.
local function may_stay_pinned(self, shipment)
  local max = self.pin_bytes_max
  if self.driver.storage:index_before(max) <= shipment.log_last then
    return true
  end
  shipment:give_up(errors.new("too_large", ("the snapshot for %s is given up "
    .. "and begun anew: the log that is kept for it has grown by more than "
    .. "%d bytes"):format(shipment.peer, max), { peer = shipment.peer,
      index = shipment.index, max = max }))
  return false
end

local function look_at_all(self, now)
  for _, shipment in ipairs(table.move(self.list, 1, #self.list, 1, {})) do
    if shipment.source and may_stay_pinned(self, shipment) then
      shipment:look(now)
    end
  end
end

-- Of those that may send the one that has waited longest: it goes to the end.
local function send_one(self, now)
  if now < self.chunk_at then return end
  for i, shipment in ipairs(self.list) do
    if shipment:can_send() then
      table.insert(self.list, table.remove(self.list, i))
      local lag_ms = math.min(self.driver.loop_lag_ms, PAUSE_MAX_MS)
      self.chunk_at = now + math.max(PACE_MS, lag_ms)
      return shipment:send_one()
    end
  end
end

function Shipping:turn()
  self.timer = false
  if self.is_closed then return end
  local now = self.driver:now()
  look_at_all(self, now)
  begin_some(self, now)
  look_at_all(self, now)
  send_one(self, now)
  self:wake()
end

-- When there is something to do; false: never.
local function next_due(self)
  local due = false
  local has_room = active_count(self) < ACTIVE_MAX
  for _, shipment in ipairs(self.list) do
    local at
    if shipment.state == "queued" then
      at = has_room and shipment.try_at
    elseif shipment:can_send() then
      at = self.chunk_at
    else
      at = shipment:due()
    end
    due = at and (not due or at < due) and at or due
  end
  return due
end

function Shipping:stop_timer()
  if self.timer then self.driver.node.scheduler:close(self.timer) end
  self.timer = false
end

--- Something has changed: makes sure that a turn comes in time, and not this
-- one.
function Shipping:wake()
  if self.is_closed then return end
  local due = next_due(self)
  if self.timer and due and self.timer_at <= due then return end
  self:stop_timer()
  if not due then return end
  local driver = self.driver
  self.timer_at = due
  self.timer = driver.node.scheduler:after(math.max(1, due - driver:now()),
    driver:guard(function() self:turn() end))
end

return M
