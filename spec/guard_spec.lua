local guard = require "raft.guard"

describe("guard", function()
  it("hands on arguments and the result", function()
    local ok, sum = guard.call(function(a, b) return a + b end, 2, 3)
    assert.is_true(ok)
    assert.equal(5, sum)
  end)

  it("keeps nil arguments in their places", function()
    local _, n = guard.call(function(...) return select("#", ...) end, nil, nil)
    assert.equal(2, n)
  end)

  it("gives what was raised, and where", function()
    local ok, value, traceback = guard.call(function() error({ 1 }) end)
    assert.is_false(ok)
    assert.same({ 1 }, value)
    assert.truthy(traceback:find("guard_spec.lua", 1, true))
  end)

  it("does not let the code yield, where it is called in a coroutine",
  function()
    assert.is_true(coroutine.isyieldable())
    local ok, value = guard.call(function()
      assert.is_false(coroutine.isyieldable())
      coroutine.yield()
    end)
    assert.is_false(ok)
    assert.truthy(tostring(value):find("yield", 1, true))
  end)

  it("survives an overflow of the stack", function()
    local function deep() return 1 + deep() end
    local ok, value = guard.call(deep)
    assert.is_false(ok)
    assert.truthy(tostring(value):find("stack overflow", 1, true))
  end)

  it("reports what was raised as an error value", function()
    local seen
    local ok = guard.run("handler of role", function(err) seen = err end,
      function() error("boom", 0) end)
    assert.is_false(ok)
    assert.equal("apply_error: handler of role: boom", tostring(seen))
    assert.equal("handler of role", seen.where)
    assert.truthy(seen.traceback)
  end)
end)
