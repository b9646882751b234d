-- What a session keeps of answers, in C, against a plain list.
local answers = require "raft.answers"
local core = require "raft.core"
local errors = require "raft.errors"
local helper = require "spec.support.helper"

local function weight(bytes) return core.answer_weight(bytes) end

describe("kept answers", function()
  it("are found by their sequences until they are trimmed", function()
    local kept = core.answers_kept()
    assert.equal(3, kept:add(7, "abc"))
    assert.equal(0, kept:add(8, ""))
    assert.equal("abc", kept:get(7))
    assert.equal("", kept:get(8))
    for _, sequence in ipairs { 6, 9, 0, -1, math.mininteger,
      math.maxinteger } do
      assert.is_nil((kept:get(sequence)))
    end
    assert.same({ 2, 3 }, { kept:size() })
    assert.same({ 0, 0 }, { kept:trim(7) })
    assert.same({ 1, 3 }, { kept:trim(8) })
    assert.is_nil((kept:get(7)))
    assert.same({ [8] = "" }, kept:all())
    assert.same({ 1, 0 }, { kept:trim(math.maxinteger) })
    assert.equal(1, kept:add(20, "x"))  -- the first one may be any
    kept:drop()
    assert.same({ 0, 0 }, { kept:size() })
    assert.is_nil((kept:get(20)))
  end)

  it("follow one another", function()
    local kept = core.answers_kept()
    kept:add(7, "a")
    for _, sequence in ipairs { 7, 9, 6, 0 } do
      assert.is_false(pcall(kept.add, kept, sequence, "b"))
      assert.is_false(pcall(kept.add_many, kept, sequence, {}, {}, 1, 1))
    end
    assert.is_false(pcall(core.answers_kept().add, core.answers_kept(), 0, "a"))
    assert.same({ 1, 1 }, { kept:size() })
  end)

  it("weigh what they hold, and errors all the same", function()
    local short = answers.encode(false, errors.new("apply_error", "x"))
    local long = answers.encode(false, errors.new("apply_error",
      ("x"):rep(5000)))
    assert.same({ 1024, 1024 }, { weight(short), weight(long) })
    local value = answers.encode(true, { error = 1 })
    assert.equal(#value, weight(value))
    assert.equal(1, weight("x"))
    local kept = core.answers_kept()
    kept:add(1, long)
    kept:add(2, value)
    assert.same({ 2, 1024 + #value }, { kept:size() })
    assert.same({ 1, 1024 }, { kept:trim(2) })
  end)

  it("are encoded in a row, up to one that is not plain", function()
    local values = { "-", 1, "two", nil, false, { 5 }, print, 7, n = 8 }
    local whys = { [4] = "why", [5] = "because" }
    local kept, sum = core.answers_kept(), 0
    local count, total = kept:add_many(11, values, whys, 2, 8)
    assert.equal(5, count)
    for i = 2, 6 do
      local bytes = answers.encode(true, values[i], whys[i])
      assert.equal(bytes, kept:get(9 + i))
      sum = sum + weight(bytes)
    end
    assert.equal(sum, total)
    assert.same({ 0, 0 }, { kept:add_many(16, values, whys, 7, 8) })
    assert.same({ 1 }, { (kept:add_many(16, values, whys, 8, 8)) })
    local large = { ("x"):rep(100000), "y" }
    assert.equal(2, (kept:add_many(17, large, {}, 1, 2)))
    assert.equal(answers.encode(true, large[1]), kept:get(17))
    assert.equal(answers.encode(true, "y"), kept:get(18))
  end)

  it("are what a plain list of them is", function()
    helper.seed()
    local kept, list, first, last, sum = core.answers_kept(), {}, 1, 0, 0
    for _ = 1, 20000 do
      if math.random(3) > 1 then
        last = last + 1
        local bytes = ("%d."):format(last):rep(math.random(0, 30))
        if math.random(500) == 1 then bytes = bytes:rep(300) end
        list[last], sum = bytes, sum + #bytes
        assert.equal(#bytes, kept:add(last, bytes))
      elseif math.random(20) == 1 then
        local floor = math.random(first, last + 1)
        local before = sum
        for sequence = first, floor - 1 do
          sum, list[sequence] = sum - #list[sequence], nil
        end
        assert.same({ floor - first, before - sum }, { kept:trim(floor) })
        first = floor
      end
      local sequence = math.random(first - 1, last + 1)
      assert.equal(list[sequence], (kept:get(sequence)))
    end
    assert.same({ last + 1 - first, sum }, { kept:size() })
    assert.same(list, kept:all())
  end)
end)
