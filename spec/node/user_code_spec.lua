local Cluster = require "spec.support.cluster"
local helper = require "spec.support.helper"
local raft = require "raft"
local sim = require "raft.sim"
local uv = require "luv"

local function recurse(n) return 1 + recurse(n + 1) end

-- Lua raises these very words as what they mean: no handler is called.
local function use_up_memory() error("not enough memory", 0) end

-- What each call of the library does inside apply and query.
local CALLS <const> = {
  propose = function(node) return node:propose("x", false) end,
  read = function(node) return node:read(false) end,
  query = function(node) return node:query("x", false) end,
  ready = function(node) return node:ready(false) end,
  start = function(node) return node:start() end,
  stop = function(node) return node:stop() end,
  close = function(node) return node:close() end,
  token = function(node) return node:token() end,
  members = function(node) return node:members() end,
  on = function(node) return node:on("role", print) end,
  off = function(node) return node:off("role", print) end,
  spawn = function() return raft.spawn(print) end,
  sleep = function() return raft.sleep(1, print) end,
  run = function() return raft.run(print) end,
  node = function() return raft.node {} end,
}

local ALLOWED <const> = {
  status = function(node) return node:status().state end,
  leader = function(node) return node:leader() end,
  is_leader = function(node) return node:is_leader() end,
  tostring = function(node) return tostring(node) end,
  is_error = function() return raft.is_error({}) end,
  codec = function() return raft.codec.decode(raft.codec.encode({ 1 })) end,
}

-- Tries all of them: what each said, by name.
local function try(calls, node)
  local said = {}
  for name, call in pairs(calls) do
    local ok, err = pcall(call, node)
    said[name] = ok and "ok" or raft.is_error(err) and err.code
      or tostring(err)
  end
  return said
end

local function all(calls, text)
  local said = {}
  for name in pairs(calls) do said[name] = text end
  return said
end

local PROGRAMS <const> = {
  yield = function() return coroutine.yield() end,
  yield_deeper = function()
    return pcall(function() return coroutine.yield() end)
  end,
  sleep = function() return raft.sleep(1) end,
  overflow = recurse,
  memory = use_up_memory,
  says_overflow = function() error("my stack overflow") end,
  says_memory = function() error("not enough memory") end,
  raise_nil = function() error(nil) end,
  raise_text = function() error("text", 0) end,
  raise_function = function() error(print) end,
}

describe("inside apply", function()
  local cluster, node, seen

  before_each(function()
    seen = {}
    cluster = Cluster.new { nodes = 1, node = function()
      return { apply = function(command)
        if command == "calls" then seen = try(CALLS, node) return end
        if command == "allowed" then seen = try(ALLOWED, node) return end
        if command == "wrapped" then
          local co = coroutine.wrap(function() return node:propose("y") end)
          return (select(2, pcall(co))).code
        end
        local program = PROGRAMS[command]
        if program then return program(1) end
        return command
      end }
    end }
    node = cluster:start("n1")
    node:ready()
  end)
  after_each(function() cluster:close() end)

  it("every call but the harmless ones raises reentrant", function()
    node:propose("calls")
    assert.same(all(CALLS, "reentrant"), seen)
    node:propose("allowed")
    assert.same(all(ALLOWED, "ok"), seen)
  end)

  it("says why, and where to call from", function()
    local text
    local other <close> = Cluster.new { nodes = 1, node = function()
      return { apply = function()
        text = tostring(select(2, pcall(node.propose, node, "x")))
      end }
    end }
    other:start("n1"):propose("x")
    assert.equal("reentrant: node:propose was called inside apply: that runs "
      .. "on every node, so every node would do it; call it from a callback "
      .. "or an event handler", text)
  end)

  it("a coroutine does not lead around it", function()
    assert.equal("reentrant", node:propose("wrapped"))
  end)

  it("after it, everything may be called again", function()
    node:propose("raise_text")
    assert.equal("x", node:propose("x"))
    assert.truthy(node:members().n1)
  end)

  it("a yield is a fixed error, the same wherever apply runs", function()
    local _, err = node:propose("yield")
    assert.equal("apply_error", err.code)
    assert.equal("apply and query cannot yield", err.value)
    -- At a restart it runs inside start, in our coroutine, and must not
    -- suspend that either.
    node:propose("x")
    node = cluster:restart("n1")
    assert.is_true(node:status().applied > 0)
    assert(node:ready())
    assert.equal("x", node:propose("x"))
  end)

  it("a yield behind pcall is caught by the user", function()
    assert.is_false(node:propose("yield_deeper"))
  end)

  it("an error has any value, and nil", function()
    local _, err = node:propose("raise_nil")
    assert.equal("apply_error", err.code)
    assert.is_nil(err.value)
    _, err = node:propose("raise_text")
    assert.equal("text", err.value)
    _, err = node:propose("raise_function")
    assert.equal("apply_error", err.code)
    assert.is_nil(err.value)
    assert.equal("running", node:status().state)
  end)

  it("an error that only talks of memory or stack is a result", function()
    for _, name in ipairs { "says_overflow", "says_memory" } do
      local _, err = node:propose(name)
      assert.equal("apply_error", err.code)
    end
    assert.equal("running", node:status().state)
  end)

  -- Fails with the command; what waits is answered; a restart replays.
  local function check_fatal(command)
    local failed, codes = nil, {}
    node:on("failed", function(err) failed = err end)
    for _, c in ipairs { command, "after" } do
      node:propose(c, function(err)
        codes[#codes + 1] = err.code .. " " .. err.outcome
      end)
    end
    helper.wait_until(function() return #codes == 2 and failed end)
    assert.same({ "failed unknown", "failed unknown" }, codes)
    assert.equal("failed", node:status().state)
    assert.equal("raft.node n1 (failed)", tostring(node))
    assert.equal("apply_error", failed.code)
    assert.equal(failed, node:status().failure)
    local _, err = node:propose("later")
    assert.equal("failed", err.code)
    assert.equal("none", err.outcome)
    assert.equal(failed, err.cause)
    assert.is_nil((node:start()))
    assert.is_true(node:stop())  -- never raises, in any state
    assert.equal("failed", node:status().state)
    return tostring(failed)
  end

  it("a stack overflow fails the node", function()
    assert.truthy(check_fatal("overflow"):find("stack overflow", 1, true))
  end)

  it("being out of memory fails the node", function()
    assert.truthy(check_fatal("memory"):find("not enough memory", 1, true))
  end)

  it("a failure comes again when start replays it", function()
    check_fatal("overflow")
    helper.wait_until(function()
      local again = cluster:new_node("n1")
      local ok, err = again:start()
      if not ok and err.code == "dir_locked" then return false end
      -- Known to be committed by then, or found out after the start.
      helper.wait_until(function() return again:status().state == "failed" end)
      return true
    end)
    local fixed = PROGRAMS.overflow
    PROGRAMS.overflow = function() return "mended" end
    finally(function() PROGRAMS.overflow = fixed end)
    helper.wait_until(function()
      node = cluster:new_node("n1")
      return node:start()
    end)
    assert.is_true(node:ready())
    assert.equal("x", node:propose("x"))
  end)
end)

describe("inside query", function()
  it("every call but the harmless ones raises reentrant", function()
    local node
    local cluster <close> = Cluster.new { nodes = 1, node = function()
      return { query = function(name)
        if name == "yield" then return coroutine.yield() end
        return try(name == "calls" and CALLS or ALLOWED, node)
      end }
    end }
    node = cluster:start("n1")
    node:ready()
    for _, consistency in ipairs { "stale", "linearizable" } do
      local opts = { consistency = consistency }
      assert.same(all(CALLS, "reentrant"), node:query("calls", opts))
      assert.same(all(ALLOWED, "ok"), node:query("allowed", opts))
      local _, err = node:query("yield", opts)
      assert.equal("apply and query cannot yield", err.value)
    end
    assert.equal("running", node:status().state)
  end)

  it("running out of stack is only the caller's trouble", function()
    local cluster <close> = Cluster.new { nodes = 1,
      node = function() return { query = recurse } end }
    local node = cluster:start("n1")
    local _, err = node:query(1)
    assert.equal("apply_error", err.code)
    assert.equal("running", node:status().state)
  end)

  it("is unsupported without a query function", function()
    local cluster <close> = Cluster.new { nodes = 1 }
    local opts = cluster:options_of("n1")
    opts.query = nil
    local node <close> = raft.node(opts)
    assert(node:start())
    local _, err = node:query("x")
    assert.equal("unsupported", err.code)
    node:stop()
  end)
end)

-- What may be called from callbacks and handlers: everything.
local EVERYWHERE <const> = {
  propose = function(node, done) node:propose("x", done) end,
  propose_false = function(node, done)
    node:propose("x", false)
    done()
  end,
  read = function(node, done) node:read(done) end,
  query = function(node, done) node:query("x", done) end,
  ready = function(node, done) node:ready(done) end,
  stale = function(node, done) node:read({ consistency = "stale" }, done) end,
  status = function(node, done) done(node:status().state ~= "running") end,
  leader = function(node, done) done(not node:leader()) end,
  members = function(node, done) done(not node:members().n1) end,
  token = function(node, done) done(not node:token()) end,
  on = function(node, done)
    node:off("role", node:on("role", function() end))
    done()
  end,
  start = function(node, done) done(node:start() ~= true) end,
  spawn = function(node, done)
    raft.spawn(function()
      local _, err = node:propose("y")
      done(err)
    end)
  end,
}

local ENDINGS <const> = {
  stop = function(node, done) node:stop(done) end,
  stop_alone = function(node, done)
    node:stop()
    done()
  end,
  close = function(node, done)
    node:close()
    node:close()
    done()
  end,
}

-- Ways into the user's code: each calls fn(node) once, from there.
local PLACES <const> = {
  ["a callback of propose"] = function(node, fn)
    node:propose("p", fn)
  end,
  ["a callback of read"] = function(node, fn) node:read(fn) end,
  ["a callback of query"] = function(node, fn) node:query("q", fn) end,
  ["a callback of ready"] = function(node, fn) node:ready(fn) end,
  ["a callback with an error"] = function(node, fn)
    node:read({ at_least = "r1:99999", timeout = 5 }, fn)
  end,
  ["a coroutine after propose"] = function(node, fn)
    raft.spawn(function()
      node:propose("p")
      fn()
    end)
  end,
  ["the applied event"] = function(node, fn)
    node:on("applied", fn)
    node:propose("p", false)
  end,
  ["the error event"] = function(node, fn)
    node:on("error", fn)
    node:read({ at_least = "r1:99999", timeout = 5 }, false)
  end,
}

describe("everything may be called", function()
  local cluster, node
  before_each(function()
    cluster = Cluster.new { nodes = 1 }
    node = cluster:start("n1")
    node:ready()
  end)
  after_each(function() cluster:close() end)

  local function once(fn)
    local is_called = false
    return function()
      if is_called then return end
      is_called = true
      fn()
    end
  end

  for place, enter in pairs(PLACES) do
    it("from " .. place, function()
      local missing, wrong = {}, {}
      for name in pairs(EVERYWHERE) do missing[name] = true end
      enter(node, once(function()
        for name, call in pairs(EVERYWHERE) do
          local ok, why = pcall(call, node, function(err)
            missing[name] = nil
            if err then wrong[name] = err end
          end)
          if not ok then wrong[name] = why end
        end
      end))
      helper.wait_until(function() return not next(missing) end, nil,
        "the answers to calls from " .. place)
      assert.same({}, wrong)
    end)

    for name, ending in pairs(ENDINGS) do
      it(name .. " from " .. place, function()
        local is_done
        enter(node, once(function()
          ending(node, function(err)
            assert(not err)
            is_done = true
          end)
        end))
        helper.wait_until(function()
          return is_done and node:status().state == "closed"
        end, nil, name .. " from " .. place)
      end)
    end
  end
end)

describe("entry.time", function()
  it("is fresh after long work before the proposal", function()
    local times = {}
    local cluster <close> = Cluster.new { nodes = 1, node = function()
      return { apply = function(_, entry)
        times[#times + 1] = entry.time
        return true
      end }
    end }
    local node = cluster:start("n1")
    assert(node:ready())
    assert(node:propose("first"))
    local until_ns = uv.hrtime() + 300e6
    while uv.hrtime() < until_ns do end  -- the loop is blocked meanwhile
    assert(node:propose("second"))
    assert.is_true(times[2] - times[1] >= 290, tostring(times[2] - times[1]))
  end)

  -- Votes told nobody the time, so until the first answers came a new leader
  -- knew of no clock but its own, and stamped by the year 1970.
  it("is the time of day from the first command on", function()
    for seed = 1, 20 do
      local first
      local s <close> = sim.new { seed = seed, nodes = 3, node = function()
        return { apply = function(_, entry)
          first = first or entry.time
          return true
        end }
      end }
      s:run(function()
        local tasks = {}
        for i = 1, 3 do  -- each as soon as there is a leader
          tasks[i] = s:spawn(function()
            return s:node("n" .. i):propose("x", { timeout = 20000 })
          end)
        end
        for _, task in ipairs(tasks) do assert(task:wait()) end
      end)
      assert.is_true(first > 1700000000000, ("seed %d: %d"):format(seed, first))
    end
  end)
end)

describe("an error in apply", function()
  it("is reported when it happens, not again at every start", function()
    local cluster <close> = Cluster.new { nodes = 1, node = function()
      return { apply = function(command)
        if command == "x" then error("no") end
      end }
    end }
    local node = cluster:start("n1")
    local _, err = node:propose("x")
    assert.equal("apply_error", err.code)
    helper.wait_until(function() return #cluster.errors.n1 == 1 end)
    node:propose("y")  -- with it the disk knows that x is committed
    node = cluster:restart("n1")
    assert(node:ready())
    node:propose("z")  -- what was reported before is told by then
    assert.equal(0, #cluster.errors.n1)
  end)
end)
