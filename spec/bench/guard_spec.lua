local guard = require "bench.guard"

local known <const> = { compiler = "cc 1", valgrind = "valgrind-2",
  lua = "Lua 5.4.3", figures = { wire = 1000 } }

local function with(changes)
  local now = { compiler = "cc 1", valgrind = "valgrind-2", lua = "Lua 5.4.3" }
  for what, value in pairs(changes) do now[what] = value end
  return now
end

-- The script, as make calls it; its output, and whether it succeeded.
local function run(compiler)
  local lua = os.getenv("LUA") or "lua5.4"
  local pipe = assert(io.popen(("%s bench/guard.lua '%s' 2>&1"):format(lua,
    compiler)))
  local text = pipe:read("a")
  return text, (pipe:close())
end

describe("bench.guard #house", function()
  it("takes what is within three of a hundred", function()
    assert.is_nil(guard.judge("wire", 1000, 1000))
    assert.is_nil(guard.judge("wire", 1030, 1000))
    assert.is_nil(guard.judge("wire", 970, 1000))
  end)

  it("names scenario, count, figure and limit of what takes more", function()
    assert.are.equal("wire takes 1031 instructions, its figure is 1000, its "
      .. "limit 1030", guard.judge("wire", 1031, 1000))
  end)

  it("tells what has become less, and how it is kept", function()
    assert.are.equal("wire takes 969 instructions and no longer 1000: make "
      .. "bench-guard WRITE=1", guard.judge("wire", 969, 1000))
  end)

  it("wants a figure of each scenario", function()
    assert.matches("wire takes 5 instructions, and has no figure",
      guard.judge("wire", 5, nil))
  end)

  it("compares nothing under other conditions", function()
    assert.is_nil(guard.other_conditions(with {}, known))
    assert.are.equal([[the figures are of compiler "cc 1", and this is "cc 2"]],
      guard.other_conditions(with { compiler = "cc 2" }, known))
    assert.matches("of valgrind",
      guard.other_conditions(with { valgrind = "valgrind-3" }, known))
    assert.matches("of lua",
      guard.other_conditions(with { lua = "Lua 5.4.9" }, known))
    local now = with {}
    now.valgrind = nil
    assert.are.equal("there is no valgrind",
      guard.other_conditions(now, known))
  end)

  it("says so, and does not fail", function()
    local text, ok = run("no compiler of this world")
    assert.is_true(ok)
    assert.matches("^skipped: the", text)
    assert.matches("\n0 passed, 0 failed, 7 skipped\n$", text)
  end)
end)
