-- The battery `config`: its commands one by one, and at random beside a list of
-- documents.
local config = require "raft.services.config"
local Dice = require "spec.support.dice"
local one_service = require "spec.support.one_service"
local support = require "spec.support.helper"

local FIELDS <const> = {
  workers = { type = "integer", default = 4, min = 1, max = 64 },
  ratio = { type = "number", max = 1 },
  colour = { type = "string", one_of = { "red", "green" } },
  name = { type = "string", min = 1, max = 5 },
  on = { type = "boolean", default = false },
  extra = { type = "table" },
  what = { type = "any" },
}

local function check(settings)
  if settings.workers > 10 and settings.colour ~= "red" then
    return nil, "many workers are red"
  end
  settings.workers = 999  -- a copy
end

local function new(options)
  options = options or {}
  options.fields = options.fields == nil and FIELDS or options.fields
  return one_service.new(config(options))
end

local function refusal(options)
  local ok, why = pcall(function()
    local made = config(options)
    return made
  end)
  assert.is_false(ok)
  return (why:gsub("^[^:]*config_spec.lua:%d+: raft.services.config: ", ""))
end

describe("raft.services.config", function()
  it("sets, takes back, and knows defaults", function()
    local it = new()
    assert.equal(4, it:ask("get", "workers"))
    assert.is_nil((it:ask("get", "colour")))
    assert.equal(1, it:run("set", "workers", 8))
    assert.equal(2, it:run("set", "on", true))
    assert.same({ version = 2, time = 1000,
      settings = { workers = 8, on = true } }, it:ask("all"))
    assert.equal(3, it:run("unset", "workers"))
    assert.equal(4, it:ask("get", "workers"))
    assert.equal(4, it:run("set", "on", false))
    assert.is_false(it:ask("get", "on"))
    assert.equal(4, it:ask("version"))
  end)

  it("changes several at once, or all", function()
    local it = new()
    it:run("update", { workers = 5, colour = "red" })
    assert.same({ workers = 5, colour = "red", on = false },
      it:ask("all").settings)
    assert.equal(2, it:run("replace", { name = "x" }))
    assert.same({ workers = 4, name = "x", on = false },
      it:ask("all").settings)
  end)

  it("makes no version where nothing is another", function()
    local it = new()
    assert.equal(0, it:run("replace", {}))
    assert.equal(1, it:run("set", "name", "x"))
    assert.equal(1, it:run("set", "name", "x"))
    assert.equal(1, it:run("unset", "colour"))
    assert.equal(1, it:run("rollback", 1))
    assert.same({ { "change", 1 } }, it:told())
  end)

  for _, case in ipairs {
    { "workers", 65, "workers: expected an integer from 1 to 64, got 65" },
    { "workers", 1.0, "workers: expected an integer from 1 to 64, got 1.0" },
    { "workers", "5", 'workers: expected an integer from 1 to 64, got "5"' },
    { "ratio", 1.5, "ratio: expected a number up to 1, got 1.5" },
    { "ratio", 0 / 0, "ratio: expected a number up to 1, got " },
    { "colour", "blue", 'colour: expected one of "red", "green", got "blue"' },
    { "name", "", 'name: expected a string from 1 to 5 bytes, got ""' },
    { "name", "123456", 'name: expected a string from 1 to 5 bytes, got '
      .. '"123456"' },
    { "on", 1, "on: expected true or false, got 1" },
    { "extra", 1, "extra: expected a table, got 1" },
    { "colr", "red", 'there is no setting "colr": known are colour, extra, '
      .. "name, on, ratio, what, workers" },
  } do
    it("refuses: " .. case[3], function()
      local why = new():refusal("set", case[1], case[2])
      assert.equal(case[3], why:sub(1, #case[3]))
      assert.equal(why, new():refusal("update", { [case[1]] = case[2] }))
      assert.equal(why, new():refusal("replace", { [case[1]] = case[2] }))
    end)
  end

  it("refuses what is no name, no value and no table", function()
    local it = new()
    assert.equal("config.set: value: expected a value (unset takes one back), "
      .. "got nil", it:refusal("set", "on"))
    assert.truthy(it:refusal("set", 5, true))
    assert.truthy(it:refusal("update", 5))
    assert.truthy(it:refusal("replace"))
    assert.truthy(it:refusal("unset", "colr"))
    assert.truthy(it:no_answer("get", "colr"))
    assert.equal("a name is a string of 1 to 256 bytes, and not 5",
      it:refusal("update", { [5] = true }))
    assert.truthy(it:refusal("compare_and_set", 0))
    assert.truthy(it:refusal("rollback", "x"))
  end)

  it("takes anything without fields, up to bytes_max", function()
    local it = new { fields = false, bytes_max = 40 }
    assert.equal(1, it:run("set", "a", { b = { 1, 2 } }))
    assert.same({ b = { 1, 2 } }, it:ask("get", "a"))
    assert.is_nil((it:ask("get", "b")))
    assert.truthy(it:refusal("set", "b", ("x"):rep(30)):find(
      "and may be 40, which is bytes_max", 1, true))
  end)

  it("asks the user's function about the whole, with the defaults", function()
    local it = new { check = check }
    assert.equal(1, it:run("set", "workers", 10))
    assert.equal("many workers are red", it:refusal("set", "workers", 11))
    assert.equal(2, it:run("update", { workers = 11, colour = "red" }))
    assert.equal("many workers are red", it:refusal("set", "colour", "green"))
    assert.equal("many workers are red", it:refusal("unset", "colour"))
    assert.equal(11, it:ask("get", "workers"))
  end)

  it("says so where that function says no, and no more", function()
    local it = new { check = function() return false end }
    assert.equal("check has refused the settings", it:refusal("set", "on",
      true))
  end)

  it("compares and sets", function()
    local it = new()
    assert.is_false(it:run("compare_and_set", 1, { on = true }))
    assert.equal(1, it:run("compare_and_set", 0, { on = true }))
    assert.is_false(it:run("compare_and_set", 0, { on = false }))
    assert.truthy(it:refusal("compare_and_set", 1, { on = 5 }))
  end)

  it("refuses fields that cannot be", function()
    assert.equal('fields.a.type: expected a type: "any", "boolean", "integer", '
      .. '"number", "string" or "table", got nil',
      refusal { fields = { a = {} } })
    assert.equal("fields.a.default: expected an integer from 5 on, got 1",
      refusal { fields = { a = { type = "integer", min = 5, default = 1 } } })
    assert.equal("fields.a: min and max say nothing of the type table",
      refusal { fields = { a = { type = "table", min = 5 } } })
    assert.equal("fields.a: min is 5, and max is 4",
      refusal { fields = { a = { type = "number", min = 5, max = 4 } } })
    assert.equal("fields.a.typ: unknown option, did you mean type?",
      refusal { fields = { a = { typ = "any" } } })
    assert.truthy(refusal { check = 5 })
  end)
end)

describe("raft.services.config: versions", function()
  local function with_four(options)
    local it = new(options)
    for i = 1, 4 do
      it.time = it.time + 1
      it:run("set", "workers", 10 + i)
    end
    return it
  end

  it("are kept, with their time, and can be brought back", function()
    local it = with_four()
    assert.same({ version = 2, time = 1002,
      settings = { workers = 12, on = false } }, it:ask("at", 2))
    assert.is_nil((it:ask("at", 5)))
    assert.equal(5, it:run("rollback", 2))
    assert.equal(12, it:ask("get", "workers"))
    assert.equal(6, it:run("rollback", 0))
    assert.equal(4, it:ask("get", "workers"))
  end)

  it("go, the oldest first, beyond history_max", function()
    local it = with_four { history_max = 2 }
    assert.equal("version 1 is not kept", it:refusal("rollback", 1))
    assert.is_nil((it:ask("at", 1)))
    assert.equal(5, it:run("rollback", 2))
    assert.is_false(it:ask("since", 1))
    assert.equal(3, #it:ask("since", 2))
  end)

  it("are told newest first, and from one on", function()
    local it = with_four()
    local list = it:ask("history")
    assert.equal(5, #list)
    assert.equal(4, list[1].version)
    list = it:ask("history", 3, 2)
    assert.equal(2, #list)
    assert.equal(2, list[1].version)
    assert.equal(3, it:ask("since", 2)[1].version)
    assert.equal(1, #it:ask("since", 2, 1))
    assert.same({}, it:ask("since", 4))
    assert.same({}, it:ask("since", 9))
  end)

  it("that will not do any more cannot be brought back", function()
    local it = with_four()
    it:upgrade(config { version = 2, fields = { workers = { type = "integer",
      default = 1, max = 13 } } })
    assert.same({ version = 5, time = 1004, settings = { workers = 1 } },
      it:ask("all"))
    assert.truthy(it:refusal("rollback", 4))
    assert.equal(6, it:run("rollback", 3))
  end)

  it("stay where new fields have room for the settings", function()
    local it = with_four()
    it:upgrade(config { version = 2, history_max = 1, fields = {
      workers = { type = "any" }, new = { type = "any", default = 7 } } })
    assert.same({ version = 4, time = 1004,
      settings = { workers = 14, new = 7 } }, it:ask("all"))
    assert.is_nil((it:ask("at", 2)))
  end)

  it("are not those of an upgrade that the whole does not allow", function()
    local it = with_four()
    local ok, why = pcall(it.upgrade, it, config { version = 2,
      fields = FIELDS, check = function() return nil, "never" end })
    assert.is_false(ok)
    assert.equal("service config: upgrade to version 2: never", tostring(why))
    assert.equal(1, it.machine.in_use.services.config.version)
    assert.equal(4, it:ask("version"))
  end)
end)

------------------------------------------------------------------ the model --

local HISTORY <const> = 5

local function copy(t)
  local new_table = {}
  for key, value in pairs(t) do new_table[key] = value end
  return new_table
end

local function same(a, b)
  for key, value in pairs(a) do if b[key] ~= value then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end

-- What the settings become, or nil where they may not: at most three, and none
-- above 5.
local function put(model, settings)
  local count = 0
  for _, value in pairs(settings) do
    count = count + 1
    if value > 5 then return nil end
  end
  if count > 3 then return nil end
  if not same(settings, model[model.version]) then
    model.version = model.version + 1
    model[model.version] = settings
  end
  return model.version
end

local steps = {}

function steps.set(model, key, value)
  local settings = copy(model[model.version])
  settings[key] = value
  return put(model, settings), "set", key, value
end

function steps.unset(model, key)
  local settings = copy(model[model.version])
  settings[key] = nil
  return put(model, settings), "unset", key
end

function steps.replace(model, key, value)
  local settings = { [key] = value }
  return put(model, settings), "replace", settings
end

function steps.rollback(model, _, _, version)
  if version < model.version - HISTORY then return nil, "rollback", version end
  return put(model, copy(model[version])), "rollback", version
end

function steps.compare_and_set(model, key, value, version)
  if version ~= model.version then
    return false, "compare_and_set", version, { [key] = value }
  end
  local settings = copy(model[version])
  settings[key] = value
  return put(model, settings), "compare_and_set", version, { [key] = value }
end

it("a configuration is a list of documents", function()
  local dice = Dice.new(support.seed(), 5)
  local it = new { fields = false, history_max = HISTORY,
    check = function(settings)
      local count = 0
      for _, value in pairs(settings) do
        count = count + 1
        if value > 5 then return nil, "too large" end
      end
      if count > 3 then return nil, "too many" end
    end }
  local model = { [0] = {}, version = 0 }
  local names = { "set", "set", "unset", "replace", "rollback",
    "compare_and_set" }
  local function one()
    local version = dice:integer(math.max(0, model.version - 7), model.version)
    local step = table.pack(steps[dice:pick(names)](model,
      string.char(dice:integer(97, 102)), dice:integer(1, 6), version))
    if step[1] == nil then
      return it:refusal(table.unpack(step, 2, step.n))
    end
    assert.equal(step[1], (it:run(table.unpack(step, 2, step.n))))
  end
  for _ = 1, 2000 do
    one()
    assert.same(model[model.version], it:ask("all").settings)
    for version = math.max(0, model.version - HISTORY), model.version do
      assert.same(model[version], it:ask("at", version).settings)
    end
    if dice:once_in(50) then it:restart() end
  end
end)
