--- Temporary directories for specs, removed with all that is in them.
--   local dir <close> = tmpdir.new()
--   dir.path, dir:join("n1", "wal")
local uv = require "luv"

local M = {}

local Tmpdir = { __name = "spec.tmpdir" }
Tmpdir.__index = Tmpdir

local function remove_tree(path)
  local scan = uv.fs_scandir(path)
  while scan do
    local name, kind = uv.fs_scandir_next(scan)
    if not name then break end
    local inner = path .. "/" .. name
    if kind == "directory" then
      uv.fs_chmod(inner, tonumber("700", 8))  -- a spec may have closed it
      remove_tree(inner)
    else
      assert(uv.fs_unlink(inner))
    end
  end
  assert(uv.fs_rmdir(path))
end

--- A new, empty directory.
function M.new()
  local parent = os.getenv("TMPDIR") or "/tmp"
  local path = assert(uv.fs_mkdtemp(parent .. "/raft-spec-XXXXXX"))
  return setmetatable({
    path = path,       -- absolute
    is_there = true,   -- false once removed
  }, Tmpdir)
end

--- A path inside.
function Tmpdir:join(...)
  return table.concat({ self.path, ... }, "/")
end

--- Writes a file inside; returns its path.
function Tmpdir:write(name, bytes)
  local path = self:join(name)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  return path
end

--- The bytes of a file inside.
function Tmpdir:read(name)
  local file <close> = assert(io.open(self:join(name), "rb"))
  return file:read("a")
end

--- Removes the directory and all in it; again: nothing.
function Tmpdir:remove()
  if not self.is_there then return end
  self.is_there = false
  uv.fs_chmod(self.path, tonumber("700", 8))
  remove_tree(self.path)
end

Tmpdir.__close = Tmpdir.remove

return M
