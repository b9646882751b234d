--- The session in which a node forwards proposals: what was on its way can be
-- sent again, to whoever leads then, and happens once.
--
-- Promises. Sequences are given in call order, and a waiter keeps its own. What
-- was sent once, into a session that is gone, has not happened, and goes into
-- the next session; what was sent more often may have, and does not.
local ring = require "raft.ring"
local session_entry = require "raft.session_entry"

local M = {}

local TTL_MS <const> = 3600 * 1000

local OwnSession = { __name = "raft.own_session" }
OwnSession.__index = OwnSession

--- @param name of the session, for people
function M.new(name)
  return setmetatable({
    name = name,
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
  return session_entry.encode { op = "open", session = 0, sequence = 0,
    floor = 0, command = ("<I4"):pack(TTL_MS) .. self.name }
end

--- It is open; or false: it was not opened, and is to be asked for again.
function OwnSession:opened(id)
  self.is_opening, self.id = false, id
end

-- The lowest sequence that somebody waits for.
local function floor_of(self)
  local waiter = self.sent:peek()
  while waiter and not waiter.answer do
    self.sent:pop()
    waiter = self.sent:peek()
  end
  return waiter and waiter.sequence or self.last + 1
end

--- The request of a waiter, as the bytes of an entry. It keeps the sequence
-- that it gets here.
function OwnSession:request(waiter)
  assert(self.id, "no session is open")
  if not waiter.sequence then
    self.last = self.last + 1
    waiter.sequence, waiter.sends = self.last, 0
    self.sent:push(waiter)
  end
  waiter.sends = waiter.sends + 1
  return session_entry.encode { op = "command", session = self.id,
    sequence = waiter.sequence, floor = floor_of(self),
    command = waiter.command }
end

--- The session is gone: the waiters that were sent no more than once, and the
-- others, both in call order.
function OwnSession:gone()
  local fresh, others = {}, {}
  self.sent:each(function(waiter)
    if not waiter.answer then return end
    local list = waiter.sends <= 1 and fresh or others
    list[#list + 1] = waiter
  end)
  for _, waiter in ipairs(fresh) do waiter.sequence = false end
  self.id, self.last, self.sent = false, 0, ring.new()
  return fresh, others
end

return M
