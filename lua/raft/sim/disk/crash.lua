--- What a power cut leaves of a simulated disk.
--
-- At risk is what was not synced: each sector, the size of each file, each
-- change of names. `items` lists them, `survivor` says what is there afterwards
-- when some of them are kept; `random` draws. Nothing here changes the disk.
local File = require "raft.sim.disk.file"
local Image = require "raft.sim.disk.image"

local M = {}

--- What is at risk: an array of { kind="name", change= },
-- { kind="size", file= } and { kind="sector", file=, page=, sector= }.
function M.items(tree)
  local list = {}
  for _, change in ipairs(tree.pending) do
    list[#list + 1] = { kind = "name", change = change }
  end
  for _, file in ipairs(tree:files()) do
    file:each_unsynced(function()
      list[#list + 1] = { kind = "size", file = file }
    end, function(page, sector)
      list[#list + 1] = { kind = "sector", file = file, page = page,
        sector = sector }
    end)
  end
  return list
end

--- What is there after a cut.
-- @param kept item's place -> true, or the bytes of a garbled sector
-- @return an image, for Disk:restore
function M.survivor(tree, items, kept)
  local is_kept = {}
  for i, item in ipairs(items) do
    if item.kind == "name" and kept[i] then is_kept[item.change] = true end
  end
  local image = tree:image(tree:survivors(function(change)
    return is_kept[change]
  end))
  for i, item in ipairs(items) do
    local node = item.file and image.nodes[item.file.number]
    if node and kept[i] and item.kind == "sector" then
      local bytes = kept[i] ~= true and kept[i]
        or item.file:sector(item.page, item.sector)
      Image.put_sector(node, item.page, item.sector, bytes)
    end
  end
  for i, item in ipairs(items) do
    local node = item.file and image.nodes[item.file.number]
    if node and item.kind == "size" then
      Image.put_size(node, kept[i] and item.file.size or node.size)
    end
  end
  return image
end

-- All, nothing, or something in between: each kind of cut comes often.
local function draw_rate(random)
  local kind = random:below(4)
  if kind == 0 then return 0 end
  if kind == 1 then return 1 end
  return random:real()
end

-- Changes of names: some, or the first few.
local function keep_names(items, random, kept)
  local rate, is_prefix = draw_rate(random), random:chance(0.5)
  for i, item in ipairs(items) do
    if item.kind ~= "name" then break end
    if random:chance(rate) then
      kept[i] = true
    elseif is_prefix then
      break
    end
  end
end

--- What one power cut keeps.
-- @param garbage how likely an unsynced sector is neither old nor new
-- @return kept, for `survivor`; how many sectors are garbled
function M.random(items, random, garbage)
  local kept, torn = {}, 0
  keep_names(items, random, kept)
  local rate = draw_rate(random)
  for i, item in ipairs(items) do
    if item.kind == "sector" and random:chance(garbage) then
      kept[i], torn = random:bytes(File.SECTOR), torn + 1
    elseif item.kind ~= "name" and random:chance(rate) then
      kept[i] = true
    end
  end
  return kept, torn
end

return M
