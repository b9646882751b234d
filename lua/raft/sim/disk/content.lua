--- What is on a simulated disk, for those who look at it and damage it from
-- outside: the methods of a disk that no process calls. See raft.sim.disk.
local Tree = require "raft.sim.disk.tree"
local file = require "raft.sim.disk.file"
local rot = require "raft.sim.disk.rot"

local M = {}

local Disk = {}  -- these methods

-- Everything is as the image has it, and durable.
function Disk:become(image)
  self.tree = Tree.from(image)
  self.used = 0
  for _, node in ipairs(self.tree:files()) do
    self.used = self.used + file.pages_of(node.size)
  end
end

--- What would be there after a power cut that keeps nothing unsynced.
function Disk:image()
  return self.tree:image({})
end

--- What processes see, as an image.
function Disk:seen()
  return self.tree:seen()
end

--- Makes it what it was. Nobody may have it open.
function Disk:restore(image)
  self:reap()
  assert(#self.processes == 0, "the disk is in use")
  self:become(image)
end

--- Makes it empty.
function Disk:wipe()
  self:reap()
  assert(#self.processes == 0, "the disk is in use")
  self.tree = Tree.new()
  self.used = 0
  self:add_tmp()
end

--- Makes /tmp, durably.
function Disk:add_tmp()
  local tree = self.tree
  local tmp = tree:make("directory", tonumber("41777", 8))
  tree:change("mkdir", { { dir = tree.root, name = "tmp", node = tmp } })
  tree:settle(tree.root, tree:ticket())
end

--- Another disk gets what processes see of this one.
function Disk:copy_to(other)
  other:restore(self:seen())
end

--- All files: an array of { path=, size= }, sorted.
function Disk:list()
  local list = {}
  local function visit(dir, path)
    for name, node in pairs(dir.names) do
      local inner = path .. "/" .. name
      if node.kind == "directory" then
        visit(node, inner)
      else
        list[#list + 1] = { path = inner, size = node.size }
      end
    end
  end
  visit(self.tree.root, "")
  table.sort(list, function(a, b) return a.path < b.path end)
  return list
end

local function file_at(self, path)
  local node, err = self.tree:find(path)
  if not node then error(("%s: %s"):format(path, err), 3) end
  assert(node.kind == "file", "not a file")
  return node
end

--- The bytes of a file, as processes see them.
function Disk:read(path)
  local node = file_at(self, path)
  return node:read(0, node.size)
end

---------------------------------------------------------------------- damage --

--- Flips a bit of a file for good; bytes count from 0, bits from 0 to 7.
function Disk:flip(path, byte, bit)
  local node = file_at(self, path)
  assert(byte >= 0 and byte < node.size, "behind the end of the file")
  rot.flip(node, byte, bit)
end

--- Cuts a file, for good.
function Disk:truncate(path, size)
  local node = file_at(self, path)
  self.used = self.used - file.pages_of(node.size) + file.pages_of(size)
  node:resize(size)
  node:settle(node:ticket())
end

--- Removes a file, for good.
function Disk:remove(path)
  local node = file_at(self, path)
  local dir, name = self.tree:place(path)
  self.tree:change("remove", { { dir = dir, name = name, node = false } })
  self.tree:settle(dir, self.tree:ticket())
  node.links = node.links - 1
  if node.opens == 0 then self.used = self.used - file.pages_of(node.size) end
end

--- Gives a class these methods.
function M.add_to(class)
  for name, method in pairs(Disk) do class[name] = method end
end

return M
