local Machine = require "raft.machine"
local errors = require "raft.errors"

local function machine(apply, query)
  return Machine.new { apply = apply, query = query or false }
end

describe("machine", function()
  it("applies, and hands the entry in one table that is reused", function()
    local seen, tables = {}, {}
    local m = machine(function(command, entry)
      tables[entry] = true
      seen[#seen + 1] = { command, entry.index, entry.term, entry.time }
      return "r", "why"
    end)
    assert.same({ true, "r", "why" }, { m:apply(3, 2, 77, "a") })
    m:apply(4, 2, 78, "b")
    assert.same({ { "a", 3, 2, 77 }, { "b", 4, 2, 78 } }, seen)
    assert.equal(1, #(function()
      local list = {}
      for t in pairs(tables) do list[#list + 1] = t end
      return list
    end)())
  end)

  it("turns what is raised into an error value with its place", function()
    local m = machine(function() error("boom") end)
    local ok, err = m:apply(9, 1, 0, "x")
    assert.is_false(ok)
    assert.equal("apply_error", err.code)
    assert.equal(9, err.index)
    assert.truthy(err.value:find("machine_spec.lua:%d+: boom"))
    assert.truthy(err.traceback:find("machine_spec.lua", 1, true))
    assert.is_false(err.is_local)
  end)

  it("copies a plain table that was raised, and only that", function()
    local thing = { code = 1, inner = { 2 } }
    local m = machine(function(command)
      if command == "plain" then error(thing) end
      error(setmetatable({}, {}))
    end)
    local _, err = m:apply(1, 1, 0, "plain")
    assert.same(thing, err.value)
    assert.not_equal(thing, err.value)
    assert.not_equal(thing.inner, err.value.inner)
    _, err = m:apply(2, 1, 0, "odd")
    assert.is_nil(err.value)
  end)

  it("keeps an error value of the library as the cause", function()
    local mine = errors.new("busy", "x")
    local m = machine(function() error(mine) end)
    local _, err = m:apply(1, 1, 0, "x")
    assert.equal(mine, err.cause)
    assert.is_nil(err.value)
  end)

  it("knows what is local: memory and the stack", function()
    local function deeper(n) return 1 + deeper(n) end
    local function through_c(n)  -- the C stack ends much sooner
      return (string.gsub("x", "x", function() return through_c(n) end))
    end
    local programs = {
      memory = function() error("not enough memory", 0) end,
      deep = deeper,
      c_deep = through_c,
      memory_words = function() error("not enough memory") end,
      stack_words = function() error("stack overflow") end,
      plain = function() error("x") end,
    }
    local m = machine(function(command) return programs[command](1) end)
    local is_local = {}
    for name in pairs(programs) do
      is_local[name] = select(2, m:apply(1, 1, 0, name)).is_local
    end
    assert.same({ memory = true, deep = true, c_deep = true,
      memory_words = false, stack_words = false, plain = false }, is_local)
  end)

  it("lets nothing yield, wherever it is called from", function()
    local m = machine(coroutine.yield, coroutine.yield)
    local texts = {}
    local function try()
      texts[#texts + 1] = select(2, m:apply(1, 1, 0, "x")).value
      texts[#texts + 1] = select(2, m:query("x")).value
    end
    local co = coroutine.create(try)
    assert.is_true(coroutine.resume(co))
    assert.equal("dead", coroutine.status(co))
    Machine.unsuspended(try)
    for i = 1, 4 do assert.equal("apply and query cannot yield", texts[i]) end
  end)

  it("hands on nil in the middle of results, in coroutines too", function()
    local m = machine(function() return nil, "why" end)
    assert.same({ n = 3, true, nil, "why" },
      table.pack(m:apply(1, 1, 0, "x")))
    Machine.unsuspended(function()
      assert.same({ n = 3, true, nil, "why" },
        table.pack(m:apply(1, 1, 0, "x")))
    end)
  end)

  describe("check_outside", function()
    it("raises inside apply and query only", function()
      local seen = {}
      local function try()
        local ok, err = pcall(Machine.check_outside, "node:x")
        seen[#seen + 1] = ok and "ok" or tostring(err):match("inside %l+")
      end
      local m = machine(try, try)
      try()
      m:apply(1, 1, 0, "x")
      m:query("x")
      try()
      assert.same({ "ok", "inside apply", "inside query", "ok" }, seen)
    end)

    it("is over after an error, also one of memory", function()
      local m = machine(function() error("not enough memory", 0) end)
      m:apply(1, 1, 0, "x")
      Machine.check_outside("node:x")
    end)
  end)

  describe("unsuspended", function()
    it("hands on what is raised", function()
      local mine = {}
      local ok, err = pcall(Machine.unsuspended, function() error(mine) end)
      assert.is_false(ok)
      assert.equal(mine, err)
    end)
  end)

  describe("query", function()
    it("returns copies, refusals and errors", function()
      local state = { 1, { 2 } }
      local m = machine(function() end, function(request)
        if request == "state" then return state end
        if request == "no" then return nil, { "reason" } end
        if request == "odd" then return print end
        if request == "none" then return nil end
        return false
      end)
      local copy = m:query("state")
      assert.same(state, copy)
      assert.not_equal(state[2], copy[2])
      local _, err = m:query("no")
      assert.equal("refused", err.code)
      assert.equal("none", err.outcome)
      assert.same({ "reason" }, err.value)
      _, err = m:query("odd")
      assert.equal("bad_value", err.code)
      assert.same({ n = 1 }, table.pack(m:query("none")))
      assert.is_false((m:query("false")))
    end)
  end)
end)
