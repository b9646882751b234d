local errors = require "raft.errors"
local schema = require "raft.schema"
local waiting = require "raft.waiting"

-- An owner whose loop is turned by hand.
local Owner = {}
Owner.__index = Owner

local function new_owner()
  return setmetatable({ queue = {}, reports = {}, seen = {} }, Owner)
end

function Owner:defer(fn) self.queue[#self.queue + 1] = fn end
function Owner:report(err) self.reports[#self.reports + 1] = err end

function Owner:turn()
  local queue = self.queue
  self.queue = {}
  for _, fn in ipairs(queue) do fn() end
  return #queue
end

-- start notes what it got; the spec answers by hand.
local function note(self, opts, answer, a, b)
  self.seen = { opts = opts, a = a, b = b }
  self.answer = answer
end

Owner.none = waiting.method { name = "owner:none", args = 0, start = note }
Owner.one = waiting.method { name = "owner:one", args = 1, start = note,
  options = { { "forward", schema.boolean, default = true } } }
Owner.two = waiting.method { name = "owner:two", args = 2, start = note }
Owner.maybe = waiting.method { name = "owner:maybe", args = 1,
  is_optional = true, timeout = false, start = note }
Owner.at_once = waiting.method { name = "owner:at_once", args = 1,
  start = function(_, _, answer, value) answer(nil, value) end }

-- What is raised, without the place, which must be in this file.
local function misuse(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  local text, count = why:gsub("^[^:]*waiting_spec.lua:%d+: ", "")
  assert.equal(1, count, why)
  return text
end

local function on_main(fn)  -- where nothing can be suspended
  string.gsub("x", "x", function() fn() end)
end

describe("waiting", function()
  local owner

  before_each(function() owner = new_owner() end)

  describe("arguments", function()
    local function nop() end

    it("come in the places that the method has", function()
      owner:two("a", "b", nil, nop)
      assert.same({ opts = { timeout = 5000 }, a = "a", b = "b" }, owner.seen)
      owner:one("a", nop)
      assert.equal("a", owner.seen.a)
      owner:none(nop)
      assert.is_nil(owner.seen.a)
    end)

    it("may be nil, false, tables and functions", function()
      owner:one(nil, nop)
      assert.is_nil(owner.seen.a)
      owner:one(false, nop)
      assert.is_false(owner.seen.a)
      local request = {}
      owner:one(request, { timeout = 1 }, nop)
      assert.equal(request, owner.seen.a)
      assert.equal(1, owner.seen.opts.timeout)
    end)

    it("leave out an optional one", function()
      owner:maybe(nop)
      assert.is_nil(owner.seen.a)
      owner:maybe({ timeout = 7 }, nop)
      assert.is_nil(owner.seen.a)
      assert.equal(7, owner.seen.opts.timeout)
      owner:maybe("n2", { timeout = 8 }, nop)
      assert.equal("n2", owner.seen.a)
      assert.equal(8, owner.seen.opts.timeout)
      owner:maybe(nil, { timeout = 9 }, nop)
      assert.equal(9, owner.seen.opts.timeout)
      owner:maybe(false)
      assert.is_nil(owner.seen.a)
    end)

    it("have options with defaults", function()
      owner:one("a", { forward = false }, nop)
      assert.same({ timeout = 5000, forward = false }, owner.seen.opts)
      owner:one("a", nil, nop)
      assert.same({ timeout = 5000, forward = true }, owner.seen.opts)
      owner:one("a", { timeout = false }, nop)
      assert.is_false(owner.seen.opts.timeout)
      owner:one("a", { timeout = 0.5 }, nop)
      assert.equal(1, owner.seen.opts.timeout)
      owner:maybe(nop)
      assert.is_false(owner.seen.opts.timeout)
    end)

    it("leave the user's options unchanged", function()
      local opts = { timeout = 0.5 }
      owner:one("a", opts, nop)
      assert.same({ timeout = 0.5 }, opts)
    end)

    it("name an unknown option", function()
      assert.equal("owner:one: timeuot: unknown option, did you mean timeout?",
        misuse(function() owner:one("a", { timeuot = 1 }, nop) end))
    end)

    it("refuse a time-out that is none", function()
      for _, timeout in ipairs { -1, "5", true, 0 / 0, math.huge } do
        assert.truthy(misuse(function()
          owner:one("a", { timeout = timeout }, nop)
        end):find("owner:one: timeout: expected ms, or false for none", 1,
          true))
      end
    end)

    it("refuse what stands in the wrong place", function()
      assert.equal("owner:one: the callback comes last",
        misuse(function() owner:one("a", nop, {}) end))
      assert.equal("owner:one: too many arguments",
        misuse(function() owner:one("a", {}, nop, 1) end))
      assert.equal(
        "owner:one: expected a function or false as callback, got string",
        misuse(function() owner:one("a", {}, "cb") end))
      assert.equal('owner:one: expected a table of options, got "b"',
        misuse(function() owner:one("a", "b", nop) end))
    end)

    it("say that the colon was forgotten", function()
      assert.equal("owner:one: call it with a colon, on the object",
        misuse(function() owner.one("a", nop) end))
    end)
  end)

  describe("with a callback", function()
    local calls

    local function cb(...) calls[#calls + 1] = table.pack(...) end

    before_each(function() calls = {} end)

    it("answers (nil, result) or (err)", function()
      owner:one("a", cb)
      owner.answer(nil, 5)
      owner:turn()
      owner:one("a", cb)
      owner.answer("why")
      owner:turn()
      assert.same({ { n = 2, nil, 5 }, { n = 2, "why", nil } }, calls)
    end)

    it("hands on a result that is false or nil", function()
      owner:at_once(false, cb)
      owner:at_once(nil, cb)
      owner:turn()
      assert.same({ { n = 2, nil, false }, { n = 2 } }, calls)
    end)

    it("is never called before the call has returned", function()
      owner:at_once("x", cb)
      assert.same({}, calls)
      owner:turn()
      assert.equal(1, #calls)
    end)

    it("is not called inside the call that answers, but from the loop",
    function()
      owner:one("a", cb)
      owner.answer(nil, 1)
      assert.same({}, calls)
      owner:turn()
      assert.equal(1, #calls)
    end)

    it("needs no coroutine", function()
      on_main(function() owner:one("a", cb) end)
      owner.answer(nil, 1)
      owner:turn()
      assert.equal(1, #calls)
    end)

    it("is answered once: a second answer is a bug", function()
      owner:one("a", cb)
      owner.answer(nil, 1)
      assert.equal("owner:one was answered twice",
        misuse(function() owner.answer(nil, 2) end))
      owner:turn()
      assert.equal(1, #calls)
    end)

    it("reports what the callback raises, and goes on", function()
      owner:one("a", function() error("boom", 0) end)
      owner.answer(nil, 1)
      owner:one("a", cb)
      owner.answer(nil, 2)
      owner:turn()
      assert.equal(1, #calls)
      assert.equal("apply_error: callback of owner:one: boom",
        tostring(owner.reports[1]))
      assert.truthy(owner.reports[1].traceback:find("waiting_spec", 1, true))
    end)

    it("may call the next one from the callback", function()
      owner:one("a", function() owner:one("b", cb) end)
      owner.answer(nil, 1)
      owner:turn()
      assert.equal("b", owner.seen.a)
      owner.answer(nil, 2)
      owner:turn()
      assert.equal(1, #calls)
    end)
  end)

  describe("with false", function()
    it("reports an error", function()
      owner:one("a", false)
      owner.answer("why")
      assert.same({ "why" }, owner.reports)
    end)

    it("is silent when all is well", function()
      owner:one("a", { timeout = 1 }, false)
      owner.answer(nil, 5)
      assert.same({}, owner.reports)
      assert.equal(0, owner:turn())
    end)

    it("is answered once", function()
      owner:one("a", false)
      owner.answer(nil)
      assert.has_error(function() owner.answer(nil) end)
    end)
  end)

  describe("in a coroutine", function()
    local returned

    -- Runs fn in a coroutine of its own and notes what it returns.
    local function go(fn)
      returned = nil
      local co = coroutine.create(function() returned = table.pack(fn()) end)
      assert(coroutine.resume(co))
      return co
    end

    it("suspends, and returns the result", function()
      go(function() return owner:one("a") end)
      owner.answer(nil, 5)
      assert.is_nil(returned)
      owner:turn()
      assert.same({ n = 1, 5 }, returned)
    end)

    it("returns nil and the error", function()
      go(function() return owner:one("a") end)
      owner.answer("why", "ignored")
      owner:turn()
      assert.same({ n = 2, nil, "why" }, returned)
    end)

    it("returns at once what is answered at once", function()
      go(function() return owner:at_once(false) end)
      assert.same({ n = 1, false }, returned)
      assert.equal(0, owner:turn())
    end)

    it("raises where nothing can be suspended, naming both ways out",
    function()
      local why
      on_main(function() why = misuse(function() owner:one("a") end) end)
      assert.equal("owner:one: nothing can wait here: give a callback as the "
        .. "last argument, or call it in a coroutine (raft.run, raft.spawn)",
        why)
      assert.same({}, owner.seen)
    end)

    it("goes on with the next call", function()
      go(function() return owner:one("a") + owner:one("b") end)
      owner.answer(nil, 2)
      owner:turn()
      assert.equal("b", owner.seen.a)
      owner.answer(nil, 3)
      owner:turn()
      assert.same({ n = 1, 5 }, returned)
    end)

    it("is answered once", function()
      go(function() return owner:one("a") end)
      owner.answer(nil, 1)
      assert.has_error(function() owner.answer(nil, 2) end)
    end)

    it("reports what the coroutine raises after it was resumed", function()
      local is_closed = false
      go(function()
        local _ <close> = setmetatable({}, { __close = function()
          is_closed = true
        end })
        owner:one("a")
        error("boom", 0)
      end)
      owner.answer(nil, 1)
      owner:turn()
      assert.equal("apply_error: coroutine after owner:one: boom",
        tostring(owner.reports[1]))
      assert.truthy(owner.reports[1].traceback:find("waiting_spec", 1, true))
      assert.is_true(is_closed)
    end)

    it("says so when somebody else resumes the coroutine", function()
      local why
      local co = go(function()
        why = misuse(function() owner:one("a") end)
        owner:one("b")
        return "done"
      end)
      local stale = owner.answer
      assert(coroutine.resume(co, "nonsense"))
      assert.equal("owner:one: somebody else resumed the coroutine while it "
        .. "waited", why)
      stale(nil, "too late")  -- must not wake the second wait
      owner:turn()
      assert.is_nil(returned)
      owner.answer(nil, 1)
      owner:turn()
      assert.same({ n = 1, "done" }, returned)
    end)

    it("does not take a late turn of one wait for the answer of another",
    function()
      local co = go(function()
        pcall(owner.one, owner, "a")
        return owner:one("b")
      end)
      owner.answer(nil, "first")     -- its turn has not come yet,
      assert(coroutine.resume(co))   -- and somebody is quicker
      owner:turn()
      assert.is_nil(returned)
      owner.answer(nil, "second")
      owner:turn()
      assert.same({ n = 1, "second" }, returned)
    end)

    it("forgets a coroutine that was closed meanwhile", function()
      local co = go(function() return owner:one("a") end)
      coroutine.close(co)
      owner.answer(nil, 1)
      owner:turn()
      assert.same({}, owner.reports)
      assert.is_nil(returned)
    end)
  end)

  it("blames the user's line for what start and check raise", function()
    Owner.guarded = waiting.method { name = "owner:guarded", args = 0,
      check = function(self)
        if self.is_inside then error("not from apply", 3) end
      end,
      start = function() error("bad command", 3) end }
    assert.equal("bad command", misuse(function() owner:guarded(false) end))
    assert.equal("bad command", misuse(function() owner:guarded() end))
    owner.is_inside = true
    local why
    on_main(function() why = misuse(function() owner:guarded() end) end)
    assert.equal("not from apply", why)
  end)

  it("raises error values as they are", function()
    local err = errors.new("reentrant", "x")
    Owner.inside = waiting.method { name = "owner:inside", args = 0,
      check = function() error(err, 0) end, start = note }
    local ok, why = pcall(owner.inside, owner)
    assert.is_false(ok)
    assert.equal(err, why)
  end)
end)
