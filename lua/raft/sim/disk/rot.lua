--- What a drive does to a file by itself: pages that never arrive, or arrive
-- elsewhere, and bits that flip. See raft.sim.disk.file.
local File = require "raft.sim.disk.file"

local M = {}

local PAGE <const> = File.PAGE

-- One bit of a page, where it is dirty in the cache only.
local function flip(pages, page, at, bit)
  local bytes = pages[page] or string.rep("\0", PAGE)
  local byte = string.char(bytes:byte(at + 1) ~ 1 << bit)
  pages[page] = bytes:sub(1, at) .. byte .. bytes:sub(at + 2)
end

--- Flips a bit for good, on the disk and for processes.
function M.flip(file, offset, bit)
  flip(file.durable, offset // PAGE, offset % PAGE, bit)
  flip(file.cache, offset // PAGE, offset % PAGE, bit)
end

--- A sync that says it has succeeded, and a page of it went to another place.
-- @return the page where it should have gone, and where it went; nil: none was
--   dirty, or there is no other place
function M.misdirect(file, ticket, random)
  local pages = File.sorted(ticket.masks)
  local count = File.pages_of(file.size)
  if #pages == 0 or count < 2 then return file:settle(ticket) end
  local page = random:pick(pages)
  local other = random:below(count)
  if other == page then other = (page + 1) % count end
  file.durable[other] = ticket.pages[page]
  if not file.dirty[other] then file.cache[other] = ticket.pages[page] end
  file:lose({ size = ticket.size, pages = { [page] = ticket.pages[page] },
    masks = { [page] = ticket.masks[page] } })
  ticket.masks[page] = nil
  file:settle(ticket)
  return page, other
end

return M
