-- The frame around the specs must fail where it should, or nothing here
-- means anything. So it is tried in a process of its own.
local ports = require "spec.support.ports"
local support = require "spec.support.helper"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

-- Runs one spec file with this text: its whole output, and the last line.
local function busted(text)
  local dir <close> = tmpdir.new()
  local path = dir:write("sample_spec.lua", text)
  local pipe <close> = assert(io.popen(
    "WATCHDOG_MS=1000 lua5.4 tools/busted.lua " .. path .. " 2>&1"))
  local output = pipe:read("a")
  return output, output:match("([^\n]*)\n$")
end

local function body(code)
  return ([[
    local support = require "spec.support.helper"
    local uv = require "luv"
    describe("sample", function()
      it("test", function()
        support.wait_until(function() return uv.loop_mode() end)
        %s
      end)
    end)]]):format(code)
end

describe("the helper", function()
  it("lets a body wait, and passes it", function()
    local output, last = busted(body(""))
    assert.equal("1 passed, 0 failed, 0 skipped", last, output)
  end)

  it("does not give up waiting because the loop stood still", function()
    local output, last = busted(body([[
      local is_done = false
      local timer = uv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        local from = uv.hrtime()
        while uv.hrtime() - from < 100e6 do end
        local again = uv.new_timer()
        again:start(1, 0, function()
          again:close()
          is_done = true
        end)
      end)
      support.wait_until(function() return is_done end, 50)]]))
    assert.equal("1 passed, 0 failed, 0 skipped", last, output)
  end)

  it("shows where an assertion failed", function()
    local output, last = busted(body("assert.equal(1, 2)"))
    assert.equal("0 passed, 1 failed, 0 skipped", last)
    assert.truthy(output:find("FAILED: [^\n]*sample_spec.lua:4: sample test"),
      output)
    assert.truthy(output:find("sample_spec.lua:6: Expected objects to be equal",
      1, true), output)
  end)

  it("fails a body that hangs, and says where", function()
    local output, last = busted(body("coroutine.yield()"))
    assert.equal("0 passed, 1 failed, 0 skipped", last)
    assert.truthy(output:find("nothing happened for 1000 ms", 1, true), output)
    assert.truthy(output:find("sample_spec.lua:6: in function", 1, true),
      output)
  end)

  it("never goes on with a body that was late, and closes what it had",
    function()
      local output, last = busted([[
        local co, is_closed
        it("hangs", function()
          local thing <close> = setmetatable({}, { __close = function()
            is_closed = true
          end })
          co = coroutine.running()
          coroutine.yield()
        end)
        it("wakes it", function()
          assert.is_true(is_closed)
          assert.is_false((coroutine.resume(co)))
        end)]])
      assert.equal("1 passed, 1 failed, 0 skipped", last, output)
    end)

  it("fails a test that leaves a handle open, and names it", function()
    local output, last = busted(body("uv.new_timer()"))
    assert.equal("1 passed, 1 failed, 0 skipped", last)
    assert.truthy(output:find('"test" left 1 handles open: uv_timer_t', 1,
      true), output)
  end)

  it("waits for handles that are just being closed", function()
    local output, last = busted(body([[
      local timer = uv.new_timer()
      timer:start(20, 0, function() timer:close() end)]]))
    assert.equal("1 passed, 0 failed, 0 skipped", last, output)
  end)

  it("counts what fails outside of tests, and what is skipped", function()
    local output, last = busted([[
      describe("a", function()
        setup(function() error("broken setup") end)
        it("never runs", function() end)
      end)
      describe("b", function()
        pending("later")
        it("skips", function() pending("no disk here") end)
      end)]])
    assert.equal("0 passed, 1 failed, 2 skipped", last)
    assert.truthy(output:find("broken setup", 1, true), output)
    assert.truthy(output:find("no disk here", 1, true), output)
  end)

  it("counts a file that does not compile", function()
    local output, last = busted("this is no Lua")
    assert.equal("0 passed, 1 failed, 0 skipped", last)
    assert.truthy(output:find("sample_spec.lua:1:", 1, true), output)
  end)

  describe("wait_until", function()
    it("returns what the predicate returned, once that is true", function()
      local looks = 0
      assert.equal("yes", support.wait_until(function()
        looks = looks + 1
        return looks == 3 and "yes"
      end))
      assert.equal(3, looks)
    end)

    it("gives up, naming what it waited for", function()
      local ok, why = pcall(function()
        support.wait_until(function() return false end, 5, "a leader")
      end)
      assert.is_false(ok)
      assert.truthy(why:find("support_spec.lua:%d+: waited 5 ms in vain for a "
        .. "leader"), why)
    end)
  end)

  describe("outside_loop", function()
    it("runs on the main thread while the loop does not run", function()
      assert.truthy(uv.loop_mode())
      local mode, is_main = support.outside_loop(function()
        return uv.loop_mode(), select(2, coroutine.running())
      end)
      assert.is_nil(mode)
      assert.is_true(is_main)
    end)

    it("hands on errors as they are", function()
      local err = {}
      local ok, why = pcall(support.outside_loop, function() error(err) end)
      assert.is_false(ok)
      assert.equal(err, why)
    end)
  end)

  it("draws one seed per run", function()
    local first = support.seed()
    local a = math.random(1 << 30)
    assert.equal(first, support.seed())
    assert.equal(a, math.random(1 << 30))
  end)
end)

describe("tmpdir", function()
  it("is there while it is wanted, with all that is in it", function()
    local path
    do
      local dir <close> = tmpdir.new()
      path = dir.path
      assert(uv.fs_mkdir(dir:join("sub"), 448))
      assert.equal(dir:join("sub", "f"), dir:write("sub/f", "bytes"))
      assert.equal("bytes", dir:read("sub/f"))
      assert(uv.fs_symlink("/nowhere", dir:join("link")))
    end
    assert.is_nil((uv.fs_stat(path)))
  end)

  it("may be removed twice", function()
    local dir = tmpdir.new()
    dir:remove()
    dir:remove()
    assert.is_nil((uv.fs_stat(dir.path)))
  end)
end)

describe("a free address", function()
  local function listening(port)
    local tcp = assert(uv.new_tcp())
    assert(tcp:bind("127.0.0.1", port))
    local ok, why = tcp:listen(1, function() end)
    return tcp, ok and true or why
  end

  it("is not handed to anybody else, and may be listened on", function()
    local taken = {}
    for _ = 1, 64 do
      taken[tonumber(ports.free_address():match(":(%d+)$"))] = true
    end
    for _ = 1, 3000 do
      local tcp = listening(0)
      assert.is_nil(taken[tcp:getsockname().port])
      tcp:close()
    end
    for port in pairs(taken) do
      for _ = 1, 2 do
        local tcp, outcome = listening(port)
        assert.is_true(outcome, outcome)
        tcp:close()
        support.wait_until(function() return tcp:is_closing() end)
      end
    end
  end)
end)
