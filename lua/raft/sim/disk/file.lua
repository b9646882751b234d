--- The contents of one file of a simulated disk: what processes see, and what
-- the drive holds. Pages of zeros cost nothing.
--
--   cache     what reads and writes work on
--   durable   what is there after a power cut
--   dirty     which sectors were written and not synced since
--
-- A sync has two ends, because the world may stop between them: `ticket` takes
-- what is dirty when the sync begins, `settle` makes just that durable.

local M = {}

local PAGE <const> = 4096     -- bytes the cache is kept in
local SECTOR <const> = 512    -- bytes the drive writes as one
local SECTORS <const> = PAGE // SECTOR
local ALL <const> = (1 << SECTORS) - 1
local ZERO_PAGE <const> = string.rep("\0", PAGE)

M.PAGE, M.SECTOR, M.SECTORS = PAGE, SECTOR, SECTORS

local File = { __name = "raft.sim.disk.file" }
File.__index = File

--- @param number its inode
function M.new(number, mode)
  return setmetatable({
    kind = "file",
    number = number,
    mode = mode,
    links = 0,              -- names, as processes see them
    opens = 0,              -- descriptors
    size = 0,               -- bytes, as processes see them
    durable_size = 0,       -- bytes after a power cut
    cache = {},             -- page, from 0 -> PAGE bytes; nil: zeros
    durable = {},           -- the same
    dirty = {},             -- page -> mask of sectors
    changed_at = 0,         -- ns of the world
  }, File)
end

--- Pages that a file of this size takes up. Holes count too.
function M.pages_of(size)
  return (size + PAGE - 1) // PAGE
end

--- Numbers of a table's pages, ascending.
function M.sorted(pages)
  local list = {}
  for page in pairs(pages) do list[#list + 1] = page end
  table.sort(list)
  return list
end

------------------------------------------------------------------- contents --

-- Sectors of a page that [from, from + count) touches.
local function mask_of(from, count)
  local first, last = from // SECTOR, (from + count - 1) // SECTOR
  return ALL >> SECTORS - 1 - last & ALL << first
end

-- What is on the disk already, and in the cache, is not dirty.
local function put(self, page, bytes, mask)
  if bytes == ZERO_PAGE then bytes = nil end
  local dirty = self.dirty[page]
  if not dirty and bytes == self.durable[page]
    and bytes == self.cache[page] then
    return
  end
  self.cache[page] = bytes
  self.dirty[page] = (dirty or 0) | mask
end

-- Zeros where there are zeros: the common case, and quick.
local function put_zeros(self, first, last)
  for page = first, last do
    if self.cache[page] or self.durable[page] then
      put(self, page, ZERO_PAGE, ALL)
    end
  end
end

-- As raft.storage fills a segment.
local ZEROS <const> = string.rep("\0", 1 << 19)

local function is_zero(bytes)
  local size = #bytes
  if size > #ZEROS or bytes:byte(1) ~= 0 or bytes:byte(size) ~= 0 then
    return false
  end
  return bytes == (size == #ZEROS and ZEROS or ZEROS:sub(1, size))
end

local function put_piece(self, page, from, piece)
  local count = #piece
  if count < PAGE then
    local old = self.cache[page] or ZERO_PAGE
    piece = old:sub(1, from) .. piece .. old:sub(from + count + 1)
  end
  put(self, page, piece, mask_of(from, count))
end

--- Writes into the cache. The file grows as far as that takes.
function File:write(offset, bytes)
  local size = #bytes
  if size == 0 then return end
  if offset + size > self.size then self.size = offset + size end
  if offset % PAGE == 0 and size % PAGE == 0 and is_zero(bytes) then
    return put_zeros(self, offset // PAGE, (offset + size) // PAGE - 1)
  end
  local done = 0
  while done < size do
    local page, from = (offset + done) // PAGE, (offset + done) % PAGE
    local count = math.min(PAGE - from, size - done)
    put_piece(self, page, from, bytes:sub(done + 1, done + count))
    done = done + count
  end
end

--- Before a write: what undoes its end, from some page on, when the process
-- is killed in it. undo(random)
function File:before(offset, bytes)
  if #bytes == 0 then return false end
  local first, last = offset // PAGE, (offset + #bytes - 1) // PAGE
  local old = {}
  for page = first, last do old[page] = self.cache[page] end
  return function(random)
    for page = random:between(first, last + 1), last do
      put(self, page, old[page] or ZERO_PAGE, ALL)
    end
  end
end

-- Bytes [offset, offset + size) of pages.
local function bytes_of(pages, offset, size)
  if size <= 0 then return "" end
  local first, last = offset // PAGE, (offset + size - 1) // PAGE
  local from = offset - first * PAGE
  if first == last then
    return (pages[first] or ZERO_PAGE):sub(from + 1, from + size)
  end
  local list = {}
  for page = first, last do list[#list + 1] = pages[page] or ZERO_PAGE end
  local all = table.concat(list)
  if from == 0 and #all == size then return all end
  return all:sub(from + 1, from + size)
end

--- Up to `size` bytes, as a process sees them.
function File:read(offset, size)
  return bytes_of(self.cache, offset, math.min(size, self.size - offset))
end

-- Behind the end there is nothing, also after the file has grown again.
local function cut(pages, size)
  for page in pairs(pages) do
    if page * PAGE >= size then pages[page] = nil end
  end
  local page, from = size // PAGE, size % PAGE
  if pages[page] then
    local bytes = pages[page]:sub(1, from) .. string.rep("\0", PAGE - from)
    pages[page] = bytes ~= ZERO_PAGE and bytes or nil
  end
end

--- Makes it so long, in the cache.
function File:resize(size)
  if size < self.size then
    for page in pairs(self.durable) do
      if page * PAGE >= size then self.dirty[page] = ALL end
    end
    for page in pairs(self.cache) do
      if page * PAGE >= size then self.dirty[page] = ALL end
    end
    local page, from = size // PAGE, size % PAGE
    if from > 0 and (self.cache[page] or self.durable[page]) then
      self.dirty[page] = (self.dirty[page] or 0) | mask_of(from, PAGE - from)
    end
    cut(self.cache, size)
  end
  self.size = size
end

----------------------------------------------------------------- durability --

--- A page with the sectors of `mask` taken from another.
function M.mixed(old, new, mask)
  if mask == ALL then return new end
  old, new = old or ZERO_PAGE, new or ZERO_PAGE
  local list = {}
  for i = 0, SECTORS - 1 do
    local from = mask >> i & 1 == 1 and new or old
    list[#list + 1] = from:sub(i * SECTOR + 1, (i + 1) * SECTOR)
  end
  local bytes = table.concat(list)
  return bytes ~= ZERO_PAGE and bytes or nil
end

--- What a sync that begins now will make durable: pages [first, last], or all,
-- and the size.
function File:ticket(first, last)
  local ticket = { size = self.size, pages = {}, masks = {} }
  for page, mask in pairs(self.dirty) do
    if not first or page >= first and page <= last then
      ticket.pages[page] = self.cache[page] or ZERO_PAGE
      ticket.masks[page] = mask
    end
  end
  return ticket
end

-- It is clean, unless it was written again since.
local function clean(self, page, bytes)
  if (self.cache[page] or ZERO_PAGE) == bytes then self.dirty[page] = nil end
end

local function settle_page(self, page, bytes, mask)
  local new = bytes ~= ZERO_PAGE and bytes or nil
  self.durable[page] = M.mixed(self.durable[page], new, mask)
end

local function settle_size(self, size)
  if size < self.durable_size then cut(self.durable, size) end
  self.durable_size = size
end

--- The sync has come to its end.
function File:settle(ticket)
  settle_size(self, ticket.size)
  for page, mask in pairs(ticket.masks) do
    local bytes = ticket.pages[page]
    settle_page(self, page, bytes, mask)
    clean(self, page, bytes)
  end
end

--- The sync has failed: each sector is on the disk or not, all count as clean,
-- and reads tell what was written until the page is dropped.
function File:fail(ticket, random)
  if random:chance(0.5) then settle_size(self, ticket.size) end
  for _, page in ipairs(M.sorted(ticket.masks)) do
    local bytes = ticket.pages[page]
    if page * PAGE < self.durable_size then
      settle_page(self, page, bytes, ticket.masks[page] & random:bits())
    end
    clean(self, page, bytes)
    if not self.dirty[page] and random:chance(0.5) then
      self.cache[page] = self.durable[page]
    end
  end
end

--- The sync says that it has succeeded, and these pages never reached the disk.
function File:lose(ticket)
  settle_size(self, ticket.size)
  for page in pairs(ticket.masks) do clean(self, page, ticket.pages[page]) end
end

--- Drops clean pages, so that reads tell what the disk holds.
function File:forget()
  for _, pages in ipairs { self.durable, self.cache } do
    for page in pairs(pages) do
      local dirty = self.dirty[page] or 0
      self.cache[page] = M.mixed(self.durable[page], self.cache[page], dirty)
    end
  end
end

---------------------------------------------------------------- for a crash --

--- What a power cut would put at risk: calls size() and sector(page, i), both
-- in order. A sector that is the same before and after is not at risk.
function File:each_unsynced(size, sector)
  if self.size ~= self.durable_size then size() end
  for _, page in ipairs(M.sorted(self.dirty)) do
    local old, new = self.durable[page], self.cache[page]
    if old ~= new and page * PAGE < self.size then
      old, new = old or ZERO_PAGE, new or ZERO_PAGE
      for i = 0, SECTORS - 1 do
        local from, to = i * SECTOR + 1, (i + 1) * SECTOR
        if self.dirty[page] >> i & 1 == 1
          and old:sub(from, to) ~= new:sub(from, to) then
          sector(page, i)
        end
      end
    end
  end
end

--- Bytes of a sector that was written.
function File:sector(page, i)
  local bytes = self.cache[page] or ZERO_PAGE
  return bytes:sub(i * SECTOR + 1, (i + 1) * SECTOR)
end

M.cut, M.ZERO_PAGE = cut, ZERO_PAGE

return M
