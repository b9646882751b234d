local logger = require "raft.logger"

-- A logger that writes into an array.
local function recorder(option, world)
  local lines = {}
  world = world or {}
  world.write = function(line) lines[#lines + 1] = line end
  return logger.new(option, world), lines
end

describe("logger", function()
  it("writes words and fields, by name", function()
    local log, lines = recorder("debug")
    log:info("became leader", { votes = "2/3", term = 7 })
    assert.same({ "info became leader term=7 votes=2/3" }, lines)
  end)

  it("puts the time and the owner's fields in front", function()
    local log, lines = recorder("debug", { fields = { node = "n1" },
      wall_ms = function() return 1782907445123 end })
    log:warn("slow disk")
    assert.same({ "2026-07-01T12:04:05.123Z warn node=n1 slow disk" }, lines)
  end)

  it("takes a float as the time", function()
    local log, lines = recorder("debug",
      { wall_ms = function() return 7.9 end })
    log:warn("x")
    assert.same({ "1970-01-01T00:00:00.007Z warn x" }, lines)
  end)

  it("leaves out what is below its level", function()
    for rank, level in ipairs(logger.LEVELS) do
      local log, lines = recorder(level)
      for _, each in ipairs(logger.LEVELS) do log[each](log, "x") end
      assert.equal(#logger.LEVELS - rank + 1, #lines, level)
      assert.equal(level .. " x", lines[1])
    end
  end)

  it("is silent when told false", function()
    local log, lines = recorder(false)
    log:error("x")
    assert.same({}, lines)
    assert.is_false(log:is_enabled("error"))
  end)

  it("says what would be heard", function()
    local log = recorder("warn")
    assert.is_false(log:is_enabled("info"))
    assert.is_true(log:is_enabled("warn"))
  end)

  it("quotes what could forge a line or a field", function()
    local log, lines = recorder("debug")
    log:warn("refused", { from = "n1 level=error\nerror forged", q = 'a"b\\' })
    assert.same({ 'warn refused from="n1 level=error\\x0aerror forged" '
      .. 'q="a\\x22b\\x5c"' }, lines)
    log:warn("two\nlines")
    assert.equal("warn two lines", lines[2])
  end)

  it("shows an empty value as one", function()
    local log, lines = recorder("debug")
    log:warn("x", { y = "" })
    assert.equal('warn x y=""', lines[1])
  end)

  it("hands everything to a function, with a table of its own", function()
    local calls, fields = {}, { term = 7 }
    local log = logger.new(function(...) calls[#calls + 1] = { ... } end,
      { fields = { node = "n1" } })
    log:debug("voted", fields)
    assert.same({ { "debug", "voted", { node = "n1", term = 7 } } }, calls)
    assert.same({ term = 7 }, fields)
  end)

  it("survives a function that raises, and says so once", function()
    local log, lines = recorder(function() error("disk full", 0) end)
    log:warn("a")
    log:warn("b")
    assert.same({ 'error the log function raised what="disk full"' }, lines)
  end)

  it("survives a function that yields", function()
    local log, lines = recorder(function() coroutine.yield() end)
    log:warn("a")
    assert.equal(1, #lines)
  end)

  it("survives a value whose tostring raises", function()
    local log, lines = recorder("debug")
    log:warn("x", { v = setmetatable({}, {
      __tostring = function() error("no", 0) end }) })
    assert.same({ "warn x v=no" }, lines)
  end)

  it("survives a stderr that is closed", function()
    local log = logger.new("debug", { write = function() error("EPIPE") end })
    assert.has_no.errors(function() log:error("x") end)
  end)
end)
