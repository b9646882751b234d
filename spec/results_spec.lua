local errors = require "raft.errors"
local results = require "raft.results"

-- The digest of a list of { ok, value, why }.
local function digest(list)
  local all = results.new()
  for _, one in ipairs(list) do all:add(one[1], one[2], one[3]) end
  return all.digest
end

local function of(value, why)
  return digest { { true, value, why } }
end

describe("results", function()
  it("are the same for equal values", function()
    assert.equal(of({ b = 2, a = { 1, "x" } }), of({ a = { 1, "x" }, b = 2 }))
    for _, value in ipairs { false, true, 0, -1, 1 << 62, 0.5, -0.0, 1 / 0, "",
      "x", ("x"):rep(100) } do
      assert.equal(of(value), of(value), tostring(value))
    end
  end)

  it("are others for other values, and other kinds of the same", function()
    local seen, count = {}, 0
    local values = { 0, 1, 2, -1, 1.0, 0.5, "", "0", "1", "1.0", true, false,
      "true", {}, { 1 }, { "1" }, { 1, 2 }, { 2, 1 }, { a = 1 },
      math.maxinteger, math.mininteger }
    for i, value in ipairs(values) do
      local got = of(value)
      assert.is_nil(seen[got], ("%d and %d"):format(i, seen[got] or 0))
      seen[got], count = i, count + 1
    end
    assert.equal(#values, count)
    assert.is_nil(seen[of(nil)])
  end)

  it("hold in which order they came", function()
    assert.not_equal(digest { { true, 1 }, { true, 2 } },
      digest { { true, 2 }, { true, 1 } })
    assert.not_equal(digest { { true, 1 } },
      digest { { true, 1 }, { true, 1 } })
    assert.not_equal(digest { { true }, { true, 1 } },
      digest { { true, 1 }, { true } })
  end)

  it("hold that a command failed, and not why", function()
    local failed = digest { { false, errors.new("apply_error", "one") } }
    assert.equal(failed, digest { { false,
      errors.new("apply_error", "another") } })
    assert.equal(failed, of(nil, "one"))
    assert.equal(failed, of(nil, "another"))
    assert.not_equal(failed, of(nil))
    assert.not_equal(failed, of(false, "one"))
  end)

  it("take what has no bytes for a failure", function()
    local failed = digest { { false } }
    assert.equal(failed, of(print))
    assert.equal(failed, of({ { io.stdout } }))
    assert.equal(failed, of(setmetatable({}, { __index = {} })))
    local loop = {}
    loop.loop = loop
    assert.equal(failed, of(loop))
  end)

  it("are small numbers nowhere: near values are far apart", function()
    for i = 1, 100 do
      local differ, count = of(i) ~ of(i + 1), 0
      for bit = 0, 63 do count = count + (differ >> bit & 1) end
      assert.is_true(count > 8, i)
    end
  end)

  it("go on from a snapshot as if there had been none", function()
    local one = results.new()
    for i = 1, 10 do one:add(true, i) end
    assert.equal(one.digest, one:check(10))
    one:add(true, "more")
    local other = results.decode(one:encode())
    assert.equal(10, other.checked)
    assert.equal(one.checked_digest, other.checked_digest)
    one:add(true, 12)
    other:add(true, 12)
    assert.equal(one:check(12), other:check(12))
    assert.equal(results.BYTES, #one:encode())
  end)

  it("are in a row what they are one by one", function()
    local kinds = { true, false, 7, -1, "", "seven", 0.5, { 7 }, print }
    for size = 0, 40 do
      local slice = { count = size, values = {}, whys = {}, errors = {} }
      local many, each = results.new(), results.new()
      for i = 1, size do
        local kind = (7 * i + size) % (#kinds + 3)
        slice.values[i] = kinds[kind]
        if kind == 0 then slice.whys[i] = "why" end
        if kind == #kinds + 1 then slice.errors[i] = "raised" end
        each:add(slice.errors[i] == nil, slice.values[i], slice.whys[i])
      end
      many:add_many(slice)
      assert.equal(each.digest, many.digest, size)
    end
  end)

  -- They are on disks: other nodes of other builds compare with them.
  it("never change", function()
    local all = results.new()
    all:add(true, nil)
    all:add(true, 7)
    all:add(true, "seven")
    all:add(true, { seven = 7.5 })
    all:add(true, false)
    all:add(true, true)
    all:add(false)
    assert.equal("6dc92ca69cca500c", ("%016x"):format(all.digest))
  end)
end)
