-- Orders against what they are by definition, over many random tables.
local Dice = require "spec.support.dice"
local helper = require "spec.support.helper"
local ordered = require "raft.service.ordered"
local plain = require "raft.plain"

local ROUNDS <const> = 300

local function new_dice()
  local dice = Dice.new(helper.seed(), 1)
  return function(low, high) return dice:integer(low, high) end
end

local function random_key(dice)
  local kind = dice(1, 5)
  if kind == 1 then return dice(0, 1) == 1 end
  if kind == 2 then return dice(-5, 12) end
  if kind == 3 then return dice(-5, 5) + 0.5 end
  if kind == 4 then return string.char(dice(1, 255)) end
  return "k" .. dice(1, 9)
end

local function random_table(dice)
  local t = {}
  for i = 1, dice(0, 6) do t[i] = i end
  for _ = 1, dice(0, 10) do t[random_key(dice)] = dice(1, 100) end
  return t
end

-- The keys of t by definition: 1..n, then all others, ascending.
local function keys_of(t)
  local keys, others = {}, {}
  while t[#keys + 1] ~= nil do keys[#keys + 1] = #keys + 1 end
  for key in next, t do
    local is_listed = math.type(key) == "integer" and key >= 1 and key <= #keys
    if not is_listed then others[#others + 1] = key end
  end
  table.sort(others, plain.key_less)
  return table.move(others, 1, #others, #keys + 1, keys)
end

-- The keys that a way through t meets; `look(t, key)` may remove some.
local function met_by_pairs(t, look)
  local met = {}
  for key, value in ordered.pairs(t) do
    assert.equal(t[key], value)
    met[#met + 1] = key
    look(t, key)
  end
  return met
end

local function met_by_next(t, look)
  local met = {}
  local key, value = ordered.next(t)
  while key ~= nil do
    assert.equal(t[key], value)
    met[#met + 1] = key
    look(t, key)
    assert.is_true(#met < 50, "a way without an end")
    key, value = ordered.next(t, key)
  end
  return met
end

local WAYS <const> = { pairs = met_by_pairs, next = met_by_next }

describe("ordered", function()
  for name, way in pairs(WAYS) do
    it(name .. " goes through any table in its order", function()
      local dice = new_dice()
      for _ = 1, ROUNDS do
        local t = random_table(dice)
        ordered.forget()
        assert.same(keys_of(t), way(t, function() end))
      end
    end)

    it(name .. " misses what is removed on the way, and nothing else",
      function()
        local dice = new_dice()
        for _ = 1, ROUNDS do
          local t = random_table(dice)
          local before, removed = keys_of(t), {}
          ordered.forget()
          local met = way(t, function(_, key)
            local victim = before[dice(1, #before)]
            if dice(1, 3) == 1 then victim = key end
            t[victim] = nil
            removed[victim] = true
          end)
          local position = {}
          for i, key in ipairs(met) do position[key] = i end
          local last = 0
          for _, key in ipairs(before) do
            local at = position[key]
            assert.is_true(at ~= nil or removed[key] == true)
            if at then
              assert.equal(last + 1, at)
              last = at
            end
          end
        end
      end)
  end

  it("sort keeps the places of equal items", function()
    local dice = new_dice()
    for _ = 1, ROUNDS do
      local list = {}
      for i = 1, dice(0, 40) do list[i] = { key = dice(1, 5), place = i } end
      ordered.sort(list, function(a, b) return a.key < b.key end)
      for i = 2, #list do
        local a, b = list[i - 1], list[i]
        assert.is_true(a.key < b.key or a.key == b.key and a.place < b.place)
      end
    end
  end)

  it("sort does what table.sort does where all differ", function()
    local dice = new_dice()
    for _ = 1, ROUNDS do
      local list = {}
      for i = 1, dice(0, 40) do list[i] = dice(1, 1 << 30) end
      local wanted = table.move(list, 1, #list, 1, {})
      table.sort(wanted)
      ordered.sort(list)
      assert.same(wanted, list)
      table.sort(wanted, function(a, b) return a > b end)
      ordered.sort(list, function(a, b) return a > b end)
      assert.same(wanted, list)
    end
  end)
end)
