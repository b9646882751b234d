-- The figures of a process, taken of this one; and what is started beside it.
local cluster = require "bench.cluster"
local processes = require "bench.compare.processes"
local support = require "spec.support.helper"
local uv = require "luv"

describe("processes of the benchmarks #house", function()
  it("knows the processor time of all threads, in nanoseconds", function()
    local pid = uv.os_getpid()
    local before, wall = processes.processor_ns(pid), uv.hrtime()
    local x = 0
    -- Until the kernel has told of it; a loop of a second is enough for any.
    while processes.processor_ns(pid) - before < 5e6 do
      for i = 1, 1e5 do x = x + i end
      assert(uv.hrtime() - wall < 10e9, "no processor time passes")
    end
    local spent = processes.processor_ns(pid) - before
    assert.is_true(spent <= 8 * (uv.hrtime() - wall))
  end)

  it("knows the memory of a process", function()
    local mib = processes.resident_mib(uv.os_getpid())
    assert.is_true(mib > 1 and mib < 4096)
  end)

  -- Runs fn in a coroutine: what it returned, or its error.
  local function in_coroutine(fn)
    local result
    local co = coroutine.create(function() result = { pcall(fn) } end)
    assert(coroutine.resume(co))
    support.wait_until(function() return result end)
    return table.unpack(result)
  end

  -- What a process that runs this text in a shell does not answer with.
  local function error_of(id, text, ms)
    local ok, err = in_coroutine(function()
      local child = cluster.launch(id, "sh", { "-c", text })
      child:send("end")
      local has, why = pcall(child.await, child, "answer", ms)
      child:kill("sigkill")
      if not has then error(why, 0) end
    end)
    assert.is_false(ok)
    return err
  end

  it("raises when a process ends in place of an answer", function()
    assert.matches("short has ended: no 'answer'",
      error_of("short", "read x; kill -9 $$", 10000))
  end)

  it("raises when an answer is late", function()
    assert.matches("slow is late: no 'answer'",
      error_of("slow", "read x; read x", 20))
  end)
end)
