-- The services of one node as a state machine: what follows from which entry.
local codec = require "raft.codec"
local errors = require "raft.errors"
local fault = require "raft.fault"
local machine = require "raft.service.machine"
local raft = require "raft"
local request = require "raft.service.request"

local function counter(changes)
  local def = { name = "counter", init = function() return { n = 0 } end,
    commands = {
      add = function(s, k)
        s.n = s.n + k
        emit("added", k, { total = s.n })
        return s.n
      end,
      fail = function(s)
        s.n = s.n + 100
        emit("never")
        error("boom", 0)
      end,
      refuse = function(s, why)
        s.n = s.n + 1000
        emit("refused")
        return nil, why
      end,
      arguments = function(_, ...) return { n = select("#", ...), ... } end,
      entry = function() return entry end,
      state = function(s) return s end,
    },
    queries = {
      total = function(s) return s.n end,
      newest = function() return { index = entry.index, time = os.time() } end,
      values = function(_, ...) return { n = select("#", ...), ... } end,
      tell = function() emit("x") end,
    } }
  for name, value in pairs(changes or {}) do def[name] = value end
  return raft.service(def)
end

-- A machine with a log: index -> what is applied there.
local Log = {}
Log.__index = Log

local function new(...)
  return setmetatable({ machine = machine.new { ... }, index = 0 }, Log)
end

function Log:entry()
  self.index = self.index + 1
  return { index = self.index, term = 1, time = 1000 * self.index }
end

function Log:configure(...)
  self.machine:configure({ ... }, self:entry())
end

-- Another machine says what it can run.
function Log:announce(id, other)
  return self.machine:apply(request.announcement(id,
    (other or self).machine.in_use:announcement()), self:entry())
end

function Log:apply(name, command, ...)
  local version = self.version
  if version == nil then version = 1 end
  return self.machine:apply(codec.encode(request.of(name, command,
    table.pack(...), version or nil)), self:entry())
end

function Log:ask(query, ...)
  return self.machine:query(request.of("counter", query, table.pack(...)))
end

-- Another machine with these definitions, from a snapshot of this one.
function Log:restored(...)
  local other = new(...)
  other.machine:restore(self.machine:snapshot())
  other.index = self.index
  return other
end

-- The error value with which a node ends.
local function ends(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  local err = fault.value_of(why)
  assert.is_true(errors.is_error(err), tostring(why))
  assert.equal("unsupported", err.code)
  assert.is_string(err.service)
  return err.message
end

describe("service machine: commands", function()
  it("change the state, and queries see it", function()
    local log = new(counter())
    assert.equal(5, log:apply("counter", "add", 5))
    assert.equal(7, log:apply("counter", "add", 2))
    assert.equal(7, log:ask("total"))
  end)

  it("get their arguments, with holes", function()
    local log = new(counter())
    assert.same({ n = 3, nil, 2, nil },
      log:apply("counter", "arguments", nil, 2, nil))
    assert.same({ n = 3, nil, false, nil }, log:ask("values", nil, false,
      nil))
  end)

  it("that raise or refuse keep what they did", function()
    local log = new(counter())
    assert.has_error(function() log:apply("counter", "fail") end, "boom")
    assert.same({ nil, "why" }, { log:apply("counter", "refuse", "why") })
    assert.equal(1100, log:ask("total"))
  end)

  it("leave nothing with atomic, where they raise or refuse", function()
    local log = new(counter { atomic = true })
    log:apply("counter", "add", 1)
    assert.has_error(function() log:apply("counter", "fail") end, "boom")
    assert.same({ nil, "why" }, { log:apply("counter", "refuse", "why") })
    assert.equal(1, log:ask("total"))
    assert.equal(3, log:apply("counter", "add", 2))
    local told = log.machine:take_told()
    assert.equal(2, #told)
    assert.equal("added", told[2].event)
  end)

  it("tell what they emit, copied; those that raise tell nothing", function()
    local log = new(counter())
    log:apply("counter", "add", 5)
    pcall(log.apply, log, "counter", "fail")
    log:apply("counter", "refuse", "why")
    local told = log.machine:take_told()
    assert.equal(2, #told)
    assert.same({ service = "counter", event = "added",
      values = { n = 2, 5, { total = 5 } } }, told[1])
    assert.equal("refused", told[2].event)
    assert.same({}, log.machine:take_told())
  end)

  it("see their entry", function()
    local log = new(counter())
    log:apply("counter", "add", 1)
    assert.same({ index = 2, term = 1, time = 2000, version = 1 },
      log:apply("counter", "entry"))
    log:apply("counter", "add", 1)
    assert.same({ index = 3, time = 3 }, log:ask("newest"))
  end)

  it("that nobody knows are refused", function()
    local log = new(counter())
    assert.same({ nil, "service counter, version 1: not all members have a "
      .. "command nope" }, { log:apply("counter", "nope") })
    assert.same({ nil, "not a command of a service" },
      { log.machine:apply("junk", log:entry()) })
    assert.same({ nil, "not a command of a service" },
      { log.machine:apply(codec.encode { "counter", 1 }, log:entry()) })
    local ok, why = pcall(log.ask, log, "tell")
    assert.is_false(ok)
    assert.truthy(why:find("emit: only a command tells something, not query", 1,
      true))
  end)

  it("of several services do not meet", function()
    local log = new(counter(), counter { name = "other" })
    log:apply("counter", "add", 5)
    log:apply("other", "add", 7)
    assert.equal(5, log:ask("total"))
    assert.equal(8, log:apply("other", "add", 1))
  end)
end)

describe("service machine: queries", function()
  it("before the first command see the first state", function()
    assert.equal(0, new(counter()):ask("total"))
  end)

  it("that nobody knows are refused", function()
    local log = new(counter())
    assert.same({ nil, "service counter, version 1, has no query nope, only "
      .. "newest, tell, total, values" }, { log:ask("nope") })
    assert.same({ nil, "there is no service x here" },
      { log.machine:query(request.of("x", "y", { n = 0 })) })
    assert.same({ nil, "not a query of a service" },
      { log.machine:query("total") })
  end)
end)

describe("service machine: snapshots", function()
  it("hold everything, and the same bytes for the same state", function()
    local log = new(counter())
    log:configure("n1", "n2")
    log:announce("n1")
    log:apply("counter", "add", 5)
    local other = log:restored(counter())
    assert.equal(log.machine:snapshot(), other.machine:snapshot())
    assert.equal(5, other:ask("total"))
    assert.same({ index = 3, time = 3 }, other:ask("newest"))
    assert.equal(6, other:apply("counter", "add", 1))
  end)

  it("name what is not plain in a state", function()
    local log = new(counter { commands = {
      spoil = function(s) s.list = { { fn = function() end } } end } })
    log:apply("counter", "spoil")
    local ok, err = pcall(log.machine.snapshot, log.machine)
    assert.is_false(ok)
    assert.equal("the state of service counter.list[1].fn: a function cannot "
      .. "be carried", err.message)
  end)

  it("of something else are refused", function()
    for _, bytes in ipairs { "junk", codec.encode { n = 5 } } do
      local log = new(counter())
      local ok, err = pcall(log.machine.restore, log.machine, bytes)
      assert.is_false(ok)
      assert.equal("format_version", err.code)
    end
  end)
end)

local function v2(changes)
  local def = { version = 2,
    init = function() return { n = 0, log = {} } end,
    upgrade = function(s, from)
      s.log, s.from, s.at = {}, from, entry.index
    end,
    commands = {
      add = function(s, k)
        s.n = s.n + k
        if s.log then s.log[#s.log + 1] = k end
        return s.n
      end,
      sub = function(s, k) s.n = s.n - k return s.n end,
      state = function(s) return s end,
    } }
  for name, value in pairs(changes or {}) do def[name] = value end
  return counter(def)
end

describe("service machine: versions", function()
  -- Two members, both with version 1, which is in use.
  local function two(definition)
    local log = new(definition or counter())
    log:configure("n1", "n2")
    log:announce("n1", new(counter()))
    log:announce("n2", new(counter()))
    return log
  end

  it("begin when the first command comes, or all have announced", function()
    local log = new(counter())
    log:configure("n1", "n2")
    log:announce("n1")
    assert.is_nil(log.machine.in_use.services.counter)
    log:announce("n2")
    assert.equal(1, log.machine.in_use.services.counter.version)
  end)

  it("of those who are no members count for nothing", function()
    local log = new(counter())
    log:configure("n1")
    log:announce("n9", new(v2()))
    log:announce("n1")
    assert.equal(1, log.machine.in_use.services.counter.version)
    log:configure("n1", "n9")
    assert.is_nil(log.machine.in_use.versions:of("n9", "counter"))
  end)

  it("are in use at one entry, once all have them", function()
    local log = two(v2())
    log:apply("counter", "add", 5)
    log:announce("n1", new(v2()))
    log:apply("counter", "add", 1)
    assert.same({ n = 6 }, log:apply("counter", "state"))
    log:announce("n2", new(v2()))
    assert.same({ n = 6, log = {}, from = 1, at = 8 },
      log:apply("counter", "state"))
    assert.is_true(log.machine.in_use.was_upgraded)
    log:apply("counter", "add", 1)
    assert.same({ 1 }, log:apply("counter", "state").log)
  end)

  it("are in use when the last one without them is gone", function()
    local log = two(v2())
    log:announce("n1", new(v2()))
    log:configure("n1")
    assert.equal(2, log.machine.in_use.services.counter.version)
  end)

  it("wait for a new member, and forget one that was away", function()
    local log = two(v2())
    log:announce("n1", new(v2()))
    log:configure("n1", "n2", "n3")
    log:announce("n2", new(v2()))
    assert.equal(1, log.machine.in_use.services.counter.version)
    log:announce("n3", new(v2()))
    assert.equal(2, log.machine.in_use.services.counter.version)
    log:configure("n1", "n3")
    log:configure("n1", "n2", "n3")
    assert.is_nil(log.machine.in_use.versions:of("n2", "counter"))
  end)

  it("are all one: two newer ones at once are none", function()
    local log = two(v2())
    log:announce("n1", new(v2()))
    log:announce("n2", new(v2 { version = 3 }))
    assert.equal(1, log.machine.in_use.services.counter.version)
  end)

  it("may return another state", function()
    local log = two(v2 { upgrade = function(s) return { sum = s.n } end })
    log:apply("counter", "add", 5)
    log:announce("n1", new(v2()))
    log:announce("n2", new(v2()))
    assert.same({ sum = 5 }, log:apply("counter", "state"))
  end)

  it("whose upgrade raises are never in use, and nothing is changed", function()
    local bad = v2 { upgrade = function(s) s.n = 99 error("boom", 0) end }
    local log = two(bad)
    log:announce("n1", new(bad))
    local ok, why = pcall(log.announce, log, "n2", new(bad))
    assert.is_false(ok)
    assert.equal("service counter: upgrade to version 2: boom", why)
    assert.same({ n = 0 }, log:apply("counter", "state"))
    local restored = log:restored(bad)
    restored:announce("n1", new(bad))  -- it is not tried again
    assert.same({ n = 0 }, restored:apply("counter", "state"))
  end)

  it("whose upgrade makes what no snapshot can hold are never in use",
    function()
      local bad = v2 { upgrade = function(s) return { n = s.n, f = print } end }
      local log = two(bad)
      log:announce("n1", new(bad))
      local ok, why = pcall(log.announce, log, "n2", new(bad))
      assert.is_false(ok)
      assert.equal("service counter: upgrade to version 2: bad_value: the new "
        .. "state.f: a function cannot be carried", why)
      assert.same({ n = 0 }, log:apply("counter", "state"))
      log:restored(bad)
    end)

  it("are not announced by what looks like it and is not", function()
    local log = two()
    for i, services in ipairs {
      { counter = 5 }, { counter = {} }, { [5] = {} },
      { counter = { version = 1, commands = {}, first = 5 } },
      { counter = { version = "1", commands = {}, first = "" } },
      { counter = { version = 1, commands = { add = 1 }, first = "" } },
      { counter = { version = 1, commands = {}, first = "" } },
      { counter = { version = 2, commands = { { "add" } }, first = "" } },
      { counter = { version = 1, commands = { { 5 } }, first = "" } },
    } do
      assert.same({ nil, "not a command of a service" }, { log.machine:apply(
        request.announcement("n1", services), log:entry()) })
      assert.equal(i, log:apply("counter", "add", 1))
    end
  end)

  it("have the commands that all members have", function()
    local log = two(v2())
    log:announce("n1", new(v2()))
    assert.same({ nil, "service counter, version 1: not all members have a "
      .. "command sub, only add, state" }, { log:apply("counter", "sub", 1) })
    assert.same({ nil, "service counter, version 1: not all members have a "
      .. "command entry, only add, state" }, { log:apply("counter", "entry") })
    log:announce("n2", new(v2()))
    assert.equal(-1, log:apply("counter", "sub", 1))
  end)

  it("need no new number for one command more", function()
    local more = counter { commands = {
      add = function(s, k) s.n = s.n + k return s.n end,
      double = function(s) s.n = 2 * s.n return s.n end } }
    local log = two(more)
    log:announce("n1", new(more))
    assert.is_nil((log:apply("counter", "double")))
    log:announce("n2", new(more))
    log:apply("counter", "add", 5)
    assert.equal(10, log:apply("counter", "double"))
    assert.equal(1, log.machine.in_use.services.counter.version)
  end)

  it("run as the older definition until the upgrade, where it is there",
    function()
      local old = counter { commands = {
        add = function(s, k) s.n = s.n + 10 * k return s.n end,
        entry = function() return entry.version end } }
      local new_one = v2 { older = { old } }
      local log = two(new_one)
      log:announce("n1", new(new_one))
      assert.equal(50, log:apply("counter", "add", 5))
      assert.equal(1, log:apply("counter", "entry"))
      log:announce("n2", new(new_one))
      assert.equal(55, log:apply("counter", "add", 5))
    end)

  it("begin with the first state of the version that was announced", function()
    local log = new(v2())
    log:configure("n1", "n2")
    log:announce("n1", new(counter()))
    assert.equal(5, log:apply("counter", "add", 5))
    assert.same({ n = 5 }, log:apply("counter", "state"))
  end)

  it("that a member lacks are not begun", function()
    local log = new(counter())
    log:configure("n1", "n2")
    log:announce("n1")
    log:announce("n2", new(counter { name = "other" }))
    assert.same({ nil, "service counter is not in use: n2 cannot run it" },
      { log:apply("counter", "add", 5) })
  end)

  it("that differ are not begun", function()
    local log = new(counter())
    log:configure("n1", "n2")
    log:announce("n1")
    log:announce("n2", new(v2()))
    assert.same({ nil, "service counter is not in use: members have versions "
      .. "1 and 2 of it" }, { log:apply("counter", "add", 5) })
  end)

  it("are not begun by who knows none", function()
    local log = new(counter())
    log.version = false
    assert.same({ nil, "service counter is not in use: no member has announced "
      .. "it" }, { log:apply("counter", "add", 5) })
    log.version = nil
    assert.equal(5, log:apply("counter", "add", 5))
  end)
end)

describe("service machine: a node ends that", function()
  local function used(definition)
    local log = new(definition)
    log:configure("n1")
    log:announce("n1")
    return log
  end

  it("lacks a service that is in use", function()
    local log = used(counter())
    local lone = new(counter { name = "other" })
    assert.equal("service counter is in use, and this node has no definition "
      .. "of it", ends(lone.machine.restore, lone.machine,
      log.machine:snapshot()))
    lone = new(counter { name = "other" })
    lone:configure("n1")
    assert.equal("service counter is in use, and this node has no definition "
      .. "of it", ends(lone.announce, lone, "n1", log))
    assert.equal("service x is in use, and this node has no definition of it",
      ends(function() new(counter()):apply("x", "add", 1) end))
  end)

  it("has an older version than that in use", function()
    local log = used(v2())
    local old = new(counter())
    assert.equal("service counter is in use at version 2, and this node has "
      .. "version 1: start it with the newer definition",
      ends(old.machine.restore, old.machine, log.machine:snapshot()))
    old = used(counter())
    assert.equal("service counter is in use at version 2, and this node has "
      .. "version 1: start it with the newer definition",
      ends(old.announce, old, "n1", new(v2())))
  end)

  it("lacks a command that all members have announced", function()
    local log = used(counter())
    local other = log:restored(counter { commands = {} })
    assert.equal("service counter has the command add in the log, and the "
      .. "definition of this node has only none",
      ends(other.apply, other, "counter", "add", 5))
  end)

  it("cannot make the state of a version in between", function()
    local log = used(counter())
    local newest = log:restored(v2 { version = 3 })
    assert.equal("service counter was upgraded to version 2 here, and this "
      .. "node has only version 3: start it with a definition that has the "
      .. "older one, too", ends(newest.announce, newest, "n1", new(v2())))
    local both = log:restored(v2 { version = 3, older = { v2() } })
    both:announce("n1", new(v2()))
    assert.equal(2, both.machine.in_use.services.counter.version)
  end)

  it("was removed before it had what is in use, and runs on", function()
    local log = setmetatable({ machine = machine.new({ counter() }, "n3"),
      index = 0 }, Log)
    log:configure("n1", "n2", "n3")
    for _, id in ipairs { "n1", "n2", "n3" } do
      log:announce(id, new(counter()))
    end
    log:announce("n1", new(v2()))
    log:announce("n2", new(v2()))
    log:configure("n1", "n2")  -- no end: it has no part in the upgrade
    assert.equal("service counter is in use at version 2, and this node has "
      .. "version 1: start it with the newer definition",
      ends(log.apply, log, "counter", "add", 5))
    local newer = new(v2())
    assert.equal("service counter has no state here: this node was removed "
      .. "before it had version 2",
      ends(newer.machine.restore, newer.machine, log.machine:snapshot()))
  end)

  it("begins with another version than the one who calls", function()
    assert.equal("service counter begins with version 1, and this node has "
      .. "version 2", ends(function() new(v2()):apply("counter", "add", 5) end))
  end)
end)
