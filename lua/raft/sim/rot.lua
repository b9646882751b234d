--- A bit that flips in the middle of a member's log: in a batch that others
-- follow, so that the damage can be told from a torn write, and behind that of
-- the first entry, which says who the members are.
local raft_core = require "raft.core"

local M = {}

local SECTOR <const> = raft_core.WAL_SECTOR
local HEAD_BYTES <const> = 88  -- of a batch
local LAST_AT <const> = 64     -- where it says which entry was the newest
local FOLLOWED_BY <const> = 2  -- batches: the newest may be half written

local function segments_of(disk)
  local paths = {}
  for _, file in ipairs(disk:list()) do
    if file.path:find("/wal%-%x+%.log$") then paths[#paths + 1] = file.path end
  end
  table.sort(paths)
  return paths
end

-- Where batches begin that come after an entry: { path=, offset= }, oldest
-- first.
local function batches_of(disk)
  local batches, newest = {}, 0
  for _, path in ipairs(segments_of(disk)) do
    local bytes = disk:read(path)
    for offset = SECTOR, #bytes - 1, SECTOR do
      if bytes:sub(offset + 1, offset + 4) == "rbat" then
        if newest > 0 then
          batches[#batches + 1] = { path = path, offset = offset }
        end
        newest = ("<I8"):unpack(bytes, offset + LAST_AT + 1)
      end
    end
  end
  return batches
end

--- Flips it: the file and the byte; nil where there is no such batch.
function M.strike(disk, random)
  local batches = batches_of(disk)
  local last = #batches - FOLLOWED_BY
  if last < 1 then return nil end
  local batch = batches[random:between(1, last)]
  local byte = batch.offset + random:below(HEAD_BYTES)
  disk:flip(batch.path, byte, random:below(8))
  return batch.path, byte
end

return M
