--- Keys, their values, and when they end. No command in here, and no clock:
-- time is what `advance` was told last, and only there keys end.
--
-- So what the keyspace holds depends on the calls alone, and between two of
-- them nothing is there whose time is over.
--
-- A reader may know a later time than the keyspace: `wall`, of a clock that
-- others do not share. It never decides by it. Where it would matter, `is_late`
-- is set: time must be moved on before that can be answered.
local Deadlines = require "deadlines"

local M = {}

local STALE_MIN <const> = 64     -- deadlines that mean nothing any more
local PIECE_BYTES <const> = 64 << 10
local FORMAT <const> = 1         -- of what `save` writes
local HEAD <const> = "<I4i8"     -- format, now
local RECORD <const> = "<s4i8s4" -- key, deadline (0: none), value

local Keyspace = { __name = "redis.keyspace" }
Keyspace.__index = Keyspace

function M.new()
  return setmetatable({
    now = 0,            -- ms since 1970
    wall = false,       -- what a reader takes the time to be; or none
    is_late = false,    -- does the answer depend on a time after `now`?
    values = {},        -- key -> string
    ends = {},          -- key -> its last ms
    count = 0,          -- of keys
    ending_count = 0,   -- of those that end
    queue = Deadlines.new(),
  }, Keyspace)
end

--------------------------------------------------------------------- reading --

--- The value of a key, or nil.
function Keyspace:get(key)
  local wall = self.wall
  if wall and (self.ends[key] or wall) < wall then self.is_late = true end
  return self.values[key]
end

--- The last ms of a key's life; nil when it does not end.
function Keyspace:deadline(key)
  return self.ends[key]
end

--- The answer depends on what time it is.
function Keyspace:need_time()
  if self.wall then self.is_late = true end
end

--- Is there a key that should have ended by then? It may be one whose deadline
-- was put off since.
function Keyspace:has_ended(time)
  local first = self.queue:first()
  return first ~= nil and first < time
end

--- The answer depends on all keys.
function Keyspace:need_all()
  if self.wall and self:has_ended(self.wall) then self.is_late = true end
end

--- All keys that fit, in order of their bytes.
function Keyspace:names(fits)
  self:need_all()
  local names = {}
  for key in pairs(self.values) do
    if fits(key) then names[#names + 1] = key end
  end
  table.sort(names)
  return names
end

-------------------------------------------------------------------- writing --

-- Builds the queue anew once most of it is stale.
local function tidy(self)
  if self.queue.count <= 2 * self.ending_count + STALE_MIN then return end
  self.queue = Deadlines.new()
  for key, deadline in pairs(self.ends) do self.queue:add(deadline, key) end
end

--- Gives a key that is there a deadline, or none. One that is over ends it.
function Keyspace:expire(key, deadline)
  local had = self.ends[key] ~= nil
  if deadline and deadline < self.now then return self:remove(key) end
  self.ends[key] = deadline or nil
  local has = deadline and 1 or 0
  self.ending_count = self.ending_count + has - (had and 1 or 0)
  if deadline then
    self.queue:add(deadline, key)
    tidy(self)
  end
end

--- Gives a key this value; a deadline that it has stays.
function Keyspace:put(key, value)
  if not self.values[key] then self.count = self.count + 1 end
  self.values[key] = value
end

--- Gives a key this value and this deadline, or none.
function Keyspace:set(key, value, deadline)
  self:put(key, value)
  if deadline or self.ends[key] then self:expire(key, deadline) end
end

--- Removes a key: was it there?
function Keyspace:remove(key)
  if not self.values[key] then return false end
  if self.ends[key] then self:expire(key, nil) end
  self.values[key] = nil
  self.count = self.count - 1
  return true
end

--- Removes all keys.
function Keyspace:clear()
  self.values, self.ends = {}, {}
  self.count, self.ending_count = 0, 0
  self.queue = Deadlines.new()
end

--- It is so late now; what has ended is gone. Time never goes back.
function Keyspace:advance(now)
  if now > self.now then self.now = now end
  local first = self.queue:first()
  while first and first < self.now do
    local deadline, key = self.queue:take()
    if self.ends[key] == deadline then self:remove(key) end
    first = self.queue:first()
  end
end

------------------------------------------------------------------- snapshots --

--- Writes all of it, in pieces.
function Keyspace:save(write)
  local pieces, bytes = { HEAD:pack(FORMAT, self.now) }, 0
  for key, value in pairs(self.values) do
    local record = RECORD:pack(key, self.ends[key] or 0, value)
    pieces[#pieces + 1], bytes = record, bytes + #record
    if bytes >= PIECE_BYTES then
      write(table.concat(pieces))
      pieces, bytes = {}, 0
    end
  end
  write(table.concat(pieces))
end

-- Reads on until there are so many bytes from `at` on: the bytes, and the
-- place of `at` in them; nil when there are less.
local function have(bytes, at, size, read)
  if #bytes - at + 1 >= size then return bytes, at end
  local pieces, total = { bytes:sub(at) }, #bytes - at + 1
  while total < size do
    local piece = read()
    if not piece then return nil end
    pieces[#pieces + 1], total = piece, total + #piece
  end
  return table.concat(pieces), 1
end

local function cut_short()
  error("a snapshot of keys ends in the middle of one", 0)
end

-- One record at `at`, which is there at least in part: what `have` returns,
-- and key, deadline, value, and what is behind it.
local function record_at(bytes, at, read)
  local size = 4
  for _, after in ipairs { 12, 0 } do  -- of the key, of the value
    bytes, at = have(bytes, at, size, read)
    if not bytes then cut_short() end
    size = size + after + ("<I4"):unpack(bytes, at + size - 4)
  end
  bytes, at = have(bytes, at, size, read)
  if not bytes then cut_short() end
  return bytes, RECORD:unpack(bytes, at)
end

--- Takes over what `save` wrote.
function Keyspace:load(read)
  local bytes, at = have("", 1, HEAD:packsize(), read)
  if not bytes then cut_short() end
  local format, now
  format, now, at = HEAD:unpack(bytes, at)
  if format ~= FORMAT then
    error(("a snapshot of keys has format %d, not %d"):format(format, FORMAT),
      0)
  end
  self:clear()
  self.now = now
  local is_more = true
  while is_more do
    local more, from = have(bytes, at, 1, read)
    is_more = more ~= nil
    if more then
      local key, deadline, value
      bytes, key, deadline, value, at = record_at(more, from, read)
      self:set(key, value, deadline > 0 and deadline or nil)
    end
  end
end

return M
