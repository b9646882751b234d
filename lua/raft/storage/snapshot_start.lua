--- What a start finds of snapshots: which one counts, and what goes.
local errors = require "raft.errors"
local names = require "raft.storage.snapshot_names"
local snapfile = require "raft.storage.snapfile"

local M = {}

local function fits(recovered, file)
  return recovered:term_at(file.index) == file.term
end

-- A file that says of itself what its name says: info, or nil and an error.
local function sound(files, file)
  local info, err = snapfile.verify(files, file.path)
  if not info then return nil, err end
  if info.index == file.index and info.term == file.term then return info end
  return nil, errors.new("corrupt", ("%s holds the snapshot of entry %d of "
    .. "term %d"):format(file.path, info.index, info.term),
    { file = file.path, offset = 0 })
end

-- The newest that is sound and that the log fits, or false; and the error of
-- the newest that is damaged.
local function choose(files, found, recovered)
  local damage = false
  for _, file in ipairs(found) do
    if fits(recovered, file) then
      local info, err = sound(files, file)
      if info then return info, damage end
      if err.code ~= "corrupt" then error(err, 0) end
      damage = damage or err
    end
  end
  return false, damage
end

local function refuse_without(dir, base, damage)
  local why = damage and damage.message
    or "no snapshot in " .. dir .. " fits the log"
  error(errors.new("corrupt", ("%s; entries up to %d are in no log any more")
    :format(why, base), { file = damage and damage.file or dir,
    offset = damage and damage.offset or 0 }), 0)
end

-- Removes all but what counts, and a part of a newer one: that, or false.
local function clear(files, found, info)
  for _, file in ipairs(found.whole) do
    if not info or file.path ~= info.path then files:remove(file.path) end
  end
  for _, path in ipairs(found.unfinished) do files:remove(path) end
  local part = found.incoming[1] or false  -- the newest may be of use yet
  if part and info and part.index <= info.index then part = false end
  for _, file in ipairs(found.incoming) do
    if file ~= part then files:remove(file.path) end
  end
  return part
end

--- Looks at the files, and removes those of no use. Raises error values.
-- @param recovered what the log holds
-- @return the info of the one that counts, or false; and a part of another one
--   that is there, { index=, path= }, or false
function M.recover(files, dir, recovered, logger)
  local base, _, lost = recovered:bounds()
  local found = names.list(files:list(dir), dir)
  local info, damage = choose(files, found.whole, recovered)
  if not info and base > 0 then refuse_without(dir, base, damage) end
  if damage and logger then
    logger:warn("a snapshot is damaged, the log has what it held",
      { why = damage.message })
  end
  -- A log with a hole may not reach what a sound file covers.
  local part = lost == 0 and clear(files, found, info)
  return info, part
end

return M
