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
  "docs/SIMULATION.md" }

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
