local errors = require "raft.errors"
local registry = require "raft.registry"
local stderr_of = require "spec.support.stderr"
local support = require "spec.support.helper"
local task = require "raft.task"
local uv = require "luv"

-- Calls task.run where a script would. What comes out of it, packed.
local function run(fn, opts)
  return support.outside_loop(function()
    return table.pack(pcall(task.run, fn, opts))
  end)
end

-- A node as raft.run sees it. `slow_ms`: what stop takes.
local function fake_node(id, slow_ms)
  local nodes = registry.of(uv)
  local node = { id = id, calls = {} }
  function node.close()
    node.calls[#node.calls + 1] = "close"
    nodes:remove(node)
  end
  function node.stop(_, cb)
    node.calls[#node.calls + 1] = "stop"
    task.sleep(slow_ms or 1, function()
      nodes:remove(node)
      cb(nil, true)
    end)
  end
  nodes:add(node)
  return node
end

local function open_handles()
  local count = 0
  uv.walk(function(handle)
    if not uv.is_closing(handle) then count = count + 1 end
  end)
  return count
end

describe("run", function()
  it("returns all results of the function", function()
    assert.same({ n = 4, true, 1, nil, false },
      run(function()
        task.sleep(1)
        return 1, nil, false
      end))
  end)

  it("runs the function in a coroutine on the loop", function()
    local is_yieldable, mode
    run(function() is_yieldable, mode = coroutine.isyieldable(),
      uv.loop_mode() end)
    assert.is_true(is_yieldable)
    assert.truthy(mode)
  end)

  it("rethrows an error with its traceback", function()
    local function culprit()
      task.sleep(1)
      error("boom")
    end
    local result = run(function() culprit() end)
    assert.is_false(result[1])
    assert.truthy(result[2]:find("^[^\n]*run_spec.lua:%d+: boom\n"), result[2])
    assert.truthy(result[2]:find("culprit", 1, true), result[2])
  end)

  it("rethrows an error value as itself, with a traceback in it", function()
    local mine = errors.new("dir_locked", "x")
    local result = run(function() error(mine) end)
    assert.equal(mine, result[2])
    assert.truthy(mine.traceback:find("run_spec", 1, true))
    local other = {}
    assert.equal(other, run(function() error(other) end)[2])
  end)

  it("refuses a second run in a running loop, and names spawn", function()
    local ok, why = pcall(task.run, function() end)
    assert.is_false(ok)
    assert.equal("raft.run: the loop is running already; raft.spawn(fn) "
      .. "starts a task in it", why)
    local inner
    run(function() inner = table.pack(pcall(task.run, function() end)) end)
    assert.equal(why, inner[2])
  end)

  it("refuses what is no function, and unknown options", function()
    assert.equal("raft.run: expected a function, got nil", run(nil)[2])
    local result = run(function() end, { signal = false })
    assert.equal("raft.run: signal: unknown option, did you mean signals?",
      result[2])
  end)

  it("can be called again", function()
    assert.equal(1, run(function() return 1 end)[2])
    assert.is_false(run(function() error("x") end)[1])
    assert.equal(2, run(function() return 2 end)[2])
  end)

  it("leaves no handle behind", function()
    local before, after = support.outside_loop(function()
      uv.run("nowait")
      local n = open_handles()
      pcall(task.run, function()
        task.spawn(function() task.sleep(10000) end)
        task.sleep(10000, function() end)
        task.spawn(function() end)
        task.sleep(1)
      end)
      return n, open_handles()
    end)
    assert.equal(before, after)
  end)

  it("says so when nothing is left that could wake the function", function()
    -- The helper's own timer keeps luv's loop busy.
    local function nothing() return false end
    local lonely = { run = nothing, stop = nothing, loop_alive = nothing,
      is_closing = nothing, close = nothing,
      new_idle = function() return {} end,
      idle_start = function() return 0 end }
    local result = run(function() coroutine.yield() end, { uv = lonely })
    assert.is_false(result[1])
    assert.equal("raft.run: the function waits, and nothing is left on the "
      .. "loop that could end that", result[2])
  end)

  describe("ends what is left", function()
    it("closes the tasks, and their to-be-closed variables", function()
      local order = {}
      run(function()
        for i = 1, 2 do
          task.spawn(function()
            local _ <close> = setmetatable({}, { __close = function()
              order[#order + 1] = i
            end })
            task.sleep(10000)
          end)
        end
        task.sleep(1)
      end)
      assert.same({ 1, 2 }, order)
    end)

    it("answers who waits for them", function()
      local task_err, sleep_err
      run(function()
        local t = task.spawn(function() coroutine.yield() end)
        t:wait(function(err) task_err = err end)
        task.sleep(10000, function(err) sleep_err = err end)
        task.sleep(1)
      end)
      assert.equal("closed: raft.run ended before the task", tostring(task_err))
      assert.equal("closed: the loop ended before the sleep",
        tostring(sleep_err))
    end)

    it("starts nothing any more", function()
      local inner, result
      run(function()
        task.sleep(10000, function()
          inner = task.spawn(function() result = "ran" end)
          task.sleep(1, function(err) result = err end)
        end)
      end)
      assert.equal("raft.task (closed)", tostring(inner))
      assert.equal("closed", result.code)
    end)
  end)

  describe("with nodes", function()
    it("goes on until the last one is closed", function()
      local order = {}
      run(function()
        local node = fake_node("n1")
        task.spawn(function()
          task.sleep(5)
          order[#order + 1] = "closing"
          node.close()
        end)
        order[#order + 1] = "fn ended"
      end)
      assert.same({ "fn ended", "closing" }, order)
    end)

    it("closes them when the function raises", function()
      local node
      local result = run(function()
        node = fake_node("n1")
        error("boom", 0)
      end)
      assert.is_false(result[1])
      assert.same({ "close" }, node.calls)
      assert.equal(0, registry.of(uv):count())
    end)

    it("raises when one has failed", function()
      local why = errors.new("io_error", "the sync failed")
      local result = run(function()
        local node = fake_node("n1")
        registry.of(uv):fail(node, why)
        return "all went well?"
      end)
      assert.is_false(result[1])
      assert.equal("failed: node n1 failed: io_error: the sync failed",
        tostring(result[2]))
      assert.equal(why, result[2].cause)
      assert.is_true(run(function() end)[1])  -- said once
    end)

    it("does not count what failed before", function()
      registry.of(uv):fail({ id = "old" }, "long ago")
      assert.is_true(run(function() end)[1])
    end)

    it("survives a node whose close raises", function()
      local text, result = stderr_of(function()
        return run(function()
          local node = fake_node("n1")
          local close = node.close
          node.close = function()
            close()
            error("close failed", 0)
          end
          error("boom", 0)
        end)
      end)
      assert.truthy(result[2]:find("^boom"))
      assert.truthy(text:find("node:close: close failed", 1, true), text)
    end)
  end)
end)

-- Signals go to a process of their own, which says when it is ready.
describe("run in a process", function()
  local PRELUDE <const> = [[
    local task = require "raft.task"
    local registry = require "raft.registry"
    local uv = require "luv"
    local function node(id, stop)
      local nodes = registry.of(uv)
      local n, timer = { id = id }, uv.new_timer()
      timer:start(60000, 0, function() end)
      local function over()
        if not timer:is_closing() then timer:close() end
        nodes:remove(n)
      end
      n.close = function() print("close") over() end
      n.stop = stop or function(_, cb)
        print("stop")
        task.sleep(1, function() over() cb(nil, true) end)
      end
      nodes:add(n)
    end
    io.stdout:setvbuf("line")
  ]]

  -- Runs the script; sends the signals, each after the output has grown to
  -- that many lines. Returns its output, what it wrote to stderr, status.
  local function script(body, signals)
    local out, err = uv.new_pipe(), uv.new_pipe()
    local texts, code = { [out] = "", [err] = "" }, nil
    local process = assert(uv.spawn("lua5.4", {
      args = { "-e", PRELUDE .. body }, stdio = { nil, out, err },
      env = { "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
        "PATH=" .. os.getenv("PATH") },
    }, function(status, signal) code = status + signal * 1000 end))
    for _, pipe in ipairs { out, err } do
      pipe:read_start(function(_, chunk)
        if chunk then texts[pipe] = texts[pipe] .. chunk else pipe:close() end
      end)
    end
    for i, signal in ipairs(signals or {}) do
      support.wait_until(function()
        return select(2, texts[out]:gsub("\n", "")) >= i
      end, 5000, "line " .. i)
      process:kill(signal)
    end
    support.wait_until(function()
      return code and out:is_closing() and err:is_closing()
    end, 10000, "the end of the script")
    process:close()
    return texts[out], texts[err], code
  end

  it("ends with status 0 when all went well", function()
    local out, err, code = script [[
      print(task.run(function() task.sleep(1) return "fine" end))]]
    assert.same({ "fine\n", "", 0 }, { out, err, code })
  end)

  it("ends with another status when the function raises", function()
    local _, err, code = script [[task.run(function() error("boom") end)]]
    assert.equal(1, code)
    assert.truthy(err:find("boom", 1, true))
  end)

  it("closes the nodes when the function raises", function()
    local out, err, code = script [[
      task.run(function() node("n1") task.sleep(1) error("boom") end)]]
    assert.same({ "close\n", 1 }, { out, code })
    assert.truthy(err:find("boom", 1, true))
  end)

  it("ends with another status when a node failed", function()
    local _, err, code = script [[
      task.run(function()
        local n = { id = "n1" }
        registry.of(uv):fail(n, "the disk is gone")
      end)]]
    assert.equal(1, code)
    assert.truthy(err:find("node n1 failed: the disk is gone", 1, true), err)
  end)

  it("notices that nothing can go on", function()
    local _, err, code = script [[task.run(coroutine.yield)]]
    assert.equal(1, code)
    assert.truthy(err:find("nothing is left on the loop", 1, true), err)
  end)

  for _, signal in ipairs { "sigint", "sigterm" } do
    it("stops the nodes at " .. signal, function()
      local out, err, code = script([[
        task.run(function() node("n1") node("n2") print("ready") end)
        print("after")]], { signal })
      assert.same({ "ready\nstop\nstop\nafter\n", "", 0 }, { out, err, code })
    end)
  end

  it("closes the nodes at a second signal", function()
    local out, _, code = script([[
      task.run(function()
        node("n1", function() print("stopping") end)
        print("ready")
      end)]], { "sigterm", "sigint" })
    assert.same({ "ready\nstopping\nclose\n", 0 }, { out, code })
  end)

  it("gives the function some time after a signal, and ends it", function()
    local out, err, code = script([[
      local fn = function()
        local _ <close> = setmetatable({}, {
          __close = function() print("closed") end })
        node("n1")
        print("ready")
        while true do task.sleep(10000) end
      end
      task.run(fn)]], { "sigterm" })
    assert.same({ "ready\nstop\nclosed\n", "", 0 }, { out, err, code })
  end)

  it("leaves nothing behind when the function ends in time", function()
    local out, err, code = script([[
      task.run(function()
        node("n1")
        print("ready")
        while registry.of(uv):count() > 0 do task.sleep(1) end
        task.sleep(1)
      end)
      local left = 0
      uv.walk(function() left = left + 1 end)
      print(left)]], { "sigterm" })
    assert.same({ "ready\nstop\n0\n", "", 0 }, { out, err, code })
  end)

  it("ends at a signal when no node is open", function()
    local out, err, code = script([[
      task.run(function() print("ready") task.sleep(10000) end)]],
      { "sigint" })
    assert.same({ "ready\n", 1 }, { out, code })
    assert.truthy(err:find("raft.run: interrupted by SIGINT", 1, true), err)
  end)

  it("leaves signals alone when told so", function()
    local _, _, code = script([[
      task.run(function() node("n1") print("ready") task.sleep(10000) end,
        { signals = false })]], { "sigterm" })
    assert.equal(15000, code)  -- killed by it
  end)
end)
