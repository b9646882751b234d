local sum = require "tools.sum"

-- Runs the script as make does; its whole output, and whether it succeeded.
local function run(args)
  local lua = os.getenv("LUA") or "lua5.4"
  local pipe = assert(io.popen(lua .. " tools/sum.lua " .. args .. " 2>&1"))
  local text = pipe:read("a")
  return text, (pipe:close())
end

local function last_line(text)
  return text:match("([^\n]*)\n?$")
end

describe("tools.sum #house", function()
  it("adds the results of suites, with and without skipped ones", function()
    local text, ok = run [["echo 3 passed, 0 failed" \
      "echo 4 passed, 0 failed, 2 skipped"]]
    assert.are.equal("7 passed, 0 failed, 2 skipped", last_line(text))
    assert.is_true(ok)
  end)

  it("takes the last result a suite prints", function()
    local text = run [["echo 1 passed, 0 failed; echo 5 passed, 0 failed"]]
    assert.are.equal("5 passed, 0 failed, 0 skipped", last_line(text))
  end)

  it("ends in error when a suite reports a failure", function()
    local text, ok = run [["echo 3 passed, 1 failed" "echo 1 passed, 0 failed"]]
    assert.are.equal("4 passed, 1 failed, 0 skipped", last_line(text))
    assert.is_falsy(ok)
  end)

  it("counts a crash after a good report as one failed", function()
    local text, ok = run [["echo 3 passed, 0 failed; kill -9 \$\$"]]
    assert.are.equal("3 passed, 1 failed, 0 skipped", last_line(text))
    assert.matches("ended in error %(signal 9%)", text)
    assert.is_falsy(ok)
  end)

  it("counts silence as one failed", function()
    local text, ok = run [["true"]]
    assert.are.equal("0 passed, 1 failed, 0 skipped", last_line(text))
    assert.is_falsy(ok)
  end)

  it("counts a suite without tests as one failed", function()
    local text, ok = run [["echo 0 passed, 0 failed, 0 skipped"]]
    assert.are.equal("0 passed, 1 failed, 0 skipped", last_line(text))
    assert.is_falsy(ok)
  end)

  it("counts a check by its exit status", function()
    local text, ok = run [["echo 1 passed, 0 failed" --check true false]]
    assert.are.equal("2 passed, 1 failed, 0 skipped", last_line(text))
    assert.is_falsy(ok)
  end)

  it("runs them all at once on demand, and writes in their order", function()
    local fifo = os.tmpname()
    assert(os.remove(fifo))
    assert(os.execute("mkfifo " .. fifo))
    local reader = "read word <%s; echo \\$word; echo 1 passed, 0 failed"
    local writer = "echo heard >%s; echo 2 passed, 0 failed"
    local text, ok = run((('-j "%s" "%s"'):format(reader, writer)
      :format(fifo, fifo)))
    os.remove(fifo)
    assert.matches("^heard\n1 passed.*\n2 passed", text)
    assert.are.equal("3 passed, 0 failed, 0 skipped", last_line(text))
    assert.is_true(ok)
  end)

  it("lets none wait for a reader, and knows how each ended", function()
    local much = "seq 100000; echo 1 passed, 0 failed; exit 7"
    local text, ok = run(('-j "%s" "exit 3"'):format(much))
    assert.matches("FAILED: seq.*ended in error %(exit 7%)", text)
    assert.matches("FAILED: exit 3: reported no result %(exit 3%)", text)
    assert.are.equal("1 passed, 2 failed, 0 skipped", last_line(text))
    assert.is_falsy(ok)
  end)

  it("says on demand how long each took", function()
    local text = run [[-t "echo 1 passed, 0 failed" --check true]]
    assert.matches("\n +[0-9]+ s  echo 1 passed, 0 failed\n", text)
    assert.matches("\n +[0-9]+ s  true\n2 passed, 0 failed, 0 skipped\n$", text)
    assert.is_nil(run('"echo 1 passed, 0 failed"'):find(" s  ", 1, true))
  end)

  it("is quiet on demand, unless something failed", function()
    local text = run [[-q "echo noise; echo 1 passed, 0 failed"]]
    assert.is_nil(text:find("noise\n", 1, true))
    text = run [[-q "echo noise; echo 1 passed, 1 failed"]]
    assert.is_truthy(text:find("noise\n", 1, true))
  end)

  it("takes only whole result lines for results", function()
    assert.is_nil(sum.parse("log_test 3 passed, 0 failed"))
    assert.is_nil(sum.parse("3 passed, 0 failed, none skipped"))
    assert.are.same({ passed = 3, failed = 0, skipped = 1 },
      sum.parse("3 passed, 0 failed, 1 skipped"))
  end)
end)
