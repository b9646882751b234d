local check = require "spec.museum.check"
local museum = require "spec.museum.museum"
local plant = require "tools.plant"

local SOURCE <const> = [[
static int f(int a) {
  if (a < 0) return -1;
  a = a + 1;
  return a > 3 ? g(a + 1) : a;
}
]]

local function planted(...)
  return plant.plant({ ... }, SOURCE)
end

local function bug(name, right, wrong)
  return { bug = name, file = "f.c", right = right, wrong = wrong }
end

local function complaint(...)
  local ok, why = pcall(planted, ...)
  assert.is_false(ok)
  return why
end

describe("tools.plant #house", function()
  it("chooses between expressions", function()
    local text = planted(bug("21", "g(a + 1)", "0"))
    assert.matches("return a > 3 ? (raft_bug == 21 ? (0) : (g(a + 1))) : a;",
      text, 1, true)
    assert.matches('^#include "raft_bug.h"\n', text)
  end)

  it("chooses between statements", function()
    local text = planted(bug("7b", "a = a + 1;", "a = 0; b = 1;"))
    assert.matches("if (raft_bug == 1007) {\na = 0; b = 1;\n} else {\n"
      .. "a = a + 1;\n}", text, 1, true)
  end)

  it("lets several bugs replace one text", function()
    local text = planted(bug("1", "g(a + 1)", "x"), bug("2", "g(a + 1)", "y"))
    assert.matches("(raft_bug == 1 ? (x) : raft_bug == 2 ? (y) : (g(a + 1)))",
      text, 1, true)
  end)

  it("keeps a plant that lies within another", function()
    local text = planted(bug("1", "return a > 3 ? g(a + 1) : a;", "return 0;"),
      bug("2", "a > 3", "true"))
    assert.matches("{\nreturn (raft_bug == 2 ? (true) : (a > 3)) ? g(a + 1)",
      text, 1, true)
  end)

  it("leaves a source without plants as it is", function()
    assert.are.equal(SOURCE, planted())
  end)

  it("refuses a text that is not there", function()
    assert.matches("plant 9: f.c: the text is not there: h(a)",
      complaint(bug("9", "h(a)", "0")), 1, true)
  end)

  it("refuses a text that is there twice", function()
    assert.matches("plant 9: f.c: the text is there more than once: a + 1",
      complaint(bug("9", "a + 1", "0")), 1, true)
  end)

  it("refuses plants that overlap", function()
    assert.matches("plants 1 and 2 overlap", complaint(
      bug("1", "a > 3 ? g(a + 1)", "0"), bug("2", "g(a + 1) : a", "0")))
  end)

  it("has a number for every name", function()
    assert.are.equal(21, plant.code("21"))
    assert.are.equal(2103, plant.code("103c"))
    assert.has_error(function() plant.code("figure 8") end)
  end)

  it("finds the place of every plant of the museum", function()
    for _, p in ipairs(dofile("spec/museum/plants.lua")) do
      local file = assert(io.open("csrc/" .. p.file, "rb"))
      local text = file:read("a")
      file:close()
      assert.has_no.errors(function() plant.plant({ p }, text) end)
    end
  end)
end)

describe("the museum's objects #house", function()
  -- Else a make that plants a header compiles what includes it only next time.
  it("wait for planted headers as they wait for planted sources", function()
    local rules = museum.run("make -pn build/museum/flags")
    for _, name in ipairs { "log.h", "raft.h", "log.c", "lua_core.c" } do
      assert.matches("\nbuild/museum/csrc/" .. name
        .. ": build/museum/planted\n", rules, 1, true)
    end
  end)
end)

describe("what is released #house", function()
  it("has no switch for bugs", function()
    local file = assert(io.open("build/raft/core.so", "rb"))
    local text = file:read("a")
    file:close()
    assert.is_truthy(text:find("raft_step", 1, true)) -- names are to be seen
    assert.is_nil(text:find("raft_bug", 1, true))
  end)
end)

describe("spec.museum.check #house", function()
  local RAN <const> = museum.outcomes(
    "passed 21 21 figure_8: without the fix n5: lacks\n"
    .. "passed 21 21b again: without the fix\nfailed 22 22 tail: green\n"
    .. "3 passed, 1 failed\n")

  local function judge(number, stands)
    local verdict, faults = check.judge({ number = number, stands = stands,
      rungs = {} }, RAN)
    return verdict, table.concat(faults, "; ")
  end

  it("reads the program's lines", function()
    assert.are.equal(3, #RAN)
    assert.are.same({ row = 22, bug = "22", name = "tail", passed = false,
      words = "green" }, RAN[3])
  end)

  it("passes a row whose scenarios all ran and passed", function()
    assert.are.equal("passed", judge(21, "scenario: `figure_8`, `again`"))
  end)

  local bad = {
    { "a scenario that failed", 22, "scenario: `tail`", "tail: green" },
    { "a scenario that did not run", 3, "scenario: `gone`",
      "gone did not run" },
    { "a scenario that is hidden", 21, "scenario: `figure_8`",
      "does not name again" },
    { "a row to come that has one", 21, "to come: with leases",
      "does not name figure_8" },
    { "a construction without a test", 3, "cannot occur: so we think",
      "names no test" },
    { "a test that is not there", 3,
      "cannot occur: x; `spec/c/wire_test.c: no_such_test`",
      "there is no spec/c/wire_test.c: no_such_test" },
    { "words of no kind", 3, "fine", "does not say how we stand" },
  }
  for _, case in ipairs(bad) do
    local name, number, stands, words = table.unpack(case)
    it("fails " .. name, function()
      local verdict, faults = judge(number, stands)
      assert.are.equal("failed", verdict)
      assert.matches(words, faults, 1, true)
    end)
  end

  it("skips what is to come", function()
    assert.are.equal("skipped", judge(3, "to come: with snapshots"))
    assert.are.equal("skipped", judge(3, "to be written: storage"))
  end)

  it("complains of rows that are missing or doubled", function()
    local rows = museum.rows("| 1 | a | b | c | - |\n| 1 | a | b | c | - |\n"
      .. "| 115 | a | b | c | random |\n")
    local faults = table.concat(check.check_numbers(rows), "\n")
    assert.matches("row 1 stands there 2 times", faults, 1, true)
    assert.matches("row 2 stands there 0 times", faults, 1, true)
    assert.matches("row 115 is none of the museum's", faults, 1, true)
  end)

  it("docs/MUSEUM.md has every row once", function()
    local rows = museum.rows(museum.document())
    assert.are.same({}, check.check_numbers(rows))
    assert.are.equal(museum.ROWS, #rows)
  end)
end)
