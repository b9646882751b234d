local coverage = require "tools.coverage"

local function report(first, second)
  return ([[
        -:    0:Source:csrc/log.c
        -:    1:#include "log.h"
function f called 1 returned 100%% blocks executed 50%%
        1:   10:static int f(int a) {
        1:   11:  assert(a > 0);
branch  0 taken 1 (fallthrough)
branch  1 taken 0
        1:   12:  if (a == 1) return 2;
branch  0 taken %s
branch  1 taken %s
    #####:   13:  return 3;
        -:    0:Source:/usr/include/string.h
        9:    1:not ours
]]):format(first, second)
end

describe("tools.coverage #house", function()
  it("counts a branch that any build took", function()
    local files = {}
    coverage.read(report("1", "0 (fallthrough)"), files)
    assert.are.same({ 1, 0 }, files["csrc/log.c"][12].branches)
    coverage.read(report("0", "4"), files)
    assert.are.same({ 1, 4 }, files["csrc/log.c"][12].branches)
  end)

  it("leaves out files that are not ours", function()
    local files = {}
    coverage.read(report("1", "never executed"), files)
    assert.is_nil(files["csrc/log.c"][1])
    assert.is_nil(next(files, "csrc/log.c"))
  end)

  it("knows a line that was never reached", function()
    local files = {}
    coverage.read(report("1", "1"), files)
    assert.are.equal(0, files["csrc/log.c"][13].count)
    assert.are.equal(1, files["csrc/log.c"][10].count)
  end)

  it("counts the branches of asserts by themselves", function()
    local files = {}
    coverage.read(report("1", "0"), files)
    local s = coverage.sums(files["csrc/log.c"], { [11] = "assert" })
    assert.are.equal(2, s.asserts)
    assert.are.equal(2, s.branches)
    assert.are.equal(1, s.taken)
    assert.are.equal(3, s.lines)
    assert.are.equal(2, s.reached)
  end)

  it("knows all lines of an assert", function()
    local text = "a();\nassert(is_good(b,\n  c) ||\n  d);\ne();\n"
      .. "if (x) assert(y);\nassert(\")\" != z);\nf();\n"
      .. "_Static_assert(1, \"no\");\n"
    assert.are.same({ [2] = "assert", [3] = "assert", [4] = "assert",
      [6] = "assert", [7] = "assert" }, coverage.marks(text))
  end)

  it("leaves out what a tag says is not reached, and no more", function()
    local files = {}
    coverage.read(report("1", "0"), files)
    local s = coverage.sums(files["csrc/log.c"], { [12] = 12 })
    assert.are.equal(1, s.unreachable)
    assert.are.equal(3, s.branches)
    assert.are.equal(2, s.taken)
    assert.are.equal(0, s.wrong)
  end)

  it("complains of a tag on what is reached", function()
    local files = {}
    coverage.read(report("1", "2"), files)
    assert.are.equal(1, coverage.sums(files["csrc/log.c"],
      { [12] = 12 }).wrong)
  end)

  it("takes a tag for the statement it stands beside or before", function()
    local text = "a(); /* unreachable: why */\nb();\n"
      .. "/* unreachable: why\n */\nif (c &&\n    d)\n  e();\nf();\n"
      .. "/* unreachable: why */\nswitch (g) {\nh();\n"
    local marks = coverage.marks(text)
    assert.are.equal(1, marks[1])
    assert.is_nil(marks[2])
    assert.are.same({ 3, 3, 3 }, { marks[5], marks[6], marks[7] })
    assert.is_nil(marks[8])
    assert.are.same({ 9 }, { marks[10], marks[11] })
  end)
end)
