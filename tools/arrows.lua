--- Who may know whom: reads #include and require lines, and complains of
-- every arrow that docs/ARCHITECTURE.md does not draw.
--
--   lua5.4 tools/arrows.lua [ROOT]
--
-- The arrows that may be are in tools/house.lua.
local house = require "tools.house"
local scan = require "tools.scan"
local tree = require "tools.tree"

local M = {}

--------------------------------------------------------------------- the C --

-- How exactly `pattern` names the file: 2 by name, 1 as a kind of, 0 not.
local function fits(pattern, path, name)
  if pattern:find("*", 1, true) then
    local lua_pattern = "^" .. pattern:gsub("%*", ".*") .. "$"
    return (path:find(lua_pattern) or name:find(lua_pattern)) and 1 or 0
  end
  local stem = name:match("^(.*)%.[ch]$")
  if name == pattern or stem == pattern then return 2 end
  local is_part = stem and stem:sub(1, #pattern + 1) == pattern .. "_"
  return is_part and 1 or 0
end

-- The room of a C file: an exact name wins over a wildcard.
local function room_of(path)
  local name, best, score = path:match("[^/]+$"), nil, 0
  if path:find("^spec/") then name = path end
  for _, room in ipairs(house.rooms) do
    for _, pattern in ipairs(room.files) do
      local s = fits(pattern, path, name)
      if s > score then best, score = room, s end
    end
  end
  return best
end

local function knows(room, other)
  if room == other then return true end
  for _, name in ipairs(room.knows) do
    if name == other.name then return true end
  end
  return false
end

-- Why `room` may not include the system header, or nil when it may.
local function system_fault(room, name, header)
  if house.lua_headers[header] then
    return not room.lua and "only csrc/lua_*.c knows Lua" or nil
  elseif room.system == "any" or house.core_headers[header]
    or house.system_guests[name] then
    return nil
  end
  return "the core includes no system header but assert, stdbool, stddef, "
    .. "stdint and string"
end

-- Why the file may not include the header of ours, or nil when it may.
-- What a noun's own files share (log_inner.h) stays among them.
local function own_fault(room, name, header, places)
  local path = places[header:match("[^/]+$")]
  if not path then return "there is no such header in csrc or spec/c" end
  local noun = path:match("([^/]+)_inner%.h$")
  if noun and name:match("^%a+") ~= noun then
    return "only the files of " .. noun .. " do"
  end
  local other = room_of(path)
  if not other or knows(room, other) then return nil end
  return ("%s does not know %s"):format(room.name, other.name)
end

local function check_c_file(root, path, places, say)
  local room = room_of(path)
  if not room then
    say(path, 1, "stands in no room of tools/house.lua: give it one")
    return
  end
  local text = scan.code(tree.read(root, path), "c", true)
  for number, line in ipairs(tree.lines(text)) do
    local mark, header = line:match("^%s*#%s*include%s*([<\"])([^>\"]+)")
    if header then
      local is_system = mark == "<" and not places[header]
      local fault
      if is_system or house.lua_headers[header] then
        fault = system_fault(room, path:match("[^/]+$"), header)
      else
        fault = own_fault(room, path:match("[^/]+$"), header, places)
      end
      if fault then
        say(path, number, "includes " .. header .. ": " .. fault)
      end
    end
  end
end

local function check_c(root, say)
  local files = tree.list(root, "csrc", "%.[ch]$")
  for _, dir in ipairs { "spec/c", "spec/fuzz" } do
    for _, path in ipairs(tree.list(root, dir, "%.[ch]$")) do
      files[#files + 1] = path
    end
  end
  local places = {}  -- header's last name -> path
  for _, path in ipairs(files) do places[path:match("[^/]+$")] = path end
  for _, path in ipairs(files) do check_c_file(root, path, places, say) end
end

-------------------------------------------------------------------- the Lua --

local function matches(pattern, module)
  if pattern:sub(-1) ~= "*" then return pattern == module end
  local stem = pattern:sub(1, -2)
  if stem:sub(-1) == "." then return module:sub(1, #stem) == stem end
  -- raft.node* is raft.node, raft.node_x, raft.node.x
  return module:sub(1, #stem) == stem
end

local function any(patterns, module)
  for _, pattern in ipairs(patterns) do
    if matches(pattern, module) then return true end
  end
  return false
end

local function floor_of(module)
  for _, floor in ipairs(house.floors) do
    if any(floor, module) then return floor end
  end
end

local function may_require(floor, module)
  for _, pattern in ipairs(floor.may) do
    local is_kept_back = pattern == house.base and any(house.never, module)
    if matches(pattern, module) and not is_kept_back then return true end
  end
  return false
end

-- The module name of a file: lua/raft/init.lua is "raft".
local function module_of(path)
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", ".")
  return (name:gsub("%.init$", ""))
end

-- Examples may be in several files: a bare name may mean a neighbour.
local function neighbour(root, path, module)
  local folder = path:match("^(examples/[^/]+/)")
  if not folder then return false end
  local last = module:match("[^.]+$")
  for _, other in ipairs(tree.list(root, folder, "%.lua$")) do
    if other:match("([^/]+)%.lua$") == last then return true end
  end
  return false
end

local function check_requires(root, path, module, floor, say, arrows)
  local text = scan.code(tree.read(root, path), "lua", true)
  for number, line in ipairs(tree.lines(text)) do
    for wanted in line:gmatch("%f[%w_]require%s*%(?%s*[\"']([^\"']+)") do
      arrows[#arrows + 1] = wanted
      if not may_require(floor, wanted)
        and not neighbour(root, path, wanted) then
        say(path, number, module .. " may not require " .. wanted)
      end
    end
  end
end

-- Asking uv to do something is what counts; handing it on is not.
local function check_uv(root, path, say)
  local text = scan.code(tree.read(root, path), "lua")
  for number, line in ipairs(tree.lines(text)) do
    if line:find("%f[%w_]uv%s*[.:]%s*[%a_]") then
      say(path, number, "uses uv: only storage, transport, clock and task do")
    end
  end
end

-- Complains of each module from which an arrow leads back to itself.
local function check_cycles(graph, say)
  local state = {}  -- path -> "open" while below it, "done" after
  local function visit(module)
    state[module] = "open"
    for _, wanted in ipairs(graph[module].arrows) do
      if graph[wanted] and state[wanted] == "open" then
        say(graph[module].path, 1, "requires " .. wanted
          .. ", which requires it in turn")
      elseif graph[wanted] and not state[wanted] then
        visit(wanted)
      end
    end
    state[module] = "done"
  end
  for _, node in ipairs(graph) do
    if not state[node.module] then visit(node.module) end
  end
end

local function check_lua(root, say)
  local files = tree.list(root, "lua", "%.lua$")
  for _, path in ipairs(tree.list(root, "examples", "%.lua$")) do
    files[#files + 1] = path
  end
  local graph = {}  -- in order, and by module name
  for _, path in ipairs(files) do
    local module, arrows = module_of(path), {}
    local floor = floor_of(module)
    if floor then
      check_requires(root, path, module, floor, say, arrows)
      if not floor.uv then check_uv(root, path, say) end
    else
      say(path, 1, "stands on no floor of tools/house.lua: give it one")
    end
    local node = { module = module, path = path, arrows = arrows }
    graph[#graph + 1], graph[module] = node, node
  end
  check_cycles(graph, say)
end

--- All complaints about the tree at root, as "path:line: words".
function M.check(root)
  local complaints = {}
  local function say(path, line, words)
    complaints[#complaints + 1] = ("%s:%d: %s"):format(path, line, words)
  end
  check_c(root, say)
  check_lua(root, say)
  return complaints
end

if tree.is_main("arrows") then
  tree.finish("arrows", M.check(arg[1] or "."))
end

return M
