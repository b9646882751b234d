-- What the functions of a service see, and what they may not bring with them.
local moment = require "raft.service.moment"
local names = require "raft.service.names"
local raft = require "raft"

local function init() return {} end

local function service_of(fn)
  local service = raft.service { name = "s", init = init,
    commands = { go = fn } }
  return service
end

local ENTRY <const> = { index = 7, term = 3, time = 1700000000999 }

-- Runs fn as a command of this entry: what pcall would say.
local function as(kind, entry, fn, ...)
  local go = service_of(fn).commands.go
  return pcall(moment.run, moment.new(entry, 1, kind), names.string_methods, go,
    ...)
end

local function run(fn, ...)
  return as("command", ENTRY, fn, ...)
end

-- Its result, which must be one.
local function result_of(fn, ...)
  local ok, result = run(fn, ...)
  assert.is_true(ok, result)
  return result
end

-- What it raises, without the place, which must be that of fn.
local function error_of(fn, ...)
  local ok, why = run(fn, ...)
  assert.is_false(ok)
  local text, count = why:gsub("^[^:]*guard_spec.lua:%d+: ", "")
  assert.equal(1, count, why)
  return text
end

-- Why raft.service refuses it.
local function refusal(fn)
  local ok, why = pcall(function()
    local service = service_of(fn)
    return service
  end)
  assert.is_false(ok)
  return (why:gsub("^[^:]*guard_spec.lua:%d+: raft.service: ", ""))
end

local MIXED <const> = { [true] = 1, [false] = 2, [-3] = 3, [2.5] = 4, b = 5,
  a = 6, "x", "y" }
local MIXED_KEYS <const> = "1 2 false true -3 2.5 a b"

describe("guard: order", function()
  it("of pairs is that of the codec", function()
    assert.equal(MIXED_KEYS, result_of(function(t)
      local keys = {}
      for key, value in pairs(t) do
        assert(t[key] == value)
        keys[#keys + 1] = tostring(key)
      end
      return table.concat(keys, " ")
    end, MIXED))
  end)

  it("of next is the same", function()
    assert.equal(MIXED_KEYS, result_of(function(t)
      local keys = {}
      for key, value in next, t do
        assert(t[key] == value)
        keys[#keys + 1] = tostring(key)
      end
      return table.concat(keys, " ")
    end, MIXED))
  end)

  it("lets go of keys that are removed on the way", function()
    assert.equal("1 a|1 a", result_of(function()
      local all = {}
      local t = { 1, 2, 3, a = 4, b = 5, c = 6 }
      local seen = {}
      for key in pairs(t) do
        seen[#seen + 1] = key
        if key == 1 then t[2], t[3] = nil, nil end
        if key == "a" then t.b, t.c = nil, nil end
        t[key] = nil
      end
      all[1] = table.concat(seen, " ")
      t, seen = { 1, 2, 3, a = 4, b = 5, c = 6 }, {}
      local key = next(t)
      while key ~= nil do
        seen[#seen + 1] = key
        if key == 1 then t[2], t[3] = nil, nil end
        if key == "a" then t.b, t.c = nil, nil end
        t[key] = nil
        key = next(t, key)
      end
      all[2] = table.concat(seen, " ")
      return table.concat(all, "|")
    end))
  end)

  it("of two walks at once is kept", function()
    assert.equal("ax ay bx by", result_of(function()
      local out, s, t = {}, { a = 1, b = 1 }, { x = 1, y = 1 }
      for i in next, s do
        for j in next, t do out[#out + 1] = i .. j end
      end
      return table.concat(out, " ")
    end))
  end)

  it("knows what was added since the walk began", function()
    assert.equal("c", result_of(function()
      local t = { a = 1 }
      local first = next(t)
      t.b, t.c = 2, 3
      return first == "a" and next(t, "b")
    end))
  end)

  it("forgets in one command where another one was", function()
    local t = { a = 1, c = 3 }
    assert.equal("a", result_of(function(s) return (next(s)) end, t))
    t.b = 2
    assert.equal("b", result_of(function(s) return (next(s, "a")) end, t))
  end)

  it("says nil of an empty table, and raises for a key that is none", function()
    assert.is_nil(result_of(function() return next({}) end))
    assert.equal("invalid key to 'next'", error_of(function()
      local key = next({ a = 1 }, "b")
      return key
    end))
  end)

  it("honours __pairs", function()
    assert.equal("k1 v1", result_of(function()
      local t = setmetatable({}, { __pairs = function()
        return function(_, key) if not key then return "k1", "v1" end end
      end })
      local seen = {}
      for key, value in pairs(t) do seen[#seen + 1] = key .. " " .. value end
      return table.concat(seen)
    end))
  end)

  it("raises for keys that have none", function()
    local ok, why = run(function()
      local fn = pairs({ [{}] = 1 })
      return fn
    end)
    assert.is_false(ok)
    assert.equal("a table as a key has no place in an order that is the same "
      .. "on every node", why)
    assert.equal("bad argument #1 to 'pairs' (table expected, got nil)",
      error_of(function() local fn = pairs(nil) return fn end))
  end)

  it("of table.sort is stable", function()
    local text = result_of(function()
      local list = {}
      for i = 1, 100 do list[i] = { key = i * 7 % 5, i = i } end
      table.sort(list, function(a, b) return a.key > b.key end)
      for i = 2, 100 do
        local a, b = list[i - 1], list[i]
        assert(a.key > b.key or a.key == b.key and a.i < b.i)
      end
      local words = { "c", "a", "b" }
      table.sort(words)
      return table.concat(words)
    end)
    assert.equal("abc", text)
  end)

  it("of a list that cannot be sorted stays", function()
    assert.equal("2 1 x", result_of(function()
      local list = { 2, 1, "x" }
      assert(not pcall(table.sort, list))
      return table.concat(list, " ")
    end))
  end)
end)

describe("guard: chance and time", function()
  local function draw()
    return { math.random(), math.random(6), math.random(-5, 5), math.random(0),
      math.random(math.mininteger, math.maxinteger) }
  end

  it("draws the same for the same entry, and others for others", function()
    local first = result_of(draw)
    assert.same(first, result_of(draw))
    for _, other in ipairs { { index = 8, term = 3 }, { index = 7, term = 4 },
      { index = 3, term = 7 } } do
      other.time = 0
      local ok, drawn = as("command", other, draw)
      assert.is_true(ok)
      assert.not_same(first, drawn)
    end
  end)

  it("draws evenly, and within the bounds", function()
    assert.is_true(result_of(function()
      local counts = { 0, 0, 0 }
      for _ = 1, 3000 do
        local n = math.random(3)
        counts[n] = counts[n] + 1
        local real = math.random()
        assert(real >= 0 and real < 1)
      end
      for _, count in ipairs(counts) do
        assert(count > 850 and count < 1150, count)
      end
      return true
    end))
  end)

  it("refuses what math.random refuses", function()
    assert.equal("bad argument #1 to 'random' (interval is empty)",
      error_of(function() local n = math.random(-1) return n end))
    assert.equal("bad argument #2 to 'random' (interval is empty)",
      error_of(function() local n = math.random(5, 1) return n end))
    assert.equal("bad argument #1 to 'random' (an integer expected, got 1.5)",
      error_of(function() local n = math.random(1.5) return n end))
  end)

  it("has no numbers in a query", function()
    local ok, why = as("query", ENTRY, function()
      local n = math.random()
      return n
    end)
    assert.is_false(ok)
    assert.truthy(why:find("math.random: a query has no entry to draw from", 1,
      true))
  end)

  it("takes the time from the entry's stamp, in UTC", function()
    assert.equal(1700000000, result_of(function() return os.time() end))
    assert.equal("2023-11-14 22:13:20", result_of(function()
      return os.date("%Y-%m-%d %H:%M:%S")
    end))
    assert.equal(22, result_of(function() return os.date("*t").hour end))
    assert.equal("1970-01-02", result_of(function()
      return os.date("!%Y-%m-%d", 86400)
    end))
  end)

  it("makes a time of a date, in UTC", function()
    for _, seconds in ipairs { 0, 951782400, 1709164800, 1700000000, -1,
      4107542400 } do
      assert.equal(seconds, result_of(function(at)
        return os.time(os.date("*t", at))
      end, seconds))
    end
    assert.equal(1704110400, result_of(function()
      return os.time { year = 2023, month = 13, day = 1 }
    end))
    assert.equal("field 'day' missing in date table", error_of(function()
      local seconds = os.time { year = 2023, month = 1 }
      return seconds
    end))
  end)

  it("shows the entry, as a table of the command's own", function()
    assert.same({ index = 7, term = 3, time = 1700000000999, version = 1 },
      result_of(function()
        assert(entry == entry)
        return entry
      end))
    assert.not_equal(result_of(function() return entry end),
      result_of(function() return entry end))
  end)
end)

describe("guard: texts", function()
  it("of what has an address raise", function()
    for kind, value in pairs { table = {}, ["function"] = init } do
      local words = ("the text of a %s is its address, which differs from "
        .. "node to node"):format(kind)
      assert.equal(words, error_of(function(v)
        local text = tostring(v)
        return text
      end, value))
      assert.equal(words, error_of(function(v)
        local text = string.format("%d %s", 1, v)
        return text
      end, value))
      assert.equal(words, error_of(function(v)
        local text = ("%s"):format(v)
        return text
      end, value))
    end
    assert.equal("%p is an address, which differs from node to node",
      error_of(function()
        local text = ("%% %5p"):format("x")
        return text
      end))
  end)

  it("of all else are as ever", function()
    assert.equal("1 1.5 nil true x %p 007 [ab ]", result_of(function()
      return table.concat({ tostring(1), tostring(1.5), tostring(nil),
        ("%s"):format(true), ("%s %%p %03d [%-3s]"):format("x", 7, "ab") }, " ")
    end))
    assert.equal("mine", result_of(function()
      return ("%s"):format(setmetatable({}, {
        __tostring = function() return "mine" end }))
    end))
  end)
end)

describe("guard: what is not there", function()
  for _, name in ipairs { "_G", "debug", "load", "loadfile", "dofile",
    "require", "package", "coroutine", "collectgarbage", "io", "os.clock",
    "os.execute", "os.getenv", "math.randomseed", "string.dump" } do
    it(name .. " raises, and says why", function()
      local fn = load("local value = " .. name .. " return value",
        "=guard_spec.lua")
      local why = error_of(fn)
      assert.truthy(why:find(name .. " is not there in a service: ", 1, true),
        why)
    end)
  end

  it("globals cannot be set, nor the libraries changed", function()
    assert.equal("a service cannot set the global total: it is no part of the "
      .. "state", error_of(load("total = 1", "=guard_spec.lua")))
    assert.is_nil(rawget(_G, "total"))
    assert.equal("math: a service cannot change it",
      error_of(load("math.tau = 1", "=guard_spec.lua")))
    assert.is_nil(rawget(math, "tau"))
  end)

  it("a metatable cannot ask the collector for something", function()
    for _, name in ipairs { "__gc", "__mode" } do
      assert.equal(("setmetatable: %s does what the collector finds time for, "
        .. "which differs from node to node"):format(name),
        error_of(function(key)
          local t = setmetatable({}, { [key] = "k" })
          return t
        end, name))
    end
  end)

  it("a global of the program is under the guard from when it is read",
    function()
      local globals = { helper = function(t)
        local keys = {}
        for key in pairs(t) do keys[#keys + 1] = tostring(key) end
        return table.concat(keys, " ")
      end, LIMIT = 5 }
      local fn = load("return function(t) return helper(t) .. LIMIT end",
        "=program", "t", globals)()
      assert.equal(MIXED_KEYS .. "5", result_of(fn, MIXED))
    end)

  it("so is what the program has put into a library", function()
    rawset(string, "keys_of", function(_, t)
      local keys = {}
      for key in pairs(t) do keys[#keys + 1] = tostring(key) end
      return table.concat(keys, " ")
    end)
    finally(function() rawset(string, "keys_of", nil) end)
    assert.equal(MIXED_KEYS, result_of(function(t) return (""):keys_of(t) end,
      MIXED))
  end)

  it("and is refused then where it brings what may not be there", function()
    local each = pairs
    local globals = { helper = function(t) return each(t) end }
    local fn = load("local fn = helper return fn", "=guard_spec.lua", "t",
      globals)
    assert.truthy(error_of(fn):find("global helper: upvalue each: it is pairs",
      1, true))
  end)
end)

describe("guard: faults of this node", function()
  local fault = require "raft.fault"

  it("are not the program's to catch", function()
    for _, catch in ipairs { pcall, function(fn)
      return xpcall(fn, function() return "handled" end)
    end } do
      local ok, why = run(function()
        local function deeper(n) return 1 + deeper(n) end
        catch(deeper)
        return "caught"
      end)
      assert.is_false(ok)
      assert.truthy(fault.value_of(why):find("stack overflow", 1, true))
    end
  end)

  it("errors of the program are, as ever", function()
    assert.same({ false, "boom", false, "boom!", true, 5 },
      result_of(function()
        local a, b = pcall(error, "boom", 0)
        local c, d = xpcall(error, function(why) return why .. "!" end, "boom",
          0)
        local e, f = pcall(function() return 5 end)
        return { a, b, c, d, e, f }
      end))
  end)
end)

describe("guard: upvalues", function()
  local each, successor, random, seed = pairs, next, math.random,
    math.randomseed
  local time, execute, open, clock = os.time, os.execute, io.open, os.clock
  local G, os_, io_, debug_ = _G, os, io, debug
  local compile, need, wrap = load, require, coroutine.wrap
  local input, errors_out = io.stdin, io.stderr

  local function holding(value)
    return function() return value end
  end

  for name, value in pairs { pairs = each, next = successor,
    ["math.random"] = random, ["math.randomseed"] = seed, ["os.time"] = time,
    ["os.execute"] = execute, ["os.clock"] = clock, ["io.open"] = open, _G = G,
    os = os_, io = io_, debug = debug_, load = compile, require = need,
    ["coroutine.wrap"] = wrap, ["io.stdin"] = input,
    ["io.stderr"] = errors_out } do
    it("may not be " .. name, function()
      local why = refusal(holding(value))
      assert.equal(1, why:find(("commands.go: upvalue value: it is %s, which a "
        .. "service cannot use: "):format(name), 1, true), why)
    end)
  end

  it("may not be that of a helper, and the path says where", function()
    local function keys(t)
      local result = {}
      for key in each(t) do result[#result + 1] = key end
      return result
    end
    local lib = { deep = { keys = keys } }
    assert.truthy(refusal(function(t) return lib.deep.keys(t) end):find(
      "commands.go: upvalue lib.deep.keys: upvalue each: it is pairs", 1, true))
    local object = setmetatable({}, { __index = lib })
    assert.truthy(refusal(function(t) return object.deep.keys(t) end):find(
      "upvalue object's metatable.__index.deep.keys: upvalue each: it is pairs",
      1, true))
  end)

  it("may not hold it in a table", function()
    local lib = { walk = each }
    assert.truthy(refusal(function(t) return lib.walk(t) end):find(
      "commands.go: upvalue lib.walk: it is pairs", 1, true))
  end)

  it("of init, upgrade and queries count, too", function()
    for _, def in ipairs {
      { init = holding(each), "init" },
      { upgrade = holding(each), "upgrade" },
      { queries = { q = holding(each) }, "queries.q" },
    } do
      local path = table.remove(def)
      def.name, def.init = "s", def.init or init
      local ok, why = pcall(raft.service, def)
      assert.is_false(ok)
      assert.truthy(why:find(path .. ": upvalue value: it is pairs", 1, true))
    end
  end)

  it("a command cannot be such a function itself", function()
    assert.truthy(refusal(pairs):find("commands.go: it is pairs", 1, true))
  end)

  it("that are what only has another face inside are exchanged", function()
    local text, format, sort = tostring, string.format, table.sort
    local numbers, words, lists = math, string, table
    local ok = run(function() return text({}) end)
    assert.is_false(ok)
    ok = run(function() return format("%s", {}) end)
    assert.is_false(ok)
    ok = run(function() return words.format("%s", {}) end)
    assert.is_false(ok)
    local first = result_of(function() return numbers.random(1 << 60) end)
    assert.equal(first, result_of(function() return math.random(1 << 60) end))
    local stable = result_of(function()
      local list = {}
      for i = 1, 50 do list[i] = { i = i } end
      sort(list, function() return false end)
      lists.sort(list, function() return false end)
      for i = 1, 50 do assert(list[i].i == i) end
      return true
    end)
    assert.is_true(stable)
    -- And outside of a service they are as ever.
    assert.is_string((function() return text({}) end)())
  end)

  it("may be helpers: what they see is guarded", function()
    local function each_key(t)
      local keys = {}
      for key in pairs(t) do keys[#keys + 1] = tostring(key) end
      return table.concat(keys, " ")
    end
    local lib = { keys = each_key }
    assert.equal(MIXED_KEYS, result_of(function(t) return lib.keys(t) end,
      MIXED))
  end)

  it("may go round in circles", function()
    local even
    local function odd(n) if n == 0 then return false end return even(n - 1) end
    function even(n) if n == 0 then return true end return odd(n - 1) end
    local circle = { fn = odd }
    circle.circle = circle
    assert.is_true(result_of(function(n) return circle.circle.fn(n) end, 7))
  end)

  it("keep their values, which the service and the program share", function()
    local seen, count = {}, 0
    result_of(function(n)
      seen[#seen + 1] = n
      count = count + n
    end, 3)
    assert.same({ 3 }, seen)
    assert.equal(3, count)
  end)

  it("may be functions of the library", function()
    local lib = raft
    assert.equal("\1\3\10", result_of(function(v)
      return lib.codec.encode(v)
    end, 5))
  end)

  it("what load made is under the guard as well", function()
    local helper = load("return tostring(...)", "=helper")
    assert.is_false((run(function() return helper({}) end)))
    local stripped = load(string.dump(function(t)
      local first = next(t)
      return first
    end, true))
    assert.equal("a", result_of(function(t) return stripped(t) end,
      { b = 1, c = 2, a = 3 }))
  end)

  it("nothing is changed where something is refused", function()
    local bad = pairs
    local function fn() return tostring({}), bad end
    refusal(fn)
    local name, value = debug.getupvalue(fn, 1)
    assert.equal("_ENV", name)
    assert.equal(_ENV, value)
  end)
end)

describe("guard: the rest of the program", function()
  it("sees a shared function as it was", function()
    local function helper(t) return tostring(t), require end
    assert.is_false((run(function() return helper({}) end)))
    local text, found = helper({})
    assert.truthy(text:find("^table: "))
    assert.equal(require, found)
  end)

  it("may set its globals in a shared function", function()
    local globals = {}
    local fn = load("total = (total or 0) + 1 return total", "=program", "t",
      globals)
    service_of(function() return fn end)
    assert.equal(1, fn())
    assert.equal(2, fn())
    assert.equal(2, globals.total)
  end)

  it("two services may share a function", function()
    local function helper(t)
      local first = next(t)
      return first
    end
    for _ = 1, 2 do
      assert.equal("a", result_of(function(t) return helper(t) end,
        { b = 1, c = 2, a = 3 }))
    end
  end)

  it("has the methods of strings back, also after an error", function()
    local before = getmetatable("").__index
    run(function() error("boom") end)
    assert.equal(before, getmetatable("").__index)
    assert.is_string(("%s"):format({}))
  end)
end)
