local fuzz = require "tools.fuzz"

describe("tools.fuzz #house", function()
  it("writes bytes as hex and reads them again", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local all = table.concat(bytes)
    assert.are.equal(all, fuzz.bytes("# a comment, ff\n" .. fuzz.hex(all)))
    assert.are.equal("00\n", fuzz.hex("\0"))
    assert.are.equal("", fuzz.bytes("# nothing\n"))
  end)

  it("knows the targets, and each has a corpus", function()
    local targets = fuzz.targets()
    assert.is_true(#targets >= 10)
    for _, name in ipairs(targets) do
      local path = ("spec/fuzz/corpus/%s/01.hex"):format(name)
      local file = assert(io.open(path), path .. " is missing")
      assert.is_true(#fuzz.bytes(file:read("a")) <= 1024)
      file:close()
    end
  end)

  it("reads what a run says at its end", function()
    local log = "#9\tNEW    cov: 12 ft: 20 corp: 3/9b\n"
      .. "#99\tDONE   cov: 14 ft: 25 corp: 4/12b lim: 9\n"
      .. "stat::number_of_executed_units: 99\n"
    assert.are.same({ runs = 99, edges = 14, features = 25, kept = 4 },
      fuzz.figures(log))
    assert.are.equal(0, fuzz.figures("died at once").runs)
  end)

  it("keeps those inputs that add most", function()
    local by_path = { a = { "1" }, b = { "1", "2", "3" }, c = { "4", "3" },
      d = { "2", "3" } }
    assert.are.same({ "b", "c" }, fuzz.best(by_path, 9))
    assert.are.same({ "b" }, fuzz.best(by_path, 1))
  end)
end)
