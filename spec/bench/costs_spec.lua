-- What is counted for an entry: the library that counts, on programs of which
-- everything is known; system calls; and what is made of both.
local cluster = require "bench.cluster"
local costs = require "bench.compare.costs"
local support = require "spec.support.helper"
local syscalls = require "bench.compare.syscalls"

local LIBRARY <const> = "build/bench/counts.so"

-- Runs a chunk in a Lua that counts; what it has printed, as a table.
local function counted(text)
  assert(os.execute("make -s " .. LIBRARY))
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write([[
    package.cpath = "build/bench/?.so;" .. package.cpath
    local counts, uv = require "counts", require "luv"
    local core = require "raft.core"
    local function begin(what)
      counts.begin(what, print, core.host.wall, uv.hrtime)
    end
    local function finish()
      for what, by_whom in pairs(counts.finish()) do
        for who, n in pairs(by_whom) do print(what .. "." .. who, n) end
      end
    end
  ]], text)
  file:close()
  local pipe = assert(io.popen(("LD_PRELOAD=$PWD/%s %s %s 2>&1"):format(LIBRARY,
    os.getenv("LUA") or "lua5.4", path)))
  local output, found = pipe:read("a"), {}
  assert(pipe:close(), output)
  os.remove(path)
  for name, n in output:gmatch("(%S+)\t(%d+)\n") do
    found[name] = math.tointeger(n)
  end
  return found
end

-- What fn returns, in a coroutine beside the loop.
local function in_coroutine(fn)
  local results
  assert(coroutine.resume(coroutine.create(function()
    results = table.pack(pcall(fn))
  end)))
  support.wait_until(function() return results end)
  assert(results[1], results[2])
  return table.unpack(results, 2, results.n)
end

local is_linux = io.open("/proc/self/io") ~= nil

describe("the library that counts #house", function()
  if not is_linux then return pending("the preloaded library: Linux only") end

  it("counts crossings, each way and by whom", function()
    local found = counted [[
      begin "calls"
      for _ = 1, 7 do uv.hrtime() end
      for _ = 1, 5 do core.host.wall() end
      for _ = 1, 3 do pcall(function() end) end
      pcall(uv.hrtime)  -- from C to C
      local timer = uv.new_timer()
      timer:start(0, 0, function() timer:close() end)
      uv.run()
      finish()
    ]]
    assert.equal(7, found["functions.luv.hrtime"])
    assert.equal(5, found["functions.core.wall"])
    assert.equal(4, found["functions.lua.pcall"])
    assert.equal(7 + 4, found["calls_out.luv"])  -- new_timer start run close
    assert.equal(5, found["calls_out.core"])
    assert.equal(1, found["calls_in.luv"])
    assert.equal(3, found["calls_in.lua"])
    assert.equal(0, found["allocations.lua"])  -- was not asked for
  end)

  it("counts the first function of a coroutine as one that C calls", function()
    local found = counted [[
      begin "calls"
      coroutine.wrap(function() coroutine.yield() end)()
      finish()
    ]]
    assert.equal(1, found["calls_in.lua"])
    -- wrap, what it has returned, yield; finish is of none of the three
    assert.equal(3, found["calls_out.lua"])
  end)

  it("counts memory by who asked for it, and copies by who made them",
    function()
      local found = counted [[
        local long = ("x"):rep(1 << 20)
        begin "memory"
        local longer = long .. "y"
        uv.new_timer()
        finish()
      ]]
      assert.is_true(found["allocated_bytes.lua"] > 1 << 20)
      assert.is_true(found["allocated_bytes.lua"] < (1 << 20) + 4096)
      assert.is_true(found["allocations.luv"] > 0)
      assert.is_true(found["copied_bytes.lua"] > 1 << 20)
      assert.is_true(found["copied_bytes.lua"] < (1 << 20) + 4096)
      assert.equal(0, found["calls_out.luv"])
      assert.equal(0, found["copied_bytes.core"])
    end)

  it("counts nothing after the end, and begins at nothing", function()
    local found = counted [[
      begin "memory"
      local t = {}
      for i = 1, 100 do t[i] = {} end
      counts.finish()
      for i = 1, 100 do t[i] = {} end
      begin "memory"
      finish()
    ]]
    assert.is_true(found["allocations.lua"] < 10)
  end)
end)

describe("system calls of the benchmarks #house", function()
  -- A process that answers each line with 100 writes.
  local CHATTY <const> = [[io.stdout:setvbuf "no"
    for _ in io.lines() do
      for _ = 1, 100 do io.stdout:write "x\n" end
    end]]

  for _, way in ipairs(syscalls.ways) do
    it("are counted by " .. way.name, function()
      if not syscalls.works(way) then return pending("no " .. way.name) end
      local calls = in_coroutine(function()
        local child = cluster.launch("chatty", os.getenv("LUA") or "lua5.4",
          { "-e", CHATTY })
        local found = syscalls.count(way, child.process:get_pid(), function()
          child:send "go"
          child:await("x", 10000)
          cluster.pause(200)  -- for the writes behind the first
        end)
        child:kill("sigkill")
        return found
      end)
      -- The writes, the read that ends the line before, and the next one.
      assert.is_true(calls >= 100, calls)
      assert.is_true(calls <= 103, calls)
    end)
  end

  it("are read from what the tools say", function()
    assert.equal(1234, syscalls.ways[1].parse(
      "1234,,raw_syscalls:sys_enter,1000,100.00,,\n"))
    assert.is_nil(syscalls.ways[1].parse(
      "<not supported>,,raw_syscalls:sys_enter,0,0.00,,\n"))
    assert.equal(17, syscalls.ways[2].parse(
      "    calls syscall\n--------- --------\n       16 write\n"
      .. "--------- --------\n       17 total\n"))
    assert.is_nil(syscalls.ways[2].parse("strace: no such process\n"))
  end)
end)

describe("the costs of an entry #house", function()
  it("are what was counted, for each entry", function()
    assert.same({ ["calls_out.core"] = 2.5, ["functions.core.take"] = 0.5 },
      costs.parse("counts calls_out:core=10 functions:core.take=2", 4))
  end)

  it("show the functions that are called most often, the same ones everywhere",
    function()
      local found = { loads = {
        { leader = { ["functions.lua.type"] = { median = 2.0 },
          ["functions.core.take"] = { median = 12.0 },
          ["functions.core.step"] = { median = 0.25 },
          ["calls_out.core"] = { median = 99 } } },
        { leader = { ["functions.core.take"] = { median = 0.01 } } },
      } }
      assert.same({ { "core.take", "12.0", "0.010" },
        { "lua.type", "2.00", "-" } }, costs.callees(found, 2))
      assert.equal(3, #costs.callees(found, 10))
    end)

  it("of a follower are the mean of the followers", function()
    assert.same({ a = 2.0, b = 0.5 },
      costs.mean { { a = 1.0, b = 1.0 }, { a = 3.0 } })
  end)
end)
