--- The snapshot that comes in: the follower's end of a transfer.
--
-- One at a time. What has been written stays when the connection breaks or the
-- leader changes, and goes on where the same file is offered again: index,
-- term, size and checksum are its name. The offer of a newer leader takes the
-- place of an older one's.
--
-- Promises. Every offer is answered. In memory is no more than a window of
-- chunks; nothing counts before all of it was verified; what cannot be kept is
-- removed, and the leader is told why.
local Visitors = require "raft.node.visitors"
local errors = require "raft.errors"
local raft_core = require "raft.core"
local ring = require "raft.ring"

local M = {}

local WAITING_BYTES_MAX <const> = 8 * raft_core.SHIP_CHUNK_BYTES  -- unwritten

local expect = {}  -- kind of frame -> function(receiving, channel, term, ...)

local Receiving = { __name = "raft.receiving", expect = expect }
Receiving.__index = Receiving

--- @param driver gives core, storage, logger, role, term, now(), step(),
--   warn(), guard(), wants_flush(), node.scheduler
function M.new(driver)
  local self = setmetatable({
    driver = driver,
    visitors = false,   -- the channels that came in
    transfer = false,   -- the one under way
    newest_term = 0,    -- of the leaders that have offered something
  }, Receiving)
  self.visitors = Visitors.new(driver, self)
  return self
end

--- A channel was accepted: what to call for it.
function Receiving:accept(channel)
  return self.visitors:accept(channel)
end

--- Ends all of it; what has been written stays.
function Receiving:close()
  self.transfer = false
  self.visitors:close()
end

------------------------------------------------------------ for the visitors --

--- A channel has ended: what it brought and was not written is sent again.
function Receiving:left(channel)
  local transfer = self.transfer
  if not transfer or transfer.channel ~= channel then return end
  transfer.channel = false
  self:forget_unwritten(transfer)
end

-- Is the disk at work for this transfer?
local function is_busy(transfer)
  return transfer.is_writing or transfer.is_finishing
end

--- Does this channel wait for us?
function Receiving:is_at_work(channel)
  local transfer = self.transfer
  return transfer and transfer.channel == channel and is_busy(transfer)
end

function Receiving:is_idle()
  return not self.transfer
end

--- Nobody needs the file any more when the log has got there another way.
function Receiving:look()
  local transfer = self.transfer
  if not transfer or transfer.channel or is_busy(transfer) then return end
  if self.driver.core:status().commit < transfer.offer.index then return end
  self.transfer = false
  transfer.incoming:drop()
end

------------------------------------------------------------------- answers --

function Receiving:say_taken(transfer)
  if not transfer.channel then return end
  transfer.channel:write(raft_core.ship_taken(self.driver.term, transfer.taken))
end

local function say_verdict(self, channel, word, text)
  if channel then
    channel:write(raft_core.ship_verdict(self.driver.term, word, text))
  end
end

------------------------------------------------------------------- offers --

local function is_same(a, b)
  return a.index == b.index and a.term == b.term and a.size == b.size
    and a.checksum == b.checksum
end

-- Why this offer is of no use: nil, or a verdict and words.
local function verdict_on(self, term, offer)
  local driver = self.driver
  self.newest_term = math.max(self.newest_term, driver.term, term)
  if term < self.newest_term then
    return "stale", ("there is a leader of term %d"):format(self.newest_term)
  elseif driver.role == "leader" then
    return "busy", "this node leads, as far as it knows"
  elseif offer.index <= driver.core:status().commit then
    return "have", ""
  end
end

-- May this offer take the place of the transfer under way? Words when not. A
-- write under way cannot be taken back, so nothing more is taken of the old
-- one, and the new one comes again.
local function why_busy(transfer, channel, term)
  local old = transfer.channel
  if old and old ~= channel and term <= transfer.leader_term then
    return "a snapshot of another leader is coming in"
  elseif transfer.is_finishing then
    return "another snapshot is being verified"
  end
  if old and old ~= channel then old:close("replaced") end
  return transfer.is_writing and "another snapshot is being written"
end

-- The same file again: on another connection, or said twice.
local function go_on(self, transfer, channel, term)
  local old = transfer.channel
  transfer.channel, transfer.leader_term = channel, term
  if old == channel then return self:say_taken(transfer) end
  self:forget_unwritten(transfer)
  if old then old:close("replaced") end
  -- The end of the write under way is an answer, too.
  if not transfer.is_writing then self:say_taken(transfer) end
end

local function begin(self, channel, term, offer)
  local incoming, err = self.driver.storage.snapshots:receive(offer)
  if not incoming then return self:refuse(channel, err) end
  self.transfer = {
    offer = offer,
    leader_term = term,         -- of who offered it last
    channel = channel,          -- where it comes from; false: from nowhere
    incoming = incoming,        -- the file
    taken = incoming.offset,    -- bytes written. Invariant: <= offer.size
    next = incoming.offset,     -- where the next chunk goes: behind the queue
    queue = ring.new(),         -- chunks that wait for the one being written
    is_writing = false,
    is_finishing = false,       -- is all of it being verified?
  }
  self.driver.logger:info("receiving a snapshot", { from = channel.id,
    index = offer.index, bytes = offer.size, there = incoming.offset })
  self.visitors:watch()
  self:say_taken(self.transfer)
  self:finish_if_whole(self.transfer)
end

function expect.offer(self, channel, term, offer)
  local word, text = verdict_on(self, term, offer)
  if word then return say_verdict(self, channel, word, text) end
  local transfer = self.transfer
  if transfer and is_same(transfer.offer, offer) then
    return go_on(self, transfer, channel, term)
  end
  local busy = transfer and why_busy(transfer, channel, term)
  if busy then return say_verdict(self, channel, "busy", busy) end
  self.transfer = false
  if transfer then transfer.incoming:drop() end
  begin(self, channel, term, offer)
end

-------------------------------------------------------------------- chunks --

function expect.chunk(self, channel, _, offset, bytes)
  local transfer = self.transfer
  if not transfer or transfer.channel ~= channel then
    return channel:close("a chunk of nothing")
  elseif offset ~= transfer.next or offset + #bytes > transfer.offer.size then
    return channel:close("a chunk out of order")
  elseif transfer.next - transfer.taken + #bytes > WAITING_BYTES_MAX then
    return channel:close("too much at once")
  end
  transfer.next = transfer.next + #bytes
  transfer.queue:push(bytes)
  self:write_one(transfer)
end

-- What was not written is sent again.
function Receiving:forget_unwritten(transfer)
  while not transfer.queue:is_empty() do
    transfer.next = transfer.next - #transfer.queue:pop()
  end
end

function Receiving:write_one(transfer)
  if transfer.is_writing or transfer.queue:is_empty() then return end
  local bytes = transfer.queue:pop()
  transfer.is_writing = true
  transfer.incoming:write_later(transfer.taken, bytes, function(err)
    if self.transfer ~= transfer then return end
    transfer.is_writing = false
    if err then return self:give_up(transfer, err) end
    transfer.taken = transfer.taken + #bytes
    self:say_taken(transfer)
    self:write_one(transfer)
    self:finish_if_whole(transfer)
  end)
end

----------------------------------------------------------------------- end --

local VERDICT_OF <const> = { no_space = "no_space", corrupt = "damaged" }

-- Tells the leader and the user why it cannot be.
function Receiving:refuse(channel, err)
  self.driver:warn(err)
  say_verdict(self, channel, VERDICT_OF[err.code] or "failed", err.message)
end

-- It ends here, and nothing of it stays.
function Receiving:give_up(transfer, err)
  self.transfer = false
  transfer.incoming:drop()
  self:refuse(transfer.channel, err)
end

-- All of it is there and verified.
local function take(self, transfer, info)
  local driver = self.driver
  self.transfer = false
  if driver.role == "leader" then  -- what it covers is in our log
    return say_verdict(self, transfer.channel, "have", "")
  end
  driver.logger:info("received a snapshot", { index = info.index,
    term = info.term, bytes = transfer.offer.size })
  local ok, code = driver:snapshot_received(info)
  if driver.is_closed then return end
  if not ok then
    return self:refuse(transfer.channel, errors.new("failed",
      "the core does not take the snapshot: " .. tostring(code)))
  end
  driver:wants_flush()
  say_verdict(self, transfer.channel, "done", "")
end

function Receiving:finish_if_whole(transfer)
  if transfer.taken < transfer.offer.size or transfer.is_finishing then
    return
  end
  transfer.is_finishing = true
  transfer.incoming:finish_later(function(err, info)
    if self.transfer ~= transfer then return end
    if err then return self:give_up(transfer, err) end
    take(self, transfer, info)
  end)
end

return M
