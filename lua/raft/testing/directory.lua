--- A temporary directory, and its end.
local M = {}

local REMOVALS_MAX <const> = 20  -- a write under way may bring a file back

--- A new, empty directory: its path.
function M.new(uv)
  local parent = assert(uv.os_tmpdir())
  return assert(uv.fs_mkdtemp(parent .. "/raft-testing-XXXXXX"))
end

local function remove_once(uv, path)
  local entries = uv.fs_scandir(path)
  while entries do
    local name, kind = uv.fs_scandir_next(entries)
    if not name then break end
    local below = path .. "/" .. name
    if kind == "directory" then
      remove_once(uv, below)
    else
      uv.fs_unlink(below)
    end
  end
  return uv.fs_rmdir(path)
end

--- Removes it with all that is in it: true, or nil and why not. One that is
-- gone already is removed.
function M.remove(uv, path)
  local ok, why, name
  for _ = 1, REMOVALS_MAX do
    ok, why, name = remove_once(uv, path)
    if ok or name == "ENOENT" then return true end
  end
  return nil, why
end

return M
