-- A proxy over whatever can ask: here over an object that only takes notes.
local codec = require "raft.codec"
local proxy = require "raft.service.proxy"

local DESCRIPTION <const> = { version = 3,
  commands = { add = true, set = true }, queries = { total = true } }

-- An object that answers everything with "done", and runs what is deferred
-- when told to.
local function new_object()
  local object = { asked = {}, deferred = {} }
  local function note(method)
    return function(self, what, opts, callback)
      self.asked[#self.asked + 1] = { method, what, opts, callback }
      return "done"
    end
  end
  object.propose, object.query = note("propose"), note("query")
  function object:defer(fn) self.deferred[#self.deferred + 1] = fn end
  function object:report(err) self.reported = err end
  function object:run() for _, fn in ipairs(self.deferred) do fn() end end
  return object
end

local function new(object, opts, hear)
  return proxy.new(object, "counter", DESCRIPTION,
    proxy.options("here", opts or {}, 2), hear)
end

local function in_coroutine(fn)
  local results
  local co = coroutine.create(function() results = table.pack(fn()) end)
  assert(coroutine.resume(co))
  return results
end

describe("proxy", function()
  it("proposes commands, with a point and with a colon", function()
    local object = new_object()
    local p = new(object)
    assert.equal("done", p.add(5, nil))
    assert.equal("done", p:add(5, nil))
    assert.equal("done", p.add())
    for i = 1, 2 do
      local method, bytes, opts = table.unpack(object.asked[i])
      assert.equal("propose", method)
      assert.same({ "counter", "add", { 5 }, 2, 3 }, codec.decode(bytes))
      assert.is_nil(opts)  -- all as by default
    end
    assert.same({ "counter", "add", {}, 0, 3 },
      codec.decode(object.asked[3][2]))
  end)

  it("asks queries, with the options of the proxy", function()
    local object = new_object()
    local p = new(object, { timeout = false, consistency = "stale",
      at_least = "token" })
    assert.equal("done", p:total("x"))
    assert.same({ "query", { "counter", "total", { "x" }, 1 },
      { timeout = false, consistency = "stale", at_least = "token" } },
      object.asked[1])
    p.add(1)
    assert.same({ timeout = false }, object.asked[2][3])
  end)

  it("takes a trailing function as the callback, and nothing else", function()
    local object = new_object()
    local p = new(object)
    local function callback() end
    p.add(5, callback)
    p:total(callback)
    p.set(false)
    p.set("key", {})
    assert.equal(callback, object.asked[1][4])
    assert.same({ 5 }, codec.decode(object.asked[1][2])[3])
    assert.equal(callback, object.asked[2][4])
    assert.same({}, object.asked[2][2][3])
    assert.is_nil(object.asked[3][4])
    assert.same({ false }, codec.decode(object.asked[3][2])[3])
    assert.same({ "key", {} }, codec.decode(object.asked[4][2])[3])
  end)

  it("raises for arguments that cannot be carried", function()
    local p = new(new_object())
    local ok, err = pcall(p.set, { inner = print })
    assert.is_false(ok)
    assert.equal("bad_value", err.code)
    assert.equal("counter.set: argument 1.inner: a function cannot be carried",
      err.message)
    ok, err = pcall(p.total, 1, { print }, nil)
    assert.is_false(ok)
    assert.equal("counter.total: argument 2[1]: a function cannot be carried",
      err.message)
    local line = debug.getinfo(1, "l").currentline + 2
    ok, err = pcall(function()
      p.set(table.unpack({}, 1, 251))
    end)
    assert.is_false(ok)
    assert.truthy(err:find(("proxy_spec.lua:%d: a call takes 250"):format(
      line)), err)
  end)

  local WORDS <const> = "unsupported: service counter has no command or query "
    .. "nope: commands add, set; queries total"

  it("answers a name that is none, with what there is", function()
    local object = new_object()
    local p = new(object)
    local results = in_coroutine(function() return p.nope(1) end)
    assert.is_nil(results[1])
    assert.equal(WORDS, tostring(results[2]))
    local heard
    p:nope(1, function(err) heard = err end)
    assert.is_nil(heard)
    object:run()
    assert.equal(WORDS, tostring(heard))
    assert.equal(0, #object.asked)
  end)

  it("hears events where it can", function()
    local heard = {}
    local p = new(new_object(), {}, function(...)
      heard[#heard + 1] = table.pack(...)
      return "fn"
    end)
    local function fn() end
    assert.equal("fn", p.on("added", fn))
    assert.equal("fn", p:on("added", fn))
    p:off("added", fn)
    assert.same({ "on", "added", fn, n = 3 }, heard[1])
    assert.same(heard[1], heard[2])
    assert.same({ "off", "added", fn, n = 3 }, heard[3])
    local ok, why = pcall(function() new(new_object()).on("added", fn) end)
    assert.is_false(ok)
    assert.truthy(why:find("counter.on: events are heard at a node", 1, true))
  end)

  it("takes no fields, and says what it is", function()
    local p = new(new_object())
    local ok, why = pcall(function() p.add = 1 end)
    assert.is_false(ok)
    assert.truthy(why:find("add: a proxy takes no fields", 1, true))
    assert.equal("raft.service.proxy counter", tostring(p))
  end)

  it("checks its options", function()
    for _, case in ipairs {
      { { timeout = "x" }, "here: timeout: expected an integer" },
      { { consistency = "x" }, 'here: consistency: expected "linearizable"' },
      { { at_least = 1 }, "here: at_least: expected a string" },
      { { timout = 1 }, "here: timout: unknown option, did you mean timeout?" },
    } do
      local ok, why = pcall(new, new_object(), case[1])
      assert.is_false(ok)
      assert.truthy(why:find(case[2], 1, true), why)
    end
  end)
end)
