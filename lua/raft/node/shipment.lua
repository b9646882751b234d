--- One snapshot on its way to one member: the leader's end.
--
--   queued -> waiting -> dialing -> offered -> sending -> (over)
--                ^---------'----------'----------'   the connection broke
--
-- The file is pinned from the first dial to the end, so a newer snapshot
-- changes nothing here, and a broken connection goes on where it was. At most
-- WINDOW_BYTES are on their way, and one buffer is being read: that is the
-- memory, whatever the file is.
local Backoff = require "raft.transport.backoff"
local Cutter = require "raft.cutter"
local errors = require "raft.errors"
local raft_core = require "raft.core"

local M = {}

local CHUNK_BYTES <const> = raft_core.SHIP_CHUNK_BYTES
local WINDOW_BYTES <const> = 4 * CHUNK_BYTES  -- sent and not yet taken
local AGAIN_MIN_MS <const> = 100              -- after a break
local AGAIN_MAX_MS <const> = 5000
-- Without a byte more in that time the pin is given up: the log must not be
-- kept for a member that is gone. Verifying a large file may take a while.
local STALL_MS <const> = 60000
local TRIES_MAX <const> = 16    -- without a byte that was not there before
local DAMAGED_MAX <const> = 2   -- times that what came there was damaged

local Shipment = { __name = "raft.shipment" }
Shipment.__index = Shipment

--- @param owner @{raft.node.shipping}: driver, pin(index, is_bare), wake(),
--   random(), ended(shipment, is_done)
-- @param peer who shall have it; @param index the SHIP effect's
-- @param is_bare likewise: without a state?
-- @param try_at when to begin, in ms of now()
function M.new(owner, peer, index, is_bare, try_at)
  return setmetatable({
    owner = owner,
    driver = owner.driver,
    peer = peer,
    index = index,
    is_bare = is_bare,
    term = owner.driver.term,  -- in which we lead
    state = "queued",
    source = false,            -- the pinned file: { info, read_later, unpin }
    log_last = 0,              -- newest entry of our log when it was pinned
    channel = false,
    cutter = false,            -- of the channel
    sent = 0,                  -- bytes of the file handed to the channel.
                               -- Invariant: taken <= sent <= size
    taken = 0,                 -- written there
    most = 0,                  -- the most that was ever written there
    tries = 0,                 -- broken connections since then
    damaged = 0,               -- files that were found damaged there
    is_reading = false,
    try_at = try_at,           -- while it waits
    moved_at = try_at,         -- when something was taken last
    backoff = Backoff.new(AGAIN_MIN_MS, AGAIN_MAX_MS),
  }, Shipment)
end

-- Describes it in the logger.
local function fields_of(self, reason)
  return { peer = self.peer, index = self.index, taken = self.taken,
    reason = reason }
end

------------------------------------------------------------------ its course --

--- Pins the file, and begins: false when there is none.
function Shipment:begin(now)
  self.source = self.owner:pin(self.index, self.is_bare)
  if not self.source then return false end
  self.state, self.try_at, self.moved_at = "waiting", now, now
  self.log_last = self.driver.core:status().last
  self.driver.logger:info("shipping a snapshot", { peer = self.peer,
    index = self.source.info.index, bytes = self.source.info.size })
  return true
end

--- What is due by now: the next try, or the end.
function Shipment:look(now)
  if now >= self.moved_at + STALL_MS then
    self.driver.logger:warn("snapshot is not taken", fields_of(self))
    return self:finish(false)
  end
  if self.state == "waiting" and now >= self.try_at then self:dial() end
end

--- When to look again.
function Shipment:due()
  local stalled_at = self.moved_at + STALL_MS
  if self.state ~= "waiting" then return stalled_at end
  return math.min(self.try_at, stalled_at)
end

function Shipment:dial()
  self.state, self.cutter = "dialing", Cutter.new(raft_core.ship_size)
  local channel, code = self.driver.transport:open_channel(self.peer, {
    open = function(channel) self:opened(channel) end,
    bytes = function(channel, chunk) self:received(channel, chunk) end,
    closed = function(channel, reason) self:closed(channel, reason) end,
  })
  self.channel = channel or false
  if not channel then self:again(code) end
end

function Shipment:opened(channel)
  self.state = "offered"
  channel:write(raft_core.ship_offer(self.term, self.source.info))
end

function Shipment:closed(channel, reason)
  if channel == self.channel then self:again(reason) end
end

-- This try has failed: the next one, after a while.
function Shipment:again(reason)
  local channel = self.channel
  if self.state ~= "dialing" then self.tries = self.tries + 1 end
  self.channel, self.state = false, "waiting"
  if channel then channel:close("again") end
  if self.tries > TRIES_MAX then return self:finish(false) end
  self.try_at = self.driver:now() + self.backoff:next(self.owner:random())
  self.driver.logger:debug("snapshot waits", fields_of(self, reason))
  self.owner:wake()
end

--- Ends it, and gives the file back.
-- @param is_done has the peer all of it?
function Shipment:finish(is_done)
  if self.state == "over" then return end
  local channel, source = self.channel, self.source
  self.state, self.channel, self.source = "over", false, false
  if channel then channel:close("over") end
  if source then source:unpin() end
  self.owner:ended(self, is_done)
end

------------------------------------------------------------------- sending --

--- May the next chunk be read?
function Shipment:can_send()
  return self.state == "sending" and not self.is_reading
    and self.sent < self.source.info.size
    and self.sent - self.taken < WINDOW_BYTES
end

--- Reads the next chunk, and hands it to the channel.
function Shipment:send_one()
  local channel, offset = self.channel, self.sent
  local size = math.min(CHUNK_BYTES, self.source.info.size - offset)
  self.is_reading = true
  self.source:read_later(offset, size, function(err, bytes)
    self.is_reading = false
    self.owner:wake()
    if self.channel ~= channel then return end  -- of a connection that is gone
    if not err and #bytes < size then
      err = errors.new("corrupt", "the file of a snapshot has become shorter",
        { file = self.source.info.path, offset = offset + #bytes })
    end
    if err then return self:give_up(err) end
    self.sent = offset + size
    channel:write(raft_core.ship_chunk(self.term, offset, bytes))
  end)
end

-- Says what is wrong, and ends.
function Shipment:give_up(err)
  self.driver:warn(err)
  self:finish(false)
end

------------------------------------------------------------------ hearing --

local expect = {}  -- kind of frame -> function(shipment, ...)

-- How often it is told that a file cannot be kept there is up to the back-off.
local function refused(code)
  return function(self, text)
    self.driver:warn(errors.new(code, ("%s does not take the snapshot: %s")
      :format(self.peer, text), { peer = self.peer, index = self.index }))
    self:again(text)
  end
end

local verdicts = {
  done = function(self) self:finish(true) end,
  have = function(self) self:finish(true) end,
  stale = function(self) self:finish(false) end,
  busy = function(self, text) self:again(text) end,
  no_space = refused "no_space",
  failed = refused "io_error",
  damaged = function(self, text)  -- and there it was thrown away
    self.damaged = self.damaged + 1
    refused "corrupt"(self, text)
    if self.damaged == DAMAGED_MAX then self:finish(false) end
  end,
}

function expect.taken(self, offset)
  if self.state == "offered" then
    self.state, self.sent, self.taken = "sending", offset, 0
  end
  if self.state ~= "sending" or offset < self.taken or offset > self.sent
    or offset > self.source.info.size then
    return self:again("broken frame")
  end
  if offset > self.taken then
    self.taken, self.moved_at = offset, self.driver:now()
  end
  if offset > self.most then
    self.most, self.tries = offset, 0
    self.backoff:reset()
  end
  self.owner:wake()
end

function expect.verdict(self, word, text)
  self.driver.logger:info("snapshot ended", fields_of(self, word))
  verdicts[word](self, text)
end

function expect.other() end  -- a ping

-- Takes one frame; false when the channel is ours no more.
function Shipment:take(channel, frame)
  local kind, _, a, b = raft_core.ship_decode(frame)
  local handler = kind and expect[kind]
  if not handler then
    self:again("broken frame")
    return false
  end
  handler(self, a, b)
  return self.channel == channel
end

function Shipment:received(channel, chunk)
  if channel ~= self.channel then return end
  local ok = self.cutter:feed(chunk, function(frame)
    return self:take(channel, frame)
  end)
  if not ok then self:again("broken frame") end
end

return M
