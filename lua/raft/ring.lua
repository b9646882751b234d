--- A queue whose array never moves: positions wrap, and it doubles when full.
-- A table keyed by ever-growing numbers is rehashed again and again instead.
local M = {}

local START <const> = 16  -- places at first; always a power of two

local Ring = { __name = "raft.ring" }
Ring.__index = Ring

--- An empty queue.
function M.new()
  return setmetatable({
    items = {},        -- by place, from 1; false where one was taken
    capacity = START,  -- places, used or not
    head = 0,   -- place of the oldest, from 0
    count = 0,  -- Invariant: 0 <= count <= capacity
  }, Ring)
end

function Ring:__len()
  return self.count
end

function Ring:is_empty()
  return self.count == 0
end

local function grow(self)
  local items = {}
  for i = 0, self.count - 1 do
    items[i + 1] = self.items[(self.head + i) % self.capacity + 1]
  end
  self.items, self.head, self.capacity = items, 0, self.capacity * 2
end

--- Puts an item (not nil) at the end.
function Ring:push(item)
  if item == nil then error("a queue holds no nil", 2) end
  local count = self.count
  if count == self.capacity then grow(self) end
  self.items[(self.head + count) % self.capacity + 1] = item
  self.count = count + 1
end

--- The oldest item, or nil.
function Ring:peek()
  if self.count == 0 then return nil end
  return self.items[self.head + 1]
end

--- Takes the oldest item out: it, or nil.
function Ring:pop()
  local count = self.count
  if count == 0 then return nil end
  local place, items = self.head + 1, self.items
  local item = items[place]
  items[place] = false
  self.head, self.count = place % self.capacity, count - 1
  return item
end

--- Takes everything out, oldest first, as an array.
function Ring:take_all()
  local all = {}
  for i = 1, self.count do all[i] = self:pop() end
  return all
end

--- Calls fn(item) for each, oldest first; fn changes nothing here.
function Ring:each(fn)
  for i = 0, self.count - 1 do
    fn(self.items[(self.head + i) % self.capacity + 1])
  end
end

--- Keeps only the items for which keep(item) holds, in order.
function Ring:filter(keep)
  for _ = 1, self.count do
    local item = self:pop()
    if keep(item) then self:push(item) end
  end
end

return M
