--- The names of snapshot files, and what a directory has of them.
local M = {}

local WHOLE <const> = "^snap%-(%x+)%-(%x+)%.snap$"
local UNFINISHED <const> = "^snap%-%x+%-%x+%.snap%.tmp$"
local INCOMING <const> = "^incoming%-(%x+)%-(%x+)%-%x+%-%x+%.snap$"

--- The path of a whole one.
function M.path(dir, meta)
  return ("%s/snap-%016x-%016x.snap"):format(dir, meta.index, meta.term)
end

--- The path of one that is being received: its name says which file it is a
-- part of, so that another start can go on with it.
function M.incoming(dir, meta)
  return ("%s/incoming-%016x-%016x-%x-%016x.snap"):format(dir, meta.index,
    meta.term, meta.size, meta.checksum)
end

local function newer(a, b)
  if a.index ~= b.index then return a.index > b.index end
  return a.term > b.term
end

local function sort_in(files, dir, name, pattern)
  local index, term = name:match(pattern)
  if not index or #index ~= 16 or #term ~= 16 then return end
  files[#files + 1] = { index = tonumber(index, 16), term = tonumber(term, 16),
    path = dir .. "/" .. name }
end

--- Sorts out the names of a directory.
-- @return whole and incoming = { { index=, term=, path= } }, newest first;
--   unfinished = paths
function M.list(entries, dir)
  local found = { whole = {}, unfinished = {}, incoming = {} }
  for _, name in ipairs(entries) do
    sort_in(found.whole, dir, name, WHOLE)
    sort_in(found.incoming, dir, name, INCOMING)
    if name:find(UNFINISHED) then
      table.insert(found.unfinished, dir .. "/" .. name)
    end
  end
  table.sort(found.whole, newer)
  table.sort(found.incoming, newer)
  return found
end

return M
