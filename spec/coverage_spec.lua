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

  it("leaves out asserts and files that are not ours", function()
    local files = {}
    coverage.read(report("1", "never executed"), files)
    assert.is_nil(files["csrc/log.c"][11])
    assert.is_nil(files["csrc/log.c"][1])
    assert.is_nil(next(files, "csrc/log.c"))
  end)

  it("knows a line that was never reached", function()
    local files = {}
    coverage.read(report("1", "1"), files)
    assert.are.equal(0, files["csrc/log.c"][13].count)
    assert.are.equal(1, files["csrc/log.c"][10].count)
  end)
end)
