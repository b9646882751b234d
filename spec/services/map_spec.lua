-- The battery `map`: its commands one by one, and at random beside a table.
local Dice = require "spec.support.dice"
local map = require "raft.services.map"
local one_service = require "spec.support.one_service"
local support = require "spec.support.helper"

local function new(options) return one_service.new(map(options or {})) end

-- The changes since this version as "version key value", in one line.
local function changes(it, since)
  local words = {}
  for i, change in ipairs(it:ask("changes", since).changes) do
    words[i] = ("%d %s %s"):format(change.version, change.key,
      tostring(change.value))
  end
  return table.concat(words, ", ")
end

describe("raft.services.map", function()
  it("puts, gets and deletes", function()
    local it = new()
    assert.equal(1, it:run("put", "a", "x"))
    assert.equal(2, it:run("put", "b", { n = { 1, false } }))
    assert.equal(3, it:run("put", "a", false))
    assert.is_false(it:ask("get", "a"))
    assert.same({ n = { 1, false } }, it:ask("get", "b"))
    assert.same({ key = "a", value = false, version = 3 }, it:ask("item", "a"))
    assert.equal(2, it:ask("size"))
    assert.equal(4, it:run("delete", "a"))
    assert.is_false(it:run("delete", "a"))
    assert.is_nil((it:ask("get", "a")))
    assert.is_nil((it:ask("item", "a")))
    assert.equal(4, it:ask("version"))
  end)

  it("puts and deletes where the version is what was thought", function()
    local it = new()
    assert.is_false(it:run("put_if", "a", 1, "x"))
    assert.equal(1, it:run("put_if", "a", 0, "x"))
    assert.is_false(it:run("put_if", "a", 0, "y"))
    assert.equal(2, it:run("put_if", "a", 1, "y"))
    assert.is_false(it:run("delete_if", "a", 1))
    assert.equal(3, it:run("delete_if", "a", 2))
    assert.is_false(it:run("delete_if", "a", 2))
    assert.is_false(it:run("delete_if", "a", 0))
    assert.equal(4, it:run("put_if", "a", 0, "z"))
  end)

  it("refuses what it cannot keep", function()
    local it = new { keys_max = 2, key_bytes_max = 3, value_bytes_max = 10 }
    it:run("put", "a", 1)
    it:run("put", "b", 2)
    for _, key in ipairs { "", "1234", 5, {}, false } do
      assert.truthy(it:refusal("put", key, 1):find(
        "map.put: key: expected a string of 1 to 3 bytes, got ", 1, true))
    end
    assert.equal("map.put: value: expected a value, got nil",
      it:refusal("put", "a"))
    assert.equal('map.put: value: expected a value of at most 10 encoded bytes'
      .. ', got "123456789"', it:refusal("put", "a", "123456789"))
    assert.truthy(it:refusal("put", "a", 1, 0))
    assert.truthy(it:refusal("put", "a", 1, 1.5))
    assert.truthy(it:refusal("put_if", "a", -1, 1))
    assert.truthy(it:refusal("touch", "a", "x"))
    assert.equal("there are 2 keys, which is keys_max", it:refusal("put", "c",
      1))
    assert.truthy(it:refusal("put_if", "c", 0, 1))
    assert.equal(3, it:run("put", "a", 5))
    it:run("delete", "a")
    assert.equal(5, it:run("put", "c", 1))
  end)

  it("lists what begins with a prefix, page by page", function()
    local it = new()
    for i, key in ipairs { "b", "a/3", "a/1", "a/2", "a", "\xff" } do
      it:run("put", key, i)
    end
    local page = it:ask("list", "a/", nil, 2)
    assert.same({ version = 6, next = "a/2", items = {
      { key = "a/1", value = 3, version = 3 },
      { key = "a/2", value = 4, version = 4 } } }, page)
    page = it:ask("list", "a/", page.next, 2)
    assert.same({ version = 6, items = {
      { key = "a/3", value = 2, version = 2 } } }, page)
    assert.equal(6, #it:ask("list").items)
    assert.equal(3, #it:ask("list", "", "a/2").items)
    assert.same({}, it:ask("list", "b", "c").items)
    assert.equal("a/1", it:ask("list", "a/", "a").items[1].key)
    assert.truthy(it:no_answer("list", "", nil, 1001))
  end)

  it("tells each change with its version", function()
    local it = new()
    it:run("put", "a", { 1 })
    it:run("put_if", "a", 9, 1)
    it:run("delete", "a")
    it:run("delete", "a")
    assert.same({ { "change", 1, "a", { 1 } }, { "change", 2, "a" } },
      it:told())
  end)
end)

describe("raft.services.map: time", function()
  it("ends a key that was put for so long", function()
    local it = new()
    it:run("put", "a", 1, 500)
    it:run("put", "b", 2)
    assert.equal(1500, it:ask("item", "a").until_ms)
    it.time = 1499
    it:run("touch", "b")
    assert.equal(1, it:ask("get", "a"))
    it.time = 1500
    it:run("touch", "x")
    assert.is_nil((it:ask("get", "a")))
    assert.equal(1, it:ask("size"))
    assert.equal("1 a 1, 2 b 2, 3 a nil", changes(it, 0))
  end)

  it("shows no key that is over, also before it was removed", function()
    local it = new()
    it:run("put", "a", 1, 500)
    -- Another service's command brings the time with it.
    it.machine.newest = { index = 9, term = 1, time = 1500 }
    assert.is_nil((it:ask("get", "a")))
    assert.is_nil((it:ask("item", "a")))
    assert.equal(0, it:ask("size"))
    assert.same({}, it:ask("list").items)
    assert.equal(1, it:ask("version"))
    it.time = 1500
    assert.equal(1, it:run("sweep"))
    assert.equal(0, it:run("sweep"))
    assert.equal(2, it:ask("version"))
  end)

  it("is that of the newest put or touch", function()
    local it = new()
    it:run("put", "a", 1, 500)
    it:run("put", "b", 1, 500)
    it:run("put", "c", 1, 500)
    assert.is_true(it:run("touch", "a", 1000))
    assert.is_true(it:run("touch", "b"))
    it:run("put", "c", 2)
    assert.is_false(it:run("touch", "d", 5))
    it.time = 1999
    assert.equal(0, it:run("sweep"))
    assert.equal(3, it:ask("size"))
    it.time = 2000
    assert.equal(1, it:run("sweep"))
    assert.is_nil(it:ask("item", "b").until_ms)
  end)

  it("over: its key has no version, and makes room", function()
    local it = new { keys_max = 1 }
    it:run("put", "a", 1, 500)
    it.time = 1600
    assert.equal(3, it:run("put", "b", 1, 10))
    it.time = 1700
    assert.is_false(it:run("put_if", "b", 3, 1))
    assert.equal(5, it:run("put_if", "b", 0, 1))
  end)
end)

describe("raft.services.map: changes", function()
  it("are kept, the newest of them, without a gap", function()
    local it = new { history_max = 3 }
    for i = 1, 5 do it:run("put", "k" .. i, i) end
    assert.is_false(it:ask("changes", 0))
    assert.is_false(it:ask("changes", 1))
    assert.equal("3 k3 3, 4 k4 4, 5 k5 5", changes(it, 2))
    local page = it:ask("changes", 2, 2)
    assert.equal(4, page.version)
    assert.is_false(page.is_all)
    page = it:ask("changes", 4, 2)
    assert.equal(5, page.version)
    assert.is_true(page.is_all)
    assert.same({ changes = {}, version = 5, is_all = true },
      it:ask("changes", 5))
    assert.same({ changes = {}, version = 9, is_all = true },
      it:ask("changes", 9))
  end)

  it("are as many as a new version says", function()
    local it = new { history_max = 5 }
    for i = 1, 6 do it:run("put", "k", i) end
    it:upgrade(map { history_max = 2, version = 2 })
    assert.is_false(it:ask("changes", 3))
    assert.equal("5 k 5, 6 k 6", changes(it, 4))
    it:upgrade(map { history_max = 4, version = 3 })
    it:run("put", "k", 7)
    assert.is_false(it:ask("changes", 3))
    assert.equal("5 k 5, 6 k 6, 7 k 7", changes(it, 4))
  end)
end)

------------------------------------------------------------------ the model --

local KEYS_MAX <const>, HISTORY <const> = 6, 20

local Model = {}
Model.__index = Model

local function change(model, key, item)
  model.version = model.version + 1
  if item then item.version = model.version end
  model.items[key] = item
  model.log[model.version] = key .. " " .. tostring(item and item.value)
  return model.version
end

local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

-- Removes what is over, in the order of time, then of versions.
function Model:sweep(now)
  local over = {}
  for key, item in pairs(self.items) do
    if item.until_ms and item.until_ms <= now then
      over[#over + 1] = { item.until_ms, item.version, key }
    end
  end
  table.sort(over, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  for _, item in ipairs(over) do change(self, item[3], nil) end
  return #over
end

local steps = {}

local function ends_at(it, ttl) return ttl and it.time + ttl end

function steps.put(it, model, key, value, ttl)
  if not model.items[key] and count(model.items) >= KEYS_MAX then
    return assert.truthy(select(2, it:run("put", key, value, ttl)))
  end
  local version = change(model, key, { value = value,
    until_ms = ends_at(it, ttl) })
  assert.equal(version, it:run("put", key, value, ttl))
end

function steps.put_if(it, model, key, value, ttl, dice)
  local found = model.items[key] and model.items[key].version or 0
  if dice:once_in(2) then
    return assert.is_false(it:run("put_if", key, found + 1, value, ttl))
  elseif found == 0 and count(model.items) >= KEYS_MAX then
    return assert.truthy(select(2, it:run("put_if", key, 0, value, ttl)))
  end
  local version = change(model, key, { value = value,
    until_ms = ends_at(it, ttl) })
  assert.equal(version, it:run("put_if", key, found, value, ttl))
end

function steps.delete(it, model, key)
  local version = model.items[key] and change(model, key, nil) or false
  assert.equal(version, it:run("delete", key))
end

function steps.delete_if(it, model, key, _, _, dice)
  local found = model.items[key]
  local version = found and found.version or 0
  if not found or dice:once_in(2) then
    return assert.is_false(it:run("delete_if", key, version + 1))
  end
  assert.equal(change(model, key, nil), it:run("delete_if", key, version))
end

function steps.touch(it, model, key, _, ttl)
  local item = model.items[key]
  if item then item.until_ms = ends_at(it, ttl) end
  assert.equal(item ~= nil, it:run("touch", key, ttl))
end

local function assert_same(it, model)
  local names, items = {}, {}
  for name in pairs(model.items) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local item = model.items[name]
    items[i] = { key = name, value = item.value, version = item.version,
      until_ms = item.until_ms }
  end
  assert.same({ items = items, version = model.version }, it:ask("list"))
  assert.equal(#names, it:ask("size"))
  local oldest = math.max(0, model.version - HISTORY)
  for i, item in ipairs(it:ask("changes", oldest).changes) do
    assert.equal(oldest + i, item.version)
    assert.equal(model.log[oldest + i],
      item.key .. " " .. tostring(item.value))
  end
  if oldest > 0 then assert.is_false(it:ask("changes", oldest - 1)) end
end

it("a map is a table with versions", function()
  local dice = Dice.new(support.seed(), 3)
  local it = new { keys_max = KEYS_MAX, history_max = HISTORY }
  local model = setmetatable({ items = {}, log = {}, version = 0 }, Model)
  local names = { "put", "put", "put_if", "delete", "delete_if", "touch" }
  for i = 1, 3000 do
    it.time = it.time + dice:integer(0, 20)
    model:sweep(it.time)
    local key, ttl = string.char(dice:integer(97, 104)), dice:integer(1, 150)
    if dice:once_in(2) then ttl = nil end
    steps[dice:pick(names)](it, model, key, i, ttl, dice)
    assert_same(it, model)
    if dice:once_in(50) then it:restart() end
    assert.equal(model.version, it:ask("version"))
  end
end)
