--- The session of who proposes from elsewhere, a client or a node that
-- forwards: what was on its way can be sent again, to whoever leads then, and
-- happens once.
--
-- Promises. Sequences are given in call order, and a waiter keeps its own as
-- long as the session lives. What was sent once, into a session that was gone,
-- has not happened, and goes into the next one; of what was sent more often
-- nobody knows.
local ring = require "raft.ring"
local session_entry = require "raft.session_entry"
local sessions = require "raft.sessions"

local M = {}

local OwnSession = { __name = "raft.own_session" }
OwnSession.__index = OwnSession

--- No session is open yet.
-- @param ttl_ms it ends when it was not used for that long, by the log's time
function M.new(ttl_ms)
  return setmetatable({
    ttl_ms = ttl_ms,
    id = false,         -- false: none is open
    is_opening = false, -- is a request for one under way?
    last = 0,           -- sequence that was given last
    sent = ring.new(),  -- waiters with a sequence, oldest first; those at the
                        -- front that were answered go
  }, OwnSession)
end

--- The request for a session, as the bytes of an entry.
function OwnSession:opening()
  self.is_opening = true
  return session_entry.encode { op = "open", session = 0,
    sequence = self.ttl_ms, floor = 0, command = "" }
end

--- It is open; or false: it was not opened, and is to be asked for again.
function OwnSession:opened(id)
  self.is_opening, self.id = false, id
end

-- The lowest sequence that somebody waits for.
local function floor_of(self)
  local sent = self.sent
  local waiter = sent:peek()
  while waiter and not waiter.answer do
    sent:pop()
    waiter = sent:peek()
  end
  return waiter and waiter.sequence or self.last + 1
end

--- Does anybody wait for what was sent in it?
function OwnSession:is_drained()
  return floor_of(self) > self.last
end

--- Would an answer to this one be kept? Beyond that it is refused.
function OwnSession:has_room(waiter)
  if waiter.session then return true end  -- it was counted before
  return self.last + 1 - floor_of(self) < sessions.ANSWERS_MAX
end

--- Was this one sent in a session that is gone, and may it have happened there?
-- What has not may go into another.
function OwnSession:is_stranded(waiter)
  if not waiter.session or waiter.session == self.id then return false end
  if waiter.sends == 0 then waiter.session = false end
  return waiter.session ~= false
end

--- Gives a waiter its place in the session, which it keeps: the floor to send
-- it with.
function OwnSession:place(waiter)
  local id = self.id
  if not waiter.session and id then
    local sequence = self.last + 1
    self.last, waiter.session, waiter.sequence = sequence, id, sequence
    self.sent:push(waiter)
  end
  if not id or waiter.session ~= id then error("no session is open") end
  return floor_of(self)
end

--- Gives several their places in the session that is open, one behind the
-- other: the floor to send them with.
-- @param batch count; session, sequence: set to those of the first. As long as
--   `answer` is true somebody waits for `sequence`
function OwnSession:place_batch(batch)
  batch.session, batch.sequence = self.id, self.last + 1
  self.last = self.last + batch.count
  self.sent:push(batch)
  return floor_of(self)
end

--- Waiters take the place of a batch, if it was sent in the session that is
-- open.
function OwnSession:replace(batch, waiters)
  for _, item in ipairs(self.sent:take_all()) do
    for _, each in ipairs(item == batch and waiters or { item }) do
      self.sent:push(each)
    end
  end
end

--- The request of a waiter, as the bytes of an entry.
function OwnSession:request(waiter)
  local floor = self:place(waiter)
  return session_entry.encode { op = "command", session = self.id,
    sequence = waiter.sequence, floor = floor, command = waiter.command }
end

-- What keeps the session, and asks for nothing.
local function bare(self, op)
  return session_entry.encode { op = op, session = self.id, sequence = 0,
    floor = floor_of(self), command = "" }
end

--- The request that keeps it, as the bytes of an entry.
function OwnSession:keeping() return bare(self, "keep") end

--- The request that ends it.
function OwnSession:closing() return bare(self, "close") end

--- A session is gone; it need not be ours any more.
function OwnSession:ended(id)
  if id ~= self.id then return end
  self.id, self.last, self.sent = false, 0, ring.new()
end

--- The answer to this one: its session is gone. True when it has not happened,
-- and may go into another.
function OwnSession:expired(waiter)
  self:ended(waiter.session)
  if waiter.sends > 1 then return false end
  waiter.session = false
  return true
end

return M
