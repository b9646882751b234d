--- The names on a simulated disk: directories, as processes see them and as
-- they are after a power cut.
--
-- Each change of names is one item, atomic, and at risk until a directory that
-- it touches is synced. Items of the same name or the same file keep their
-- order: what builds on a lost one is lost too.
local File = require "raft.sim.disk.file"
local Image = require "raft.sim.disk.image"

local M = {}

local NAME_MAX <const> = 255
local DIR_MODE <const> = tonumber("40755", 8)

local Tree = { __name = "raft.sim.disk.tree" }
Tree.__index = Tree

local function new_dir(number, mode)
  return {
    kind = "directory",
    number = number,
    mode = mode,
    links = 1,
    opens = 0,        -- descriptors
    names = {},       -- name -> node, as processes see it
    durable = {},     -- the same, after a power cut
    changed_at = 0,   -- ns of the world
  }
end

--- An empty tree: a root and nothing in it.
function M.new()
  return setmetatable({
    root = new_dir(1, DIR_MODE),
    numbers = 1,      -- inodes given so far
    changes = 0,      -- of names, so far
    pending = {},     -- of these, those at risk: { number=, sets=, what= }
  }, Tree)
end

--- A new file or directory that has no name yet.
function Tree:make(kind, mode)
  self.numbers = self.numbers + 1
  if kind == "directory" then return new_dir(self.numbers, mode) end
  return File.new(self.numbers, mode)
end

---------------------------------------------------------------------- paths --

-- Names on the way; "." and ".." are gone, there are no links to mislead.
local function split(path)
  local names = {}
  for name in path:gmatch("[^/]+") do
    if #name > NAME_MAX then return nil, "ENAMETOOLONG" end
    if name == ".." then
      names[#names] = nil
    elseif name ~= "." then
      names[#names + 1] = name
    end
  end
  return names
end

local function walk(self, names, count)
  local node = self.root
  for i = 1, count do
    if node.kind ~= "directory" then return nil, "ENOTDIR" end
    node = node.names[names[i]]
    if not node then return nil, "ENOENT" end
  end
  return node
end

--- The node at a path, or nil and the error's name. Paths that do not begin
-- with "/" do so too.
function Tree:find(path)
  if path == "" then return nil, "ENOENT" end
  local names, err = split(path)
  if not names then return nil, err end
  local node
  node, err = walk(self, names, #names)
  if not node then return nil, err end
  if path:sub(-1) == "/" and node.kind ~= "directory" then
    return nil, "ENOTDIR"
  end
  return node
end

--- Where a path's last name stands: its directory and the name, or nil and the
-- error's name. The name need not be there.
function Tree:place(path)
  if path == "" then return nil, "ENOENT" end
  local names, err = split(path)
  if not names then return nil, err end
  if #names == 0 then return nil, "EEXIST" end
  local dir
  dir, err = walk(self, names, #names - 1)
  if not dir then return nil, err end
  if dir.kind ~= "directory" then return nil, "ENOTDIR" end
  return dir, names[#names]
end

-------------------------------------------------------------------- changes --

local function apply(sets, view)
  for _, set in ipairs(sets) do set.dir[view][set.name] = set.node or nil end
end

--- Changes names, in one. Each set is { dir=, name=, node= or false }.
-- @param what in words
function Tree:change(what, sets)
  apply(sets, "names")
  self.changes = self.changes + 1
  self.pending[#self.pending + 1] = { number = self.changes, what = what,
    sets = sets }
end

local function touches(change, dirs)
  for _, set in ipairs(change.sets) do
    if dirs[set.dir] then return true end
  end
  return false
end

-- Which of the pending changes come with those of this directory: all before
-- them in directories that they touch.
local function chosen(self, dir, newest)
  local dirs, marked = { [dir] = true }, {}
  for i = #self.pending, 1, -1 do
    local change = self.pending[i]
    if change.number <= newest and touches(change, dirs) then
      marked[change] = true
      for _, set in ipairs(change.sets) do dirs[set.dir] = true end
    end
  end
  return marked
end

--- What a sync that begins now will make durable.
function Tree:ticket()
  return self.changes
end

--- The sync of a directory has come to its end.
function Tree:settle(dir, ticket)
  if #self.pending == 0 then return end
  local marked, rest = chosen(self, dir, ticket), {}
  for _, change in ipairs(self.pending) do
    if marked[change] then
      apply(change.sets, "durable")
    else
      rest[#rest + 1] = change
    end
  end
  self.pending = rest
end

--------------------------------------------------------------- for a crash --

-- Does it build on a lost change?
local function is_broken(change, broken)
  for _, set in ipairs(change.sets) do
    if broken[set.dir] and broken[set.dir][set.name] then return true end
  end
  return false
end

local function lose(change, broken)
  for _, set in ipairs(change.sets) do
    broken[set.dir] = broken[set.dir] or {}
    broken[set.dir][set.name] = true
  end
end

--- Which changes survive when those that `is_kept` names do, and what builds
-- on a lost one does not: change -> true.
-- @param is_kept change -> boolean
function Tree:survivors(is_kept)
  local kept, broken = {}, {}
  for _, change in ipairs(self.pending) do
    if is_kept(change) and not is_broken(change, broken) then
      kept[change] = true
    else
      lose(change, broken)
    end
  end
  return kept
end

--- All files that have a name, or will or may have one after a power cut; in
-- order of their numbers.
function Tree:files()
  local seen, list = {}, {}
  local function visit(node)
    if seen[node] then return end
    seen[node] = true
    if node.kind == "file" then
      list[#list + 1] = node
      return
    end
    for _, child in pairs(node.names) do visit(child) end
    for _, child in pairs(node.durable) do visit(child) end
  end
  visit(self.root)
  for _, change in ipairs(self.pending) do
    for _, set in ipairs(change.sets) do
      if set.node then visit(set.node) end
    end
  end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

-- Puts a node and all below it into an image.
local function put_image(nodes, node, names_of, is_seen)
  if nodes[node.number] then return end
  if node.kind == "file" then
    nodes[node.number] = Image.of(node, is_seen)
    return
  end
  local names = {}
  nodes[node.number] = { kind = "directory", number = node.number,
    mode = node.mode, names = names }
  for name, child in pairs(names_of(node)) do
    names[name] = child.number
    put_image(nodes, child, names_of, is_seen)
  end
end

-- Durable names, with these changes made too.
local function with_changes(self, kept)
  local views = {}
  local function names_of(dir)
    if not views[dir] then
      views[dir] = {}
      for name, node in pairs(dir.durable) do views[dir][name] = node end
    end
    return views[dir]
  end
  for _, change in ipairs(self.pending) do
    for _, set in ipairs(kept[change] and change.sets or {}) do
      names_of(set.dir)[set.name] = set.node or nil
    end
  end
  return names_of
end

--- The disk as plain data: what is durable, with these changes of names.
-- @param kept change -> true
function Tree:image(kept)
  local image = { numbers = self.numbers, nodes = {} }
  put_image(image.nodes, self.root, with_changes(self, kept), false)
  return image
end

--- The same of what processes see.
function Tree:seen()
  local image = { numbers = self.numbers, nodes = {} }
  put_image(image.nodes, self.root, function(dir) return dir.names end, true)
  return image
end

--- A tree as an image has it.
function M.from(image)
  local self, nodes = M.new(), {}
  self.numbers = image.numbers
  local function node_of(number)
    if nodes[number] then return nodes[number] end
    local from = image.nodes[number]
    if from.kind == "file" then
      nodes[number] = Image.from(from)
      return nodes[number]
    end
    local dir = new_dir(number, from.mode)
    nodes[number] = dir
    for name, child in pairs(from.names) do
      local node = node_of(child)
      if node.kind == "file" then node.links = node.links + 1 end
      dir.names[name], dir.durable[name] = node, node
    end
    return dir
  end
  self.root = node_of(1)
  return self
end

return M
