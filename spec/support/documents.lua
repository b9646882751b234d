--- Runs the Lua that documents show. The word behind "```lua" says how; what
-- stands behind "-->" is what is printed there.
--
--   script  what a user saves as a file and starts: on a node alone, without
--           the addresses and the directory that it names
--   node    a piece of one, where `raft`, `node` (which leads), `other` (which
--           does not) and `addresses` are there
--   sim     by itself
--   spec    for busted: with `my_service` at hand
local raft = require "raft"
local tree = require "tools.tree"

local M = {}

--- The Lua blocks of a document: lists of { kind ("" if none), text, line }.
function M.blocks(path)
  local blocks, block = {}, false
  for number, line in ipairs(tree.lines(tree.read(".", path))) do
    local kind = line:match("^```lua ?(%l*)$")
    if kind then
      block = { kind = kind, line = number, lines = {} }
    elseif line:find("^```") and block then
      block.text = table.concat(block.lines, "\n") .. "\n"
      blocks[#blocks + 1], block = block, false
    elseif block then
      block.lines[#block.lines + 1] = line
    end
  end
  return blocks
end

-- The lines that should be printed.
local function expected(block)
  local lines = {}
  for _, line in ipairs(block.lines) do
    lines[#lines + 1] = line:match("%-%-> (.*)$")
  end
  return lines
end

-- The module raft, as a script sees it that runs as one node.
local function alone(nodes)
  return setmetatable({
    node = function(options)
      options.dir, options.volatile, options.log = nil, true, false
      options.members = { [options.id] = "127.0.0.1:0" }
      options.election_timeout = { 10, 20 }
      nodes[#nodes + 1] = raft.node(options)
      return nodes[#nodes]
    end,
    run = function(fn) return fn() end,
  }, { __index = raft })
end

--- Runs a block; `names`: what it finds beside the globals.
-- @return what it printed, and what it should have: lists of lines
function M.run(block, path, names)
  local printed, nodes = {}, {}
  local modules = { raft = block.kind == "script" and alone(nodes) or nil,
    my_service = names.my_service }
  local env = setmetatable({
    arg = { [0] = "script.lua", "n1" },
    require = function(name) return modules[name] or require(name) end,
    print = function(...)
      local words = table.pack(...)
      for i = 1, words.n do words[i] = tostring(words[i]) end
      printed[#printed + 1] = table.concat(words, "\t")
    end,
  }, { __index = function(_, name)
    if names[name] ~= nil then return names[name] end
    return _G[name]
  end })
  local chunk = assert(load(("\n"):rep(block.line) .. block.text, "@" .. path,
    "t", env))
  local ok, why = xpcall(chunk, debug.traceback)
  for _, node in ipairs(nodes) do node:close() end
  if not ok then error(why, 0) end
  return printed, expected(block)
end

return M
