--- The state of the battery `queue`, and the ways of a message through it.
--
--                  push                 pop                 ack
--     (delayed) -------> ready --------------------> leased -----> gone
--         |                ^                           |
--         `--- its time ---+--- nack, or its lease ends
--                                                      |
--                                  attempts_max are used up: dead
--
--   messages  id -> { value =, attempts =, place =, at = }
--             place: "ready", "delayed", "leased" or "dead"; at: ms, when that
--             ends, and for a dead one when it died
--   last      the newest id
--   ready     ids, sorted         leased   { at, id }, sorted
--   dead      ids, sorted         delayed  { at, id }, sorted
local sorted = require "raft.services.support.sorted"

local M = {}

local pair_less = sorted.pair_less

local function less(a, b) return a < b end

function M.first()
  return { messages = {}, last = 0, ready = sorted.new(), dead = sorted.new(),
    leased = sorted.new(), delayed = sorted.new() }
end

---------------------------------------------------------------------- places --

-- Takes a message out of the list of its place.
local function leave(s, id, message)
  local place = message.place
  if place == "ready" or place == "dead" then
    return sorted.remove(s[place], id, less)
  end
  sorted.remove(s[place], { message.at, id }, pair_less)
end

local function come(s, id, message, place, at)
  message.place, message.at = place, at
  if place == "ready" or place == "dead" then
    return sorted.insert(s[place], id, less)
  end
  sorted.insert(s[place], { at, id }, pair_less)
end

local function move(s, id, place, at)
  local message = s.messages[id]
  leave(s, id, message)
  come(s, id, message, place, at)
  return message
end

--- Takes a message out for good.
function M.remove(s, id)
  leave(s, id, s.messages[id])
  s.messages[id] = nil
end

--- It is ready, or is so when delay_ms are over.
function M.wait(s, id, delay_ms)
  if delay_ms and delay_ms > 0 then
    return move(s, id, "delayed", entry.time + delay_ms)
  end
  move(s, id, "ready", nil)
  emit("ready", id)
end

local function bury(s, id)
  local message = move(s, id, "dead", entry.time)
  emit("dead", id, message.value)
  if s.dead.size > s.limits.dead_max then M.remove(s, sorted.first(s.dead)) end
end

--- Its lease has come to an end, and it was not done.
function M.give_back(s, id, delay_ms)
  local most = s.limits.attempts_max
  if most and s.messages[id].attempts >= most then return bury(s, id) end
  M.wait(s, id, delay_ms)
end

------------------------------------------------------------------------ time --

local function next_over(list)
  local first = sorted.first(list)
  return first and first[1] <= entry.time and first[2]
end

--- What leases have ended and what delays are over by now.
function M.sweep(s)
  local id = next_over(s.leased)
  while id do
    M.give_back(s, id)
    id = next_over(s.leased)
  end
  id = next_over(s.delayed)
  while id do
    M.wait(s, id)
    id = next_over(s.delayed)
  end
end

--------------------------------------------------------------------- in, out --

--- How many there are, without the dead ones.
function M.count(s)
  return s.ready.size + s.leased.size + s.delayed.size
end

--- Why there is no room for one more, or nil.
function M.no_room(s)
  local count = M.count(s)
  if count < s.limits.length_max then return nil end
  return ("there are %d messages, which is length_max"):format(count)
end

--- A new message; there must be room for it.
-- @return its id
function M.push(s, value, delay_ms)
  s.last = s.last + 1
  local message = { value = value, attempts = 0, place = "ready", at = nil }
  s.messages[s.last] = message
  sorted.insert(s.ready, s.last, less)
  M.wait(s, s.last, delay_ms)
  return s.last
end

--- Leases the oldest message that is ready: its id; or nil.
function M.lease(s, lease_ms)
  local id = sorted.first(s.ready)
  if not id then return nil end
  M.prolong(s, id, lease_ms)
  s.messages[id].attempts = s.messages[id].attempts + 1
  return id
end

--- Its lease ends in so many ms from now: when that is.
function M.prolong(s, id, lease_ms)
  local at = entry.time + lease_ms
  move(s, id, "leased", at)
  return at
end

return M
