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

  it("applies many as it applies each", function()
    local seen = {}
    local m = machine(function(command, entry)
      seen[#seen + 1] = command .. entry.index .. entry.term .. entry.time
      if command == "b" then error("boom") end
      if command == "c" then return nil, "not now" end
      return command .. "!"
    end)
    local commands = { "-", "a", "b", "c", "d", "-" }
    local slice = m:apply_many(5, 2, 7, commands, 2, 4)
    assert.same({ "a527", "b627", "c727", "d827" }, seen)
    assert.equal(4, slice.count)
    assert.same({ "a!", nil, nil, "d!" }, slice.values)
    assert.same({ nil, nil, "not now" }, slice.whys)
    assert.equal(6, slice.errors[2].index)
    assert.equal("apply_error", slice.errors[2].code)
    assert.is_nil(slice.fault)
  end)

  it("ends many behind a table, which the next may change", function()
    local state = { n = 0 }
    local m = machine(function(command)
      state.n = state.n + 1
      if command == "why" then return nil, state end
      return command == "table" and state or state.n
    end)
    local commands = { "a", "table", "why", "b" }
    local slice = m:apply_many(1, 1, 0, commands, 1, 4)
    assert.same({ 2, { n = 2 } }, { slice.count, slice.values[2] })
    slice = m:apply_many(3, 1, 0, commands, 3, 2)
    assert.same({ 1, { n = 3 } }, { slice.count, slice.whys[1] })
    assert.same({ 4 }, m:apply_many(4, 1, 0, commands, 4, 1).values)
  end)

  it("stops many at what only this node had", function()
    local count = 0
    local function deep() return deep() + 1 end
    local m = machine(function(command)
      count = count + 1
      return command == "deep" and deep() or count
    end)
    local slice = m:apply_many(1, 1, 0, { "a", "b", "deep", "c" }, 1, 4)
    assert.same({ 2, { 1, 2 }, 3 }, { slice.count, slice.values, count })
    assert.is_true(slice.fault.is_local)
    assert.equal(3, slice.fault.index)
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

  it("says a refusal in the words of its message, where it has one", function()
    for words, why in pairs {
      ["not now"] = { message = "not now", until_ms = 5 },
      ["a table"] = { message = 5 }, no = "no",
    } do
      local err = Machine.refusal("apply", why, "unknown")
      assert.equal("refused", err.code)
      assert.equal(words, err.message)
      assert.same(why, err.value)
    end
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

describe("machine, of its state as bytes,", function()
  local function saved(m)
    local pieces = {}
    local ok, err = m:save(function(piece) pieces[#pieces + 1] = piece end)
    return ok and table.concat(pieces), err
  end

  local function reader(...)
    local pieces, at = { ... }, 0
    return function()
      at = at + 1
      return pieces[at]
    end
  end

  local function of_strings(fields)
    fields = fields or {}
    local m = Machine.new { apply = print, snapshot = fields.snapshot
      or function() return fields.state end,
      restore = fields.restore or function(bytes) fields.state = bytes end }
    return m, fields
  end

  local function of_pieces(fields)
    fields = fields or {}
    local m = Machine.new { apply = print,
      save = fields.save or function(write)
        for byte in fields.state:gmatch(".") do write(byte) end
      end,
      load = fields.load or function(read)
        local all = {}
        for piece in read do all[#all + 1] = piece end
        fields.state = table.concat(all)
      end }
    return m, fields
  end

  it("knows whether it can", function()
    assert.is_false(machine(print):has_snapshots())
    assert.is_true(of_strings():has_snapshots())
    assert.is_true(of_pieces():has_snapshots())
  end)

  it("either pair restores what the other wrote", function()
    for _, from in ipairs { of_strings, of_pieces } do
      for _, to in ipairs { of_strings, of_pieces } do
        local one, two = from { state = "the state" }, to()
        local m, fields = to { state = "" }
        assert.is_true(m:load(reader(saved(one))))
        assert.equal("the state", fields.state)
        assert.is_true(m:load(reader("ab", "c")))
        assert.equal("abc", fields.state)
        assert.is_true(two:load(reader()))
      end
    end
  end)

  it("what is no string is refused, also where the user goes on", function()
    for _, value in ipairs { false, 7, {} } do
      local _, err = saved(of_strings { snapshot = function()
        return value
      end })
      assert.equal("bad_value", err.code)
      assert.equal("snapshot: expected a string, got " .. type(value),
        err.message)
      _, err = saved(of_pieces { save = function(write)
        pcall(write, value)
        pcall(write, "fine")
      end })
      assert.equal("save: write expects a string, got " .. type(value),
        err.message)
    end
    local _, err = saved(of_strings { snapshot = function() end })
    assert.equal("snapshot: expected a string, got nil", err.message)
  end)

  it("what raises is an error value that says where", function()
    local function raises() error("boom", 0) end
    local _, err = saved(of_strings { snapshot = raises })
    assert.equal("apply_error: snapshot: boom", tostring(err))
    _, err = saved(of_pieces { save = raises })
    assert.equal("apply_error: save: boom", tostring(err))
    _, err = of_strings({ restore = raises }):load(reader("x"))
    assert.equal("apply_error: restore: boom", tostring(err))
    _, err = of_pieces({ load = raises }):load(reader("x"))
    assert.equal("apply_error: load: boom", tostring(err))
  end)

  it("errors of the disk come through, also where they are caught", function()
    local why = errors.new("no_space", "full")
    local function full() error(why, 0) end
    local m = of_pieces { save = function(write) pcall(write, "x") end,
      load = function(read) pcall(read) end }
    assert.same({ false, why }, { m:save(full) })
    assert.same({ false, why }, { m:load(full) })
    assert.same({ false, why }, { of_strings():load(full) })
    assert.same({ false, why }, { of_pieces({ state = "x" }):save(full) })
    assert.same({ false, why }, { of_strings({ state = "x" }):save(full) })
  end)

  it("does not yield, and calls nothing of the library", function()
    local kinds = {
      snapshot = function(fn) return saved(of_strings { snapshot = fn }) end,
      save = function(fn) return saved(of_pieces { save = fn }) end,
      restore = function(fn)
        return of_strings({ restore = fn }):load(reader("x"))
      end,
      load = function(fn)
        return of_pieces({ load = fn }):load(reader("x"))
      end,
    }
    for name, run in pairs(kinds) do
      local _, err = run(function() coroutine.yield() end)
      assert.equal(name .. " cannot yield", err.value)
      coroutine.wrap(function()
        _, err = run(function() coroutine.yield() end)
      end)()
      assert.equal(name .. " cannot yield", err.value)
      _, err = run(function() Machine.check_outside("node:propose") end)
      assert.equal("reentrant", err.cause.code)
      Machine.check_outside("node:propose")
    end
  end)
end)
