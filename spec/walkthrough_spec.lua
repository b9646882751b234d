-- What docs/WALKTHROUGH.md quotes is what spec/traces says.
local tree = require "tools.tree"

local PATH <const> = "docs/WALKTHROUGH.md"

-- Quotes: a list of { name, parts }; a part is a list of lines that follow one
-- another, and "..." stands between parts.
local function quotes_of(text)
  local quotes = {}
  for name, body in text:gmatch("\n```text ([%w_.]+)\n(.-)\n```") do
    local parts = { {} }
    for _, line in ipairs(tree.lines(body)) do
      if line == "..." then
        parts[#parts + 1] = {}
      elseif line ~= "" then
        table.insert(parts[#parts], line)
      end
    end
    quotes[#quotes + 1] = { name = name, parts = parts }
  end
  return quotes
end

-- Where the lines stand together at `from` or later: the line after, or nil.
local function find(lines, part, from)
  for at = from, #lines - #part + 1 do
    local is_here = true
    for i, line in ipairs(part) do
      is_here = is_here and lines[at + i - 1] == line
    end
    if is_here then return at + #part end
  end
end

-- nil, or the first part that is not in the trace where it should be.
local function misquoted(quote, trace)
  local lines, at = tree.lines(trace), 1
  for _, part in ipairs(quote.parts) do
    at = find(lines, part, at)
    if #part == 0 or not at then
      return quote.name .. ": " .. table.concat(part, "\n")
    end
  end
end

describe("docs/WALKTHROUGH.md #house", function()
  local text = tree.read(".", PATH)

  it("quotes traces word by word, in their order", function()
    local quotes = quotes_of(text)
    assert.is_true(#quotes > 10)
    for _, quote in ipairs(quotes) do
      assert.is_nil(misquoted(quote, tree.read("spec/traces", quote.name)))
    end
  end)

  it("has no block that is not a quote", function()
    local _, fences = text:gsub("\n```", "")
    assert.are.equal(2 * #quotes_of(text), fences)
  end)

  it("links every story", function()
    for _, path in ipairs(tree.list("spec", "traces", "%.txt$")) do
      assert.is_truthy(text:find("](../spec/" .. path .. ")", 1, true), path)
    end
  end)

  it("would notice a word that is not there, or not in order", function()
    local trace = "a\nb\nc\nd\n"
    local function judge(body)
      return misquoted(quotes_of("\n```text x.txt\n" .. body .. "\n```\n")[1],
        trace)
    end
    assert.is_nil(judge("a\nb\n...\nd"))
    assert.is_truthy(judge("a\nc"))
    assert.is_truthy(judge("c\n...\na"))
    assert.is_truthy(judge("a\n...\nB"))
  end)
end)

describe("spec/traces #house", function()
  for _, path in ipairs(tree.list("spec", "traces", "%.txt$")) do
    it(path .. " opens with what to watch for, in short lines", function()
      local trace = tree.read("spec", path)
      assert.is_truthy(trace:find("^# "))
      assert.is_truthy(trace:find("\n# Watch for: ", 1, true))
      for _, line in ipairs(tree.lines(trace)) do
        assert.is_true(#line <= 100, line)
        local is_known = line == "" or line:find("^#") or line:find("^t=%d")
        assert.is_truthy(is_known, line)
      end
    end)
  end
end)
