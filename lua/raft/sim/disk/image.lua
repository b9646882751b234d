--- Files as plain data: a size and pages, all of it durable. What a power cut
-- leaves is put together here. See raft.sim.disk.file.
local File = require "raft.sim.disk.file"

local M = {}

local SECTOR <const> = File.SECTOR
local ZERO_PAGE <const> = File.ZERO_PAGE

-- Pages are strings, so a copy of the table is a copy of all.
local function copy(pages)
  local out = {}
  for page, bytes in pairs(pages) do out[page] = bytes end
  return out
end

--- What is durable of a file (or what processes see).
function M.of(file, is_seen)
  return {
    kind = "file",
    number = file.number,
    mode = file.mode,
    size = is_seen and file.size or file.durable_size,
    pages = copy(is_seen and file.cache or file.durable),
  }
end

--- Puts a sector into an image.
function M.put_sector(image, page, i, bytes)
  local old = image.pages[page] or ZERO_PAGE
  local new = old:sub(1, i * SECTOR) .. bytes .. old:sub((i + 1) * SECTOR + 1)
  image.pages[page] = new ~= ZERO_PAGE and new or nil
end

--- Cuts or lengthens an image. What lies behind its end is gone.
function M.put_size(image, size)
  image.size = size
  File.cut(image.pages, size)
end

--- A file as an image has it: all of it durable.
function M.from(image)
  local file = File.new(image.number, image.mode)
  file.size, file.durable_size = image.size, image.size
  file.cache, file.durable = copy(image.pages), copy(image.pages)
  return file
end

return M
