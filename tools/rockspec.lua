--- Keeps the module list of the rockspec equal to the tree.
--
--   lua5.4 tools/rockspec.lua [--write]
--
-- luarocks wants every file named; without this check a new file would be
-- missed until somebody installs. --write rewrites the list.
local tree = require "tools.tree"

local M = {}

local ROCKSPEC <const> = "rockspec/raft-scm-1.rockspec"
local HEAD <const> = "    -- tools/rockspec.lua --write: from here\n"
local TAIL <const> = "    -- tools/rockspec.lua --write: to here\n"

local function module_of(path)
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", ".")
  return (name:gsub("%.init$", ""))
end

--- The module list for the tree at root, as it stands in the rockspec.
function M.list(root)
  local out = { '    ["raft.core"] = {\n      sources = {\n' }
  for _, path in ipairs(tree.list(root, "csrc", "%.c$")) do
    out[#out + 1] = ('        "%s",\n'):format(path)
  end
  out[#out + 1] = "      },\n    },\n"
  for _, path in ipairs(tree.list(root, "lua", "%.lua$")) do
    out[#out + 1] = ('    ["%s"] = "%s",\n'):format(module_of(path), path)
  end
  return table.concat(out)
end

--- The rockspec's text with its list replaced.
function M.with_list(text, list)
  local _, head = text:find(HEAD, 1, true)
  local tail = text:find(TAIL, 1, true)
  assert(head and tail and head < tail, ROCKSPEC .. ": the marks are gone")
  return text:sub(1, head) .. list .. text:sub(tail)
end

--- Complaints: none when the list is what the tree says.
function M.check(root)
  local text = tree.read(root, ROCKSPEC)
  if M.with_list(text, M.list(root)) == text then return {} end
  return { ROCKSPEC .. ": its modules are not those of the tree: "
    .. "lua5.4 tools/rockspec.lua --write" }
end

local function write(root)
  local text = M.with_list(tree.read(root, ROCKSPEC), M.list(root))
  local file = assert(io.open(root .. "/" .. ROCKSPEC, "wb"))
  assert(file:write(text))
  assert(file:close())
end

if tree.is_main("rockspec") then
  if arg[1] == "--write" then
    write(".")
  else
    tree.finish("rockspec", M.check(arg[1] or "."))
  end
end

return M
