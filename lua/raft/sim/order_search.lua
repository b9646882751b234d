--- Looks for an order of one history's operations that real time and a model
-- allow: the search of Wing and Gong, with Lowe's memory of points that were
-- visited, made iterative. A leaf of linearizable.lua.
--
-- A point of the search is the set of operations placed so far and the state
-- they lead to. An operation may come next if no other one that is still to be
-- placed had returned before it was called. Operations whose fate is unknown
-- never return, so they may come at any time, or never: they are tried after
-- all others.
local codec = require "raft.codec"

local M = {}

local WORD_BITS <const> = 64

local Search = { __name = "raft.sim.order_search" }
Search.__index = Search

------------------------------------------------------------------ the items --

-- Operations with what the search notes of them, in order of their calls.
local function items_of(ops)
  local known, unknown = {}, {}
  for order, op in ipairs(ops) do
    local list = op.outcome == "ok" and known or unknown
    list[#list + 1] = { op = op, order = order, is_known = list == known,
      bit = 0, is_placed = false, twin = false, call = false, back = false }
  end
  for _, list in ipairs { known, unknown } do
    table.sort(list, function(a, b)
      if a.op.call ~= b.op.call then return a.op.call < b.op.call end
      return a.order < b.order
    end)
    for i, item in ipairs(list) do item.bit = i - 1 end
  end
  return known, unknown
end

-- Of unknown operations that ask for the same, the older one may always stand
-- where the younger one could: so the younger one waits for its older twin.
local function pair_twins(unknown)
  local newest = {}
  for _, item in ipairs(unknown) do
    local input = codec.encode(item.op.input, "input")
    item.twin = newest[input] or false
    newest[input] = item
  end
end

-- Calls and returns of the known operations as a list in order of time. At one
-- moment calls come first: so such operations overlap, and none is forbidden
-- that may have been.
local function timeline(known)
  local events = {}
  for _, item in ipairs(known) do
    item.call = { item = item, time = item.op.call, is_call = true }
    item.back = { item = item, time = item.op.back, is_call = false }
    events[#events + 1], events[#events + 2] = item.call, item.back
  end
  table.sort(events, function(a, b)
    if a.time ~= b.time then return a.time < b.time end
    if a.is_call ~= b.is_call then return a.is_call end
    return a.item.bit < b.item.bit
  end)
  local head = { previous = false, next = false }
  local last = head
  for _, event in ipairs(events) do
    event.previous, event.next, last.next = last, false, event
    last = event
  end
  return head
end

local function words_for(count)
  local words = {}
  for i = 1, (count + WORD_BITS - 1) // WORD_BITS do words[i] = 0 end
  return words
end

local function new_search(ops, model, key)
  local known, unknown = items_of(ops)
  pair_twins(unknown)
  local state = model.init(key)
  local hash = model.hash or codec.encode
  local root = { parent = false, item = false, state = state,
    hash = hash(state), placed = 0, high = 0, event = false, unknown = 1 }
  local head = timeline(known)
  return setmetatable({
    model = model, hash = hash,
    state_ids = {},            -- hash -> a number, so that names stay short
    state_count = 0,
    head = head,               -- of the timeline; what was placed is taken out
    known = known, unknown = unknown,
    bits = words_for(#known),  -- which known ones are placed
    low = 1,                   -- words of `bits` before this one are full
    unknown_bits = words_for(#unknown),
    top = root,                -- the newest frame; each knows its parent
    best = root,               -- the one with the most known ones placed
    event = head.next,         -- next to be tried here: an event ...
    next_unknown = 1,          -- ... and then these
    seen = {},                 -- points visited
    steps = 0,                 -- calls of model.step
  }, Search)
end

-------------------------------------------------------------- points seen --

local function flip(self, item)
  local words = item.is_known and self.bits or self.unknown_bits
  local word = item.bit // WORD_BITS + 1
  words[word] = words[word] ~ (1 << item.bit % WORD_BITS)
  if not item.is_known then return self.top.high end
  self.low = math.min(self.low, word)
  while words[self.low] == -1 do self.low = self.low + 1 end
  return math.max(self.top.high, word)
end

local function state_id(self, hash)
  local id = self.state_ids[hash]
  if id then return id end
  self.state_count = self.state_count + 1
  self.state_ids[hash] = self.state_count
  return self.state_count
end

-- The name of a point. Full words in front are told by their number.
local function name_of(self, high, hash)
  return ("%d:%s|%s|%d"):format(self.low,
    table.concat(self.bits, ",", self.low, high),
    table.concat(self.unknown_bits, ","), state_id(self, hash))
end

------------------------------------------------------------------ stepping --

local function take_out(item)
  for _, event in ipairs { item.call, item.back } do
    event.previous.next = event.next
    if event.next then event.next.previous = event.previous end
  end
end

local function put_back(item)
  for _, event in ipairs { item.back, item.call } do
    event.previous.next = event
    if event.next then event.next.previous = event end
  end
end

local function push(self, item, state, hash, high)
  local top = self.top
  self.top = { parent = top, item = item, state = state, hash = hash,
    high = high, placed = top.placed + (item.is_known and 1 or 0),
    event = self.event, unknown = self.next_unknown }
  if self.top.placed > self.best.placed then self.best = self.top end
  item.is_placed = true
  if item.is_known then take_out(item) end
  self.event, self.next_unknown = self.head.next, 1
end

-- Takes the newest one back: false when there is none.
local function pop(self)
  local top = self.top
  if not top.parent then return false end
  self.top = top.parent
  top.item.is_placed = false
  if top.item.is_known then put_back(top.item) end
  flip(self, top.item)
  self.event, self.next_unknown = top.event, top.unknown
  return true
end

-- Places the item if the model allows it and that leads to a new point. An
-- unknown one that changes nothing is as good as one that never happened.
local function try(self, item)
  self.steps = self.steps + 1
  local op, top = item.op, self.top
  local is_legal, state = self.model.step(top.state, op.input, op.output,
    item.is_known)
  if not is_legal then return end
  local hash = self.hash(state)
  if not item.is_known and hash == top.hash then return end
  local high = flip(self, item)
  local name = name_of(self, high, hash)
  if self.seen[name] then
    flip(self, item)
    return
  end
  self.seen[name] = true
  push(self, item, state, hash, high)
end

local function next_unknown(self)
  local until_time = self.event.time  -- of the first return
  while true do
    local item = self.unknown[self.next_unknown]
    if not item or item.op.call > until_time then return nil end
    self.next_unknown = self.next_unknown + 1
    local may_come = not item.twin or item.twin.is_placed
    if not item.is_placed and may_come then return item end
  end
end

-- What may come next and was not tried at this point; nil: nothing is left.
local function next_item(self)
  local event = self.event
  if not event.is_call then return next_unknown(self) end
  self.event = event.next
  return event.item
end

------------------------------------------------------------------- results --

local function prefix_of(frame)
  local reversed, prefix = {}, {}
  while frame.item do
    reversed[#reversed + 1] = frame.item.op
    frame = frame.parent
  end
  for i = #reversed, 1, -1 do prefix[#prefix + 1] = reversed[i] end
  return prefix
end

-- The known operations that could have come after the prefix, by real time.
local function stuck_after(self, prefix)
  local is_placed, first_back, stuck = {}, math.huge, {}
  for _, op in ipairs(prefix) do is_placed[op] = true end
  for _, item in ipairs(self.known) do
    if not is_placed[item.op] then
      first_back = math.min(first_back, item.op.back)
    end
  end
  for _, item in ipairs(self.known) do
    if not is_placed[item.op] and item.op.call <= first_back then
      stuck[#stuck + 1] = item.op
    end
  end
  return stuck
end

local function result_of(self)
  local prefix = prefix_of(self.best)
  return { steps = self.steps, prefix = prefix, state = self.best.state,
    stuck = stuck_after(self, prefix) }
end

--- Searches.
-- @param ops operations of one history, those that never happened left out
-- @return "ok", "violation" or "gave_up"; and { steps=, prefix=, state=,
--   stuck= }: the longest order that was found, the state it leads to, and the
--   operations that should have come next
function M.run(ops, model, key, steps_max)
  local self = new_search(ops, model, key)
  while self.top.placed < #self.known do
    if self.steps >= steps_max then return "gave_up", result_of(self) end
    local item = next_item(self)
    if item then
      try(self, item)
    elseif not pop(self) then
      return "violation", result_of(self)
    end
  end
  return "ok", result_of(self)
end

return M
