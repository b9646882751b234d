--- The calls of a simulated process that change or list names: like those of
-- raft.sim.files.calls.
local File = require "raft.sim.disk.file"
local calls = require "raft.sim.files.calls"

local M = {}

local DIRECTORY_MODE <const> = tonumber("40000", 8)
local LETTERS <const> =
  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

local function always() return true end
local function first(path) return path end

-- A file lost its last name: its room is free once nobody has it open.
local function unlink(disk, node)
  node.links = node.links - 1
  if node.links == 0 and node.opens == 0 then
    disk.used = disk.used - File.pages_of(node.size)
  end
end

local function mark(disk, dir) dir.changed_at = disk.world.now end

M.unlink = { kind = "name", parameters = { "string" }, path = first }

function M.unlink.begin(process, _, path)
  local disk = process.disk
  local node, err = disk.tree:find(path)
  if not node then return nil, err end
  if node.kind == "directory" then return nil, "EISDIR" end
  local dir, name = disk.tree:place(path)
  disk.tree:change("unlink " .. path, { { dir = dir, name = name,
    node = false } })
  unlink(disk, node)
  mark(disk, dir)
  return true
end

M.rename = { kind = "name", parameters = { "string", "string" },
  takes_room = always }

function M.rename.path(from, to) return from .. " -> " .. to end

-- May `node` take the place of `old`? Else the error's name.
local function clash(node, old)
  if not old then return nil end
  if old.kind == "directory" and node.kind ~= "directory" then
    return "EISDIR"
  elseif node.kind == "directory" and old.kind ~= "directory" then
    return "ENOTDIR"
  elseif old.kind == "directory" and next(old.names) then
    return "ENOTEMPTY"
  end
end

-- Would a directory come to lie in itself?
local function is_inside(to, from)
  from = from:gsub("/+", "/"):gsub("/$", "") .. "/"
  return to:gsub("/+", "/"):sub(1, #from) == from
end

function M.rename.begin(process, _, from, to)
  local disk, tree = process.disk, process.disk.tree
  local node, err = tree:find(from)
  if not node then return nil, err end
  local dir, name = tree:place(from)
  local to_dir, to_name = tree:place(to)
  if not to_dir then return nil, to_name end
  if node.kind == "directory" and is_inside(to, from) then
    return nil, "EINVAL"
  end
  local old = to_dir.names[to_name]
  if old == node then return true end
  err = clash(node, old)
  if err then return nil, err end
  tree:change(("rename %s %s"):format(from, to), {
    { dir = dir, name = name, node = false },
    { dir = to_dir, name = to_name, node = node },
  })
  if old and old.kind == "file" then unlink(disk, old) end
  mark(disk, dir)
  mark(disk, to_dir)
  return true
end

M.mkdir = { kind = "name", parameters = { "string", "number" }, path = first,
  takes_room = always }

function M.mkdir.begin(process, _, path, mode)
  local disk, tree = process.disk, process.disk.tree
  local dir, name = tree:place(path)
  if not dir then return nil, name end
  if dir.names[name] then return nil, "EEXIST" end
  local node = tree:make("directory", DIRECTORY_MODE | mode)
  tree:change("mkdir " .. path, { { dir = dir, name = name, node = node } })
  mark(disk, dir)
  return true
end

M.mkdtemp = { kind = "name", parameters = { "string" }, takes_room = always }

function M.mkdtemp.path(template) return template end

function M.mkdtemp.gone(_, _, template) return template end

function M.mkdtemp.begin(process, op, template)
  if template:sub(-6) ~= "XXXXXX" then return nil, "EINVAL" end
  local letters = {}
  for i = 1, 6 do
    local at = process.loop.random:between(1, #LETTERS)
    letters[i] = LETTERS:sub(at, at)
  end
  local path = template:sub(1, -7) .. table.concat(letters)
  op.error_path = path
  local ok, err = M.mkdir.begin(process, op, path, tonumber("700", 8))
  return ok and path, err
end

M.rmdir = { kind = "name", parameters = { "string" }, path = first }

function M.rmdir.begin(process, _, path)
  local disk, tree = process.disk, process.disk.tree
  local node, err = tree:find(path)
  if not node then return nil, err end
  if node.kind ~= "directory" then return nil, "ENOTDIR" end
  if next(node.names) then return nil, "ENOTEMPTY" end
  local dir, name = tree:place(path)
  if not dir then return nil, "EBUSY" end
  tree:change("rmdir " .. path, { { dir = dir, name = name, node = false } })
  mark(disk, dir)
  return true
end

--------------------------------------------------------------------- listing --

local Scan = { __name = "uv_fs", __tostring = function() return "uv_fs_t" end }

M.scandir = { kind = "name", parameters = { "string" }, path = first }

local function scan_of(dir)
  local list = {}
  for name, node in pairs(dir.names) do
    list[#list + 1] = { name = name, type = node.kind }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return setmetatable({ list = list, at = 0 }, Scan)
end

function M.scandir.gone() return scan_of { names = {} } end

function M.scandir.begin(process, _, path)
  local node, err = process.disk.tree:find(path)
  if not node then return nil, err end
  if node.kind ~= "directory" then return nil, "ENOTDIR" end
  return scan_of(node)
end

--- The next name of a listing and what it is; nothing at its end.
function M.scandir_next(scan)
  if getmetatable(scan) ~= Scan then
    error(("bad argument #1 to 'luv.fs_scandir_next' "
      .. "(uv_req expected, got %s)"):format(type(scan)), 0)
  end
  scan.at = scan.at + 1
  local item = scan.list[scan.at]
  if item then return item.name, item.type end
end

--- All calls, these and the others: name -> call.
function M.all()
  local all = {}
  for name, call in pairs(calls) do all[name] = call end
  for name, call in pairs(M) do
    if type(call) == "table" then all[name] = call end
  end
  return all
end

return M
