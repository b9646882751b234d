-- docs/GUIDE.md and README.md: their Lua runs, and prints what they say.
local documents = require "spec.support.documents"
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local raft = require "raft"
local testing = require "raft.testing"
local tree = require "tools.tree"

local GUIDE <const> = "docs/GUIDE.md"
local PAGES <const> = { GUIDE, "README.md" }

-- The counter of the first example, and a store for the spec that is shown.
local function counter()
  local total = 0
  return {
    apply = function(command)
      total = total + tonumber(command)
      return total
    end,
    query = function() return total end,
    snapshot = function() return tostring(total) end,
    restore = function(bytes) total = tonumber(bytes) end,
  }
end

local function store()
  local values = {}
  return {
    apply = function(command)
      local key, value = command:match("^put (%S+) (%S+)$")
      values[key] = value
      return value
    end,
    query = function(key) return values[key] end,
  }
end

-- A busted of its own: what is described runs at once, here.
local function at_once(_, fn) fn() end

local function run(path, block, names)
  local printed, wanted = documents.run(block, path, names)
  if #wanted > 0 then assert.same(wanted, printed) end
end

-- Runs fn with the names that blocks of the kind "node" find.
local function on_cluster(fn)
  local cluster <close> = testing.cluster { node = counter }
  assert(cluster:ready())
  local leader, other = cluster:leader(), nil
  for _, id in ipairs(cluster:ids()) do
    if id ~= leader then other = cluster:node(id) end
  end
  fn { raft = raft, node = cluster:node(leader), other = other,
    addresses = cluster:addresses() }
end

local names_for = {}  -- kind -> function(use): calls use(names)

function names_for.script(use) use {} end
function names_for.sim(use) use { node = counter } end
names_for.node = on_cluster

function names_for.spec(use)
  helper.outside_loop(function()  -- where busted runs
    use { my_service = store, describe = at_once, it = at_once,
      assert = assert }  -- busted's, which is none of the globals
  end)
end

for _, path in ipairs(PAGES) do
  describe(path .. " #house", function()
    local kinds = {}
    for _, block in ipairs(documents.blocks(path)) do
      kinds[block.kind] = true
      local use = names_for[block.kind]
      it(("shows at line %d what %s"):format(block.line,
        use and "runs" or "compiles"), function()
        assert.is_truthy(load(block.text, "=" .. path))
        assert.is_true(use ~= nil or block.kind == "", block.kind)
        if use then use(function(names) run(path, block, names) end) end
      end)
    end

    it("shows a script, and a simulation", function()
      assert.is_true(kinds.script and kinds.sim)
    end)
  end)
end

describe("docs/GUIDE.md #house", function()
  local text = tree.read(".", GUIDE)

  it("tells of every error what it is by default", function()
    local told = {}
    local section = text:match("\n## Errors\n(.-)\n## ")
    for code, outcome, again in section:gmatch(
      "\n| `([%l_]+)` | [^\n]- | (%l+) | (%l+) | [^\n]*|") do
      local err = errors.new(code, "x")
      assert.equal(err.outcome, outcome, code)
      assert.equal(err.retry and "yes" or "no", again, code)
      told[code] = true
    end
    for _, code in ipairs(errors.codes()) do
      assert.is_true(told[code], "not told: " .. code)
    end
  end)

  it("links to headings and files that exist", function()
    local function anchor_of(heading)
      return (heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-"))
    end
    local function has(page, anchor)
      for heading in page:gmatch("\n##+ ([^\n]+)") do
        if anchor_of(heading) == anchor then return true end
      end
    end
    for _, path in ipairs { GUIDE, "docs/CLIENTS.md", "docs/QUESTIONS.md" } do
      for file, anchor in tree.read(".", path):gmatch("%]%(([^#)]*)#?([^)]*)%)")
      do
        local target = file == "" and path or "docs/" .. file
        assert.is_truthy(os.rename(target, target), path .. ": " .. target)
        local is_there = anchor == "" or has(tree.read(".", target), anchor)
        assert.is_true(is_there or false, target .. "#" .. anchor)
      end
    end
  end)
end)
