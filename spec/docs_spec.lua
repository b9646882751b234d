-- What the documents show is what runs.

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

-- The Lua blocks of a document.
local function blocks_of(path)
  local blocks = {}
  for block in read(path):gmatch("```lua\n(.-)```") do
    blocks[#blocks + 1] = block
  end
  return blocks
end

local DOCUMENTS <const> = { "README.md", "docs/API.md",
  "docs/SIMULATION.md", "docs/OPERATIONS.md", "docs/SERVICES.md" }

describe("documents #house", function()
  it("README shows the script of examples/01_counter, which CI runs", function()
    local script = read("examples/01_counter/counter.lua")
    local first = blocks_of("README.md")[1]
    assert.is_true(script:sub(-#first) == first)
  end)

  it("README has less than 150 lines", function()
    local _, lines = read("README.md"):gsub("\n", "")
    assert.is_true(lines < 150)
  end)

  for _, path in ipairs(DOCUMENTS) do
    it(path .. " shows Lua that compiles", function()
      local blocks = blocks_of(path)
      assert.is_true(#blocks > 0)
      for _, block in ipairs(blocks) do
        assert.is_truthy(load((block:gsub("%f[.]%.%.%.%f[^.]", ""))))
      end
    end)

    it(path .. " points at files that exist", function()
      for target in read(path):gmatch("%]%(([%w_./-]+)%)") do
        local base = path:match("^(.*/)") or ""
        local name = base .. target
        assert.is_truthy(os.rename(name, name), name)
      end
    end)
  end

  it("docs/SERVICES.md shows a service that works", function()
    local raft = require "raft"
    local block = blocks_of("docs/SERVICES.md")[1]
    local accounts = assert(load(block .. " return accounts", "=accounts", "t",
      setmetatable({ raft = raft }, { __index = _G })))()
    local node <close> = raft.node { id = "n1", volatile = true, log = false,
      members = { n1 = "127.0.0.1:0" }, election_timeout = { 10, 20 },
      service = accounts }
    local heard
    node.accounts.on("deposited", function(...) heard = { ... } end)
    assert(node:start())
    assert(node:ready())
    assert.equal(5, node.accounts.deposit("ann", 5))
    assert.equal(3, node.accounts.withdraw("ann", 2))
    local _, err = node.accounts.withdraw("ann", 4)
    assert.equal("refused: not enough", tostring(err))
    assert.equal(3, node.accounts.balance("ann"))
    assert.same({ "ann", 5 }, { heard[2], heard[3] })
  end)

  it("docs/API.md names every error code", function()
    local text = read("docs/API.md")
    for _, code in ipairs(require("raft.errors").codes()) do
      assert.is_truthy(text:find("%f[%w_]" .. code .. "%f[^%w_]"), code)
    end
  end)

  it("docs/API.md names every event", function()
    local text = read("docs/API.md")
    for _, event in ipairs(require("raft.options").EVENTS) do
      assert.is_truthy(text:find("%f[%w]" .. event .. "%f[^%w]"), event)
    end
  end)
end)

-- What the code knows and what docs/API.md says of it, both ways. Names come
-- from the library's own words: an unknown name is answered with those known.
describe("docs/API.md #house", function()
  local raft = require "raft"
  local text = read("docs/API.md")

  local function names_in(words)
    local names, set = {}, {}
    for name in words:gmatch("[%l_]+") do
      names[#names + 1], set[name] = name, true
    end
    return names, set
  end

  local function is_said(name)
    return text:find("%f[%w_]" .. name .. "%f[^%w_]") ~= nil
  end

  -- The names in the first column of the table whose head is this.
  local function column(head)
    local from = assert(text:find("\n| " .. head .. " |", 1, true), head)
    local names = {}
    for line in text:sub(from + 1):gmatch("([^\n]*)\n") do
      if not line:find("^|") then break end
      local cell = line:match("^| (.-) |")
      for quoted in (cell or ""):gmatch("`([^`]*)`") do
        names[#names + 1] = quoted:match("^[%w_:.]+")
      end
    end
    assert.is_true(#names > 15)
    return names
  end

  local function new_node(options)
    options.id, options.volatile = "n1", true
    options.members, options.log = { n1 = "127.0.0.1:0" }, false
    options.apply = function() end
    return raft.node(options)
  end

  it("has every option of raft.node, and none that is not there", function()
    local _, why = pcall(new_node, { xyzzyx = 1 })
    local names, known = names_in(why:match("known are ([^\n]*)"))
    local later = { tls = true, http = true, host = true }  -- host is for tests
    local said = {}
    for _, name in ipairs(column("option")) do
      assert.is_true(known[name], "no such option: " .. name)
      said[name] = true
    end
    for _, name in ipairs(names) do
      assert.is_true(said[name] or later[name], "not said: " .. name)
    end
    assert.is_true(#names > 20)
  end)

  it("has every call of a node, and none that is not there", function()
    local node = new_node {}
    local methods = getmetatable(getmetatable(node).__index).__index
    local ours = { defer = true, report = true, fail = true }  -- inside
    local said = {}
    for _, name in ipairs(column("call")) do
      name = name:match("^node:(.+)$") or name
      assert.is_function(methods[name], "no such call: " .. name)
      said[name] = true
    end
    for name in pairs(methods) do
      assert.is_true(said[name] or ours[name], "not said: " .. name)
    end
  end)

  it("has everything in the module raft", function()
    for name in pairs(raft) do
      assert.is_truthy(text:find("raft." .. name, 1, true), name)
    end
  end)

  it("has every field of the status and of its peers", function()
    local node = new_node { election_timeout = { 10, 20 } }
    assert(node:start())
    assert(node:ready())
    for name in pairs(node:status()) do
      assert.is_true(is_said(name), "not said: " .. name)
    end
    node:stop()
    local sim = require "raft.sim"
    local s <close> = sim.new { nodes = 2, node = function()
      return { apply = function() return true end }
    end }
    s:run(function()
      assert(s:client():propose("x"))
      local peers = s:node(s:leader()):status().peers
      for name in pairs(select(2, next(peers))) do
        assert.is_true(is_said(name), "not said: " .. name)
      end
    end)
  end)

  it("has the options of every call", function()
    local node = new_node {}
    local arguments = { propose = { "x" }, query = { 1 }, add = { "n2", "h:1" },
      remove = { "n2" }, change = { {} } }
    for _, name in ipairs { "propose", "query", "read", "ready", "add",
      "remove", "change", "transfer", "take_snapshot", "stop" } do
      local given = table.pack(table.unpack(arguments[name] or {}))
      given[#given + 1] = { xyzzyx = 1 }
      local ok, why = pcall(node[name], node, table.unpack(given))
      assert.is_false(ok)
      local known = names_in(why:match("known are ([^\n]*)"))
      assert.is_true(#known > 0, name)
      for _, option in ipairs(known) do
        assert.is_true(is_said(option), name .. ": not said: " .. option)
      end
    end
  end)

  it("has no error code that is not there", function()
    local known = {}
    for _, code in ipairs(require("raft.errors").codes()) do
      known[code] = true
    end
    for _, code in ipairs(column("code")) do
      assert.is_true(known[code], "no such code: " .. code)
    end
  end)

  it("names no event that is not there", function()
    local known = {}
    for _, event in ipairs(require("raft.options").EVENTS) do
      known[event] = true
    end
    local paragraph = text:match("\nEvents: (.-)\n\n")
    for event in paragraph:gmatch("`([%l_]+)%(") do
      assert.is_true(known[event], "no such event: " .. event)
    end
  end)
end)
