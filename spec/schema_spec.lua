local schema = require "raft.schema"

-- What the rule says to the value: false and the text, or true and the result.
local function try(rule, value)
  return pcall(function()
    local result = schema.check("raft.thing", 2, rule, value)
    return result
  end)
end

local function refusal(rule, value)
  local ok, why = try(rule, value)
  assert.is_false(ok)
  return (why:gsub("^[^:]*schema_spec.lua:%d+: raft.thing: ", ""))
end

describe("schema", function()
  it("blames the line that gave the options", function()
    local rule = schema.fields { { "n", schema.boolean } }
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, why = pcall(function() schema.check("x", 2, rule, { n = 1 }) end)
    assert.is_false(ok)
    assert.truthy(why:find("schema_spec.lua:" .. line .. ": x: n: ", 1, true),
      why)
  end)

  it("hands on errors that are not about options", function()
    local ok, err = try(function() error({ "mine" }, 0) end, 1)
    assert.is_false(ok)
    assert.same({ "mine" }, err)
  end)

  describe("fields", function()
    local rule = schema.fields {
      { "size", schema.integer(1, 9, "bytes"), default = 3 },
      { "name", schema.name, required = "a name" },
      { "is_on", schema.boolean, default = true },
      { "extra", schema.any_table },
    }

    it("makes a new table with every field set", function()
      local given = { name = "x" }
      local _, opts = try(rule, given)
      assert.same({ size = 3, name = "x", is_on = true, extra = false }, opts)
      assert.same({ name = "x" }, given)
    end)

    it("keeps false where false was given", function()
      local _, opts = try(rule, { name = "x", is_on = false })
      assert.is_false(opts.is_on)
    end)

    it("says what is missing", function()
      assert.equal("name: expected a name, got nil", refusal(rule, {}))
    end)

    it("wants a table", function()
      assert.equal('expected a table of options, got "x"', refusal(rule, "x"))
    end)

    it("guesses what a typo meant", function()
      assert.equal("sice: unknown option, did you mean size?",
        refusal(rule, { sice = 1 }))
      assert.equal("isOn: unknown option, did you mean is_on?",
        refusal(rule, { isOn = true }))
    end)

    it("lists what there is where nothing is near", function()
      assert.equal("tempo: unknown option; known are size, name, is_on, extra",
        refusal(rule, { tempo = 1 }))
      assert.equal("[1]: unknown option; known are size, name, is_on, extra",
        refusal(rule, { "x" }))
    end)
  end)

  describe("integer", function()
    local rule = schema.integer(1, 9, "ms")
    it("takes what is in its range, as an integer", function()
      for _, value in ipairs { 1, 9, 5.0 } do
        local _, result = try(rule, value)
        assert.equal("integer", math.type(result))
        assert.equal(value, result)
      end
    end)

    it("refuses the rest", function()
      for _, value in ipairs { 0, 10, 1.5, -1, math.huge, 0 / 0, "5", true,
        {} } do
        local expected = "expected an integer from 1 to 9 (ms), got "
        assert.equal(expected .. schema.show(value), refusal(rule, value))
      end
    end)
  end)

  it("name takes letters, digits, _ . and - up to 64", function()
    for _, value in ipairs { "n1", "a.b-c_d", ("x"):rep(64), "-" } do
      assert.is_true(try(schema.name, value), value)
    end
    for _, value in ipairs { "", "a b", ("x"):rep(65), "a\0", "\xc3\xa4", 1,
      "n1\n" } do
      assert.truthy(refusal(schema.name, value):find("up to 64 bytes"))
    end
  end)

  it("one_of lists its choices", function()
    local rule = schema.one_of { "a", "b", "c" }
    assert.is_true(try(rule, "b"))
    assert.equal('expected "a", "b" or "c", got nil', refusal(rule, nil))
  end)

  it("or_false takes false too", function()
    local rule = schema.or_false(schema.text)
    local _, result = try(rule, false)
    assert.is_false(result)
    assert.is_true(try(rule, "x"))
    assert.equal('expected a string that is not empty, got ""',
      refusal(rule, ""))
  end)

  it("shows values shortly and in one line", function()
    assert.equal('"a?b"', schema.show("a\nb"))
    assert.equal('"' .. ("x"):rep(60) .. '..."', schema.show(("x"):rep(200)))
    assert.equal("a function", schema.show(print))
    assert.equal("nil", schema.show(nil))
    assert.equal("1.5", schema.show(1.5))
  end)

  it("shows odd keys in brackets", function()
    assert.equal("a.b", schema.join("a", "b"))
    assert.equal('a["b c"]', schema.join("a", "b c"))
    assert.equal("a[3]", schema.join("a", 3))
    assert.equal("b", schema.join("", "b"))
  end)

  describe("remembered", function()
    local checked, rule

    before_each(function()
      checked = 0
      rule = schema.remembered(schema.fields {
        { "a", function(value)
          checked = checked + 1
          return value
        end },
        { "b", schema.text, default = "none" },
      })
    end)

    it("checks nothing again, and says the same", function()
      local first = rule({ a = 1, b = "x" }, "")
      assert.same({ a = 1, b = "x" }, first)
      assert.equal(first, rule({ b = "x", a = 1 }, ""))
      assert.equal(1, checked)
    end)

    it("sees whatever is another one", function()
      local t = { a = 1 }
      assert.same({ a = 1, b = "none" }, rule(t, ""))
      t.a = 2
      assert.same({ a = 2, b = "none" }, rule(t, ""))
      t.b = "x"
      assert.same({ a = 2, b = "x" }, rule(t, ""))
      t.a = nil
      assert.same({ a = false, b = "x" }, rule(t, ""))
      t.a = false
      assert.same({ a = false, b = "x" }, rule(t, ""))
      t.c = 1
      assert.has_error(function() rule(t, "") end)
      assert.has_error(function() rule(t, "") end)
      assert.has_error(function() rule(5, "") end)
    end)

    it("looks again at what may change by itself", function()
      local t = { a = {} }
      rule(t, "")
      rule(t, "")
      local behind = setmetatable({}, { __index = { b = "x" } })
      assert.equal("x", rule(behind, "").b)
      rule({}, "")
      assert.equal("x", rule(behind, "").b)
      assert.equal(2, checked)
    end)
  end)
end)
