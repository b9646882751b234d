local plain = require "raft.plain"
local support = require "spec.support.helper"

-- The defined order, written out.
local ORDERED <const> = { false, true, math.mininteger, -1, 0, 7,
  math.maxinteger, -math.huge, -0.5, 0.5, 2.0 ^ 63, math.huge, "", "\0", "A",
  "a", "a\0", "a\0b", "ab", "b", "\xc3\xa4", "\xff" }

-- An array in an order drawn at random.
local function shuffled(list)
  local copy = table.move(list, 1, #list, 1, {})
  for i = #copy, 2, -1 do
    local j = math.random(i)
    copy[i], copy[j] = copy[j], copy[i]
  end
  return copy
end

describe("plain", function()
  it("orders any two keys", function()
    for i, a in ipairs(ORDERED) do
      for j, b in ipairs(ORDERED) do
        assert.equal(i < j, plain.key_less(a, b),
          ("%q before %q"):format(a, b))
      end
    end
  end)

  it("sorts keys of all kinds", function()
    support.seed()
    for _ = 1, 50 do
      assert.same(ORDERED, plain.sort_keys(shuffled(ORDERED), false))
    end
  end)

  it("sorts strings by bytes in other locales too", function()
    local words = table.move(ORDERED, 13, #ORDERED, 1, {})
    local before = os.setlocale(nil, "collate")
    for _, locale in ipairs { "C", "C.UTF-8", "en_US.UTF-8" } do
      if os.setlocale(locale, "collate") then
        local sorted = plain.sort_keys(shuffled(words), true)
        local mixed = plain.sort_keys(shuffled(ORDERED), false)
        os.setlocale(before, "collate")
        assert.same(words, sorted)
        assert.same(ORDERED, mixed)
      end
    end
  end)

  it("has no rank for what can be no key", function()
    assert.is_nil(plain.key_rank({}))
    assert.is_nil(plain.key_rank(print))
    assert.is_nil(plain.key_rank(nil))
  end)

  it("knows scalars", function()
    for _, value in ipairs { false, 0, 0.5, "" } do
      assert.is_true(plain.is_scalar(value))
    end
    assert.is_true(plain.is_scalar(nil))
    assert.is_false(plain.is_scalar({}))
    assert.is_false(plain.is_scalar(print))
  end)
end)
