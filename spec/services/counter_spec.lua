-- The battery `counter`: its commands one by one, and at random beside a table.
local counter = require "raft.services.counter"
local Dice = require "spec.support.dice"
local one_service = require "spec.support.one_service"
local support = require "spec.support.helper"

local function new(options) return one_service.new(counter(options or {})) end

-- Why these options are refused.
local function refusal(options)
  local ok, why = pcall(function()
    local made = counter(options)
    return made
  end)
  assert.is_false(ok)
  return (why:gsub("^[^:]*counter_spec.lua:%d+: ", ""))
end

describe("raft.services.counter", function()
  it("is a service of its name", function()
    assert.equal("raft.service counter (version 1)", tostring(counter()))
    assert.equal("raft.service hits (version 3)",
      tostring(counter { name = "hits", version = 3 }))
  end)

  it("refuses options, with the path, and blames who gave them", function()
    assert.equal("raft.services.counter: nam: unknown option, did you mean "
      .. "name?", refusal { nam = "x" })
    assert.equal("raft.services.counter: min: expected an integer from "
      .. "-9223372036854775808 to 0, got 1", refusal { min = 1 })
    assert.equal("raft.services.counter: name: \"stop\" is a method or a field "
      .. "of every node", refusal { name = "stop" })
    assert.equal("raft.services.counter: expected a table of options, got 5",
      refusal(5))
  end)

  it("adds, and says what there is then", function()
    local it = new()
    assert.equal(5, it:run("add", "a", 5))
    assert.equal(6, it:run("add", "a"))
    assert.equal(4, it:run("add", "a", -2))
    assert.equal(4, it:ask("get", "a"))
    assert.equal(0, it:ask("get", "b"))
  end)

  it("has one counter without a name", function()
    local it = new()
    assert.equal(1, it:run("add"))
    assert.equal(6, it:run("add", 5))
    assert.equal(4, it:run("add", nil, -2))
    assert.equal(4, it:run("set", 7))
    assert.is_true(it:run("compare_and_set", 7, 8))
    assert.equal(8, it:ask("get"))
    assert.equal(8, it:run("reset"))
    assert.equal(0, it:ask("size"))
  end)

  it("sets and resets, and says what there was before", function()
    local it = new()
    assert.equal(0, it:run("set", "a", 5))
    assert.equal(5, it:run("set", "a", 7))
    assert.equal(7, it:run("reset", "a"))
    assert.equal(0, it:run("reset", "a"))
  end)

  it("compares and sets", function()
    local it = new()
    assert.is_false(it:run("compare_and_set", "a", 1, 2))
    assert.is_true(it:run("compare_and_set", "a", 0, 2))
    assert.is_false(it:run("compare_and_set", "a", 0, 3))
    assert.equal(2, it:ask("get", "a"))
  end)

  it("refuses what is no integer, and what is no key", function()
    local it = new()
    it:run("add", "a", 1)
    for _, n in ipairs { 1.0, 0.5, "1", true, {} } do
      assert.truthy(it:refusal("add", "a", n):find(
        "counter.add: n: expected an integer, got ", 1, true))
    end
    assert.equal("counter.set: n: expected an integer, got nil",
      it:refusal("set", "a"))
    assert.equal("counter.add: key: expected a string of 0 to 256 bytes, got a "
      .. "table", it:refusal("add", {}, 1))
    assert.truthy(it:refusal("add", ("x"):rep(257)))
    assert.equal("counter.add: expected 2 arguments at most, got 3",
      it:refusal("add", "a", 1, 1))
    assert.equal("counter.get: key: expected a string of 0 to 256 bytes, got "
      .. "true", it:no_answer("get", true))
  end)

  it("refuses what no integer holds", function()
    local it = new()
    assert.equal(math.maxinteger, it:run("add", "a", math.maxinteger))
    assert.truthy(it:refusal("add", "a", 1):find(
      '"a" would be beyond every integer', 1, true))
    assert.equal(-1, it:run("add", "a", math.mininteger))
    assert.equal(math.mininteger, it:run("add", "b", math.mininteger))
    assert.truthy(it:refusal("add", "b", -1))
    assert.truthy(it:refusal("add", "b", math.mininteger))
    assert.equal(math.mininteger, it:ask("get", "b"))
  end)

  it("refuses what is out of min and max", function()
    local it = new { min = 0, max = 10 }
    assert.equal('"a" would be -1, and may be from 0 to 10',
      it:refusal("add", "a", -1))
    assert.equal(10, it:run("add", "a", 10))
    assert.truthy(it:refusal("add", "a", 1))
    assert.truthy(it:refusal("set", "a", 11))
    assert.truthy(it:refusal("compare_and_set", "a", 10, 11))
  end)

  it("has keys_max of them, and those at 0 do not count", function()
    local it = new { keys_max = 2 }
    it:run("add", "a")
    it:run("add", "b")
    assert.equal("there are 2 counters, which is keys_max",
      it:refusal("add", "c"))
    assert.truthy(it:refusal("set", "c", 5))
    assert.truthy(it:refusal("compare_and_set", "c", 0, 5))
    assert.equal(0, it:run("set", "c", 0))
    assert.equal(2, it:run("add", "a"))
    it:run("reset", "a")
    assert.equal(1, it:run("add", "c"))
    assert.equal(2, it:ask("size"))
  end)

  it("lists in the order of the bytes, page by page", function()
    local it = new()
    for i, name in ipairs { "b", "a2", "a1", "a3", "\xff", "a" } do
      it:run("set", name, i)
    end
    local page = it:ask("list", "a", nil, 2)
    assert.same({ items = { { key = "a", value = 6 },
      { key = "a1", value = 3 } }, next = "a1" }, page)
    page = it:ask("list", "a", page.next, 2)
    assert.same({ items = { { key = "a2", value = 2 },
      { key = "a3", value = 4 } } }, page)
    assert.equal(6, #it:ask("list").items)
    assert.same({ items = {} }, it:ask("list", "c"))
    assert.truthy(it:no_answer("list", "", nil, 0))
  end)

  it("tells changes, and nothing else", function()
    local it = new()
    it:run("add", "a", 5)
    it:run("set", "a", 5)
    it:run("add", "a", 0)
    it:run("compare_and_set", "a", 4, 9)
    it:run("reset", "a")
    assert.same({ { "change", "a", 5 }, { "change", "a", 0 } }, it:told())
  end)

  it("keeps its limits, whatever the next node was started with", function()
    local it = new { max = 5 }
    it:run("add", "a", 5)
    it:restart(counter { max = 100 })
    assert.truthy(it:refusal("add", "a", 1))
    it:upgrade(counter { max = 100, version = 2 })
    assert.equal(6, it:run("add", "a", 1))
  end)
end)

------------------------------------------------------------------ the model --

local LOW <const>, HIGH <const>, KEYS_MAX <const> = -20, 20, 6

local function model_size(model)
  local size = 0
  for _ in pairs(model) do size = size + 1 end
  return size
end

-- May the counter have this value in the model?
local function may_be(model, key, value)
  if value < LOW or value > HIGH then return false end
  return value == 0 or model[key] ~= nil or model_size(model) < KEYS_MAX
end

local function put(model, key, value)
  model[key] = value ~= 0 and value or nil
end

local steps = {}

function steps.add(it, model, key, n)
  local value = (model[key] or 0) + n
  if not may_be(model, key, value) then return it:refusal("add", key, n) end
  put(model, key, value)
  assert.equal(value, it:run("add", key, n))
end

function steps.set(it, model, key, n)
  if not may_be(model, key, n) then return it:refusal("set", key, n) end
  assert.equal(model[key] or 0, (it:run("set", key, n)))
  put(model, key, n)
end

function steps.reset(it, model, key)
  assert.equal(model[key] or 0, (it:run("reset", key)))
  put(model, key, 0)
end

function steps.compare_and_set(it, model, key, n, dice)
  local from = dice:once_in(2) and model[key] or 0
  if n < LOW or n > HIGH then
    return it:refusal("compare_and_set", key, from, n)
  end
  if from ~= (model[key] or 0) then
    return assert.is_false(it:run("compare_and_set", key, from, n))
  elseif not may_be(model, key, n) then
    return it:refusal("compare_and_set", key, from, n)
  end
  assert.is_true(it:run("compare_and_set", key, from, n))
  put(model, key, n)
end

local function assert_same(it, model)
  local names, items = {}, {}
  for name in pairs(model) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    items[i] = { key = name, value = model[name] }
  end
  assert.same({ items = items }, it:ask("list"))
  assert.equal(#names, it:ask("size"))
end

it("counters are a table of integers", function()
  local dice = Dice.new(support.seed(), 1)
  local it = new { min = LOW, max = HIGH, keys_max = KEYS_MAX }
  local model, names = {}, { "add", "set", "reset", "compare_and_set" }
  for _ = 1, 2000 do
    local key = string.char(dice:integer(97, 104))
    steps[dice:pick(names)](it, model, key, dice:integer(-25, 25), dice)
    if dice:once_in(50) then it:restart() end
    if dice:once_in(10) then assert_same(it, model) end
  end
end)
