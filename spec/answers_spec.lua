local answers = require "raft.answers"
local codec = require "raft.codec"
local core = require "raft.core"
local dice = require "spec.support.dice"
local errors = require "raft.errors"
local plain = require "raft.plain"

local SEED <const> = 1

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

  it("are the bytes of a table", function()
    for _, value in ipairs { 1, 2.5, "x", ("x"):rep(9000), false, { 1, a = {} },
      {} } do
      assert.equal(codec.encode { value = value }, answers.encode(true, value))
      assert.equal(codec.encode { value = value, why = "w" },
        answers.encode(true, value, "w"))
      assert.equal(codec.encode { why = value },
        answers.encode(true, nil, value))
    end
    assert.equal(codec.encode {}, answers.encode(true))
  end)

  -- What has no table around it in C goes the long way else: they must agree.
  it("mean the same, whatever becomes of their bytes", function()
    local draw = dice.new(SEED, 0)
    local all = { answers.encode(true, 5, "w"), answers.encode(true, { 1, {} }),
      answers.encode(true), codec.encode { value = 1, x = 2 },
      codec.encode { 1, value = 1 }, codec.encode { a = 1, value = 1 } }
    for _ = 1, 3000 do
      local bytes = draw:pick(all)
      local at = draw:integer(1, #bytes)
      bytes = bytes:sub(1, at - 1) .. string.char(draw:integer(0, 6))
        .. bytes:sub(at + draw:integer(0, 2))
      local said = codec.decode(bytes)
      local ok, value, why = answers.decode(bytes)
      if type(said) == "table" and said.error == nil then
        assert.same({ true, said.value, said.why }, { ok, value, why })
      else
        assert.is_nil(ok)
      end
    end
  end)
end)

describe("queries", function()
  local OPTS <const> = { { consistency = "lease" }, {},
    { at_least = "r1:5", consistency = "stale", timeout = 5 },
    { timeout = false } }

  it("are the bytes of a table", function()
    for _, opts in ipairs(OPTS) do
      for _, request in ipairs { 1, "x", false, { 1, { a = "b" } } } do
        local bytes = core.query_encode(codec.encode(opts), request)
        assert.equal(codec.encode { opts = opts, request = request }, bytes)
        assert.same({ true, opts.at_least, opts.consistency, opts.timeout,
          request }, { core.query_decode(bytes) })
      end
      assert.equal(codec.encode { opts = opts },
        core.query_encode(codec.encode(opts), nil))
    end
    assert.is_nil(core.query_encode(codec.encode {}, print))
  end)

  it("of another shape are left to the codec", function()
    for _, said in ipairs { 5, {}, { request = 1 }, { opts = 1, request = 1 },
      { opts = { x = 1 } }, { opts = { 1 } }, { opts = {}, more = 1 },
      { opts = { timeout = 1, zeal = 1 }, request = 1 } } do
      assert.is_nil((core.query_decode(codec.encode(said))))
    end
  end)

  it("that are damaged are left to the codec, or say what it says", function()
    local draw = dice.new(SEED, 1)
    local good = codec.encode { opts = OPTS[3], request = { 1, "x" } }
    for _ = 1, 3000 do
      local at = draw:integer(1, #good)
      local bytes = good:sub(1, at - 1) .. string.char(draw:integer(0, 6))
        .. good:sub(at + draw:integer(0, 2))
      local is_query, at_least, consistency, timeout, request =
        core.query_decode(bytes)
      if is_query then
        assert.same({ opts = { at_least = at_least, timeout = timeout,
          consistency = consistency }, request = request },
          (codec.decode(bytes)))
      end
    end
  end)
end)
