-- The sorted list of the batteries, beside an array that is sorted each time.
local codec = require "raft.codec"
local Dice = require "spec.support.dice"
local sorted = require "raft.services.support.sorted"
local support = require "spec.support.helper"

local function less(a, b) return a < b end

local function items_of(following)
  local items = {}
  for item in following do items[#items + 1] = item end
  return items
end

describe("raft.services.support.sorted", function()
  it("is empty at first", function()
    local list = sorted.new()
    assert.is_nil(sorted.first(list))
    assert.same({}, items_of(sorted.each(list)))
    assert.same({}, items_of(sorted.from(list, 5, less)))
    assert.is_false(sorted.remove(list, 5, less))
  end)

  it("orders pairs by the first, then by the second", function()
    local list = sorted.new()
    for _, pair in ipairs { { 2, 1 }, { 1, 9 }, { 2, 0 }, { 1, 3 } } do
      sorted.insert(list, pair, sorted.pair_less)
    end
    assert.same({ { 1, 3 }, { 1, 9 }, { 2, 0 }, { 2, 1 } },
      items_of(sorted.each(list)))
    assert.is_true(sorted.remove(list, { 1, 9 }, sorted.pair_less))
    assert.is_false(sorted.remove(list, { 1, 9 }, sorted.pair_less))
  end)

  it("keeps its chunks small, and none that is empty", function()
    local list = sorted.new()
    for i = 1, 1000 do sorted.insert(list, i, less) end
    for _, chunk in ipairs(list.chunks) do assert.is_true(#chunk <= 128) end
    for i = 1, 1000 do assert.is_true(sorted.remove(list, i, less)) end
    assert.same({ size = 0, chunks = {} }, list)
  end)

  it("is what a sorted array is", function()
    local dice, list, has = Dice.new(support.seed(), 2), sorted.new(), {}
    for step = 1, 6000 do
      local item = dice:integer(1, 1500)
      if has[item] then
        assert.is_true(sorted.remove(list, item, less))
        has[item] = nil
      else
        assert.is_false(sorted.remove(list, item, less))
        sorted.insert(list, item, less)
        has[item] = true
      end
      if step % 500 == 0 then
        list = codec.decode(codec.encode(list))
        local all, from = {}, {}
        for i = 1, 1500 do
          if has[i] then all[#all + 1] = i end
          if has[i] and i >= item then from[#from + 1] = i end
        end
        assert.equal(#all, list.size)
        assert.equal(all[1], sorted.first(list))
        assert.same(all, items_of(sorted.each(list)))
        assert.same(from, items_of(sorted.from(list, item, less)))
      end
    end
  end)
end)
