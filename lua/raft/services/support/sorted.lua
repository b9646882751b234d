--- A list of items in order, as a plain value: it can be part of the state of a
-- service. Its items lie in chunks, so that one comes in or goes out among
-- 100,000 without moving more than some hundred.
--
--   { size = 5, chunks = { { "a", "b" }, { "c", "d", "e" } } }
--
-- What has an order is said with every call, by less(a, b): functions are no
-- plain values. It must be the same one for a list, for ever.
local M = {}

local CHUNK_MAX <const> = 128  -- items; one more and it is split in two

--- Pairs { number, number }: by the first, and where that is the same by the
-- second.
function M.pair_less(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  return a[2] < b[2]
end

function M.new()
  return { size = 0, chunks = {} }
end

-- The first place of `array` whose item is not less; one behind the end where
-- all are. `of` makes of what stands there what is compared.
local function lower(array, item, less, of)
  local low, high = 1, #array + 1
  while low < high do
    local middle = (low + high) // 2
    if less(of(array[middle]), item) then low = middle + 1
    else high = middle end
  end
  return low
end

local function itself(item) return item end
local function last_of(chunk) return chunk[#chunk] end

-- Where the item is, or would come: number of a chunk, place in it. Behind all
-- of them: a chunk that is not there.
local function place_of(list, item, less)
  local number = lower(list.chunks, item, less, last_of)
  local chunk = list.chunks[number]
  return number, chunk and lower(chunk, item, less, itself) or 1
end

local function split(chunks, number)
  local chunk, right = chunks[number], {}
  local half = #chunk // 2
  table.move(chunk, half + 1, #chunk, 1, right)
  for i = #chunk, half + 1, -1 do chunk[i] = nil end
  table.insert(chunks, number + 1, right)
end

--- Puts an item in, which must not be there yet.
function M.insert(list, item, less)
  local chunks = list.chunks
  local number, place = place_of(list, item, less)
  if not chunks[number] and number > 1 then  -- behind all others?
    number = number - 1
    place = #chunks[number] + 1
  end
  chunks[number] = chunks[number] or {}
  table.insert(chunks[number], place, item)
  if #chunks[number] > CHUNK_MAX then split(chunks, number) end
  list.size = list.size + 1
end

--- Takes an item out. Was it there?
function M.remove(list, item, less)
  local number, place = place_of(list, item, less)
  local chunk = list.chunks[number]
  if not chunk or less(item, chunk[place]) then return false end
  table.remove(chunk, place)
  if #chunk == 0 then table.remove(list.chunks, number) end
  list.size = list.size - 1
  return true
end

--- The first item, or nil.
function M.first(list)
  local chunk = list.chunks[1]
  return chunk and chunk[1]
end

-- An iterator over the items from this place on. The list must stay as it is.
local function walk(list, number, place)
  local chunks = list.chunks
  place = place - 1
  return function()
    place = place + 1
    if chunks[number] and place > #chunks[number] then
      number, place = number + 1, 1
    end
    return chunks[number] and chunks[number][place]
  end
end

--- for item in each(list) do: all of them, in order.
function M.each(list)
  return walk(list, 1, 1)
end

--- The same of those that are not less than this one.
function M.from(list, item, less)
  return walk(list, place_of(list, item, less))
end

return M
