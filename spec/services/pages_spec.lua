-- The pages of the batteries show what runs, and name all there is.
local raft = require "raft"
local service = require "raft.service"

local PAGES <const> = { "counter", "map", "queue", "config" }
local MARK <const> = "--> "

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function page_of(name) return read("docs/services/" .. name .. ".md") end

local function blocks_of(text)
  local blocks = {}
  for block in text:gmatch("```lua\n(.-)```") do
    blocks[#blocks + 1] = block
  end
  return blocks
end

-- A node with the service of this block, and what the block defines.
local function started(block, name)
  local made, module = assert(load(block .. "return service, " .. name))()
  assert.is_true(service.is_service(made))
  local node = raft.node { id = "n1", volatile = true, log = false,
    members = { n1 = "127.0.0.1:0" }, election_timeout = { 10, 20 },
    service = made }
  assert(node:start())
  assert(node:ready())
  return node, module, made
end

-- What the block prints, and what it says that it does, line by line.
local function run(block, node)
  local printed, said = {}, {}
  local globals = setmetatable({ node = node, print = function(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    printed[#printed + 1] = table.concat(words, " ")
  end }, { __index = _G })
  assert(load(block, "=page", "t", globals))()
  for line in block:gmatch("[^\n]+") do
    local _, at = line:find(MARK, 1, true)
    if at then said[#said + 1] = line:sub(at + 1) end
  end
  return printed, said
end

describe("pages of the batteries #house", function()
  for _, name in ipairs(PAGES) do
    it(name .. " shows what runs", function()
      local blocks = blocks_of(page_of(name))
      local node <close> = started(blocks[1], name)
      local printed, said = run(blocks[2], node)
      assert.is_true(#said > 5)
      assert.same(said, printed)
      for _, block in ipairs(blocks) do assert.is_truthy(load(block)) end
    end)

    it(name .. " names every command, query, option and helper", function()
      local text = page_of(name)
      local node <close>, module, made = started(blocks_of(text)[1], name)
      assert(node)
      for _, group in ipairs { made.command_names, made.query_names } do
        for _, call in ipairs(group) do
          assert.is_truthy(text:find("\n| `" .. call .. "(", 1, true), call)
        end
      end
      for helper in pairs(module) do
        assert.is_truthy(text:find(name .. "." .. helper .. "(", 1, true),
          helper)
      end
      local _, why = pcall(module, { xyzzyx = 1 })
      for option in why:match("known are ([^\n]*)"):gmatch("[%l_]+") do
        assert.is_truthy(text:find("`" .. option .. "`", 1, true)
          or text:find("`" .. option .. "(", 1, true), option)
      end
    end)

    it(name .. " names no call that is not there", function()
      local text = page_of(name)
      local node <close>, _, made = started(blocks_of(text)[1], name)
      assert(node)
      local known = { check = true }  -- a function among the options
      for _, group in ipairs { made.command_names, made.query_names } do
        for _, call in ipairs(group) do known[call] = true end
      end
      for call in text:gmatch("\n| `([%l_]+)%(") do
        assert.is_true(known[call], call)
      end
    end)

    it(name .. " is annotated: calls, options and helpers", function()
      local path = "lua/raft/annotations/" .. name .. ".lua"
      local annotated, text = assert(loadfile(path))(), read(path)
      local node <close>, module, made = started(blocks_of(page_of(name))[1],
        name)
      assert(node)
      local count = 0
      for _, group in ipairs { made.command_names, made.query_names } do
        for _, call in ipairs(group) do
          assert.is_truthy(text:find("\nfunction Proxy." .. call .. "(", 1,
            true), call)
          count = count + 1
        end
      end
      assert.equal(count, select(2, text:gsub("\nfunction Proxy%.", "")))
      for helper in pairs(module) do
        assert.is_function(annotated[helper], helper)
      end
      local _, why = pcall(module, { xyzzyx = 1 })
      for option in why:match("known are ([^\n]*)"):gmatch("[%l_]+") do
        assert.is_truthy(text:find("---@field " .. option .. " ", 1, true),
          option)
      end
    end)

    it(name .. " points at files that exist", function()
      for target in page_of(name):gmatch("%]%(([%w_./-]+)") do
        local path = "docs/services/" .. target
        assert.is_truthy(os.rename(path, path), path)
      end
    end)
  end
end)
