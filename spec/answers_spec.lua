local answers = require "raft.answers"
local codec = require "raft.codec"
local errors = require "raft.errors"
local plain = require "raft.plain"

local function back(...)
  return answers.decode(answers.encode(...))
end

describe("answers", function()
  it("say what a command has returned", function()
    for _, value in ipairs { 1, 2.5, "x", false, { a = { 1, 2 } } } do
      assert.same({ true, value }, { back(true, value) })
    end
    assert.same({ true }, { back(true) })
    assert.same({ true, [3] = "why" }, { back(true, nil, "why") })
  end)

  it("say what it has raised, but not where on this node", function()
    local ok, err = back(false, errors.new("apply_error", "apply: no",
      { value = { left = 3 }, traceback = "here", index = 7 }))
    assert.is_false(ok)
    assert.is_true(errors.is_error(err))
    assert.equal("apply_error: apply: no", tostring(err))
    assert.same({ left = 3 }, err.value)
    assert.equal(7, err.index)
    assert.is_nil(err.traceback)
  end)

  it("are an error where the result is nothing that can be copied", function()
    local ok, err = back(true, { f = print })
    assert.is_false(ok)
    assert.equal("bad_value", err.code)
    assert.equal("unknown", err.outcome)
    assert.matches("function", err.message)
  end)

  it("say nothing of a value that is too deep beside the error", function()
    local deep = {}
    for _ = 2, plain.DEPTH_MAX do deep = { deep } end
    assert(codec.copy(deep))
    local ok, err = back(false, errors.new("apply_error", "apply: deep",
      { value = deep, index = 7 }))
    assert.is_false(ok)
    assert.same({ "apply: deep", 7 }, { err.message, err.index, err.value })
    ok, err = back(true, nil, deep)
    assert.is_false(ok)
    assert.equal("bad_value", err.code)
  end)

  it("that are damaged are none", function()
    local ok, err = answers.decode("x")
    assert.is_nil(ok)
    assert.equal("corrupt", err.code)
    assert.equal("unknown", err.outcome)
  end)

  -- A client takes them from whoever listens where it was told.
  it("that no node would give are none", function()
    for _, said in ipairs { 5, "x", true, { error = 5 }, { error = {} },
      { error = { code = "odd", message = "x" } },
      { error = { code = "busy", message = {} } } } do
      local ok, err = answers.decode(codec.encode(said))
      assert.is_nil(ok)
      assert.equal("corrupt unknown", err.code .. " " .. err.outcome)
    end
  end)
end)
