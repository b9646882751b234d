--- How long is a durable write? Compares the ways the write-ahead log could
-- take, alone and with three processes at once.
--
--   lua5.4 bench/sync.lua [DIR] [MS]    after make, with its paths
--
-- Every way writes sector-aligned blocks one after the other into a file that
-- was filled with zeros and synced before, as a segment of the log is. The
-- columns: durable writes per second (of all processes together), the latency
-- of one as its writer sees it, in milliseconds, and the processor's time that
-- it takes, all threads together, in microseconds.
local core = require "raft.core"
local uv = require "luv"

local FILE_BYTES <const> = 64 << 20
local SIZES <const> = { 4 << 10, 64 << 10, 176 << 10 }
local PROCESSES <const> = { 1, 3 }

local flags = uv.constants
local READ_WRITE <const> = flags.O_RDWR

-- Way -> flags of open, whether a sync follows, whether the loop waits; direct:
-- past the page cache, without a thread.
local ways <const> = {
  { name = "dsync, direct", dsync = true, direct = true },
  { name = "dsync, pool", dsync = true, sync = false, inline = false },
  { name = "fdatasync, pool", dsync = false, sync = true, inline = false },
  { name = "dsync, inline", dsync = true, sync = false, inline = true },
  { name = "fdatasync, inline", dsync = false, sync = true, inline = true },
}

local function make_file(path)
  local fd = assert(uv.fs_open(path, flags.O_RDWR | flags.O_CREAT, 384))
  local zeros = string.rep("\0", 1 << 20)
  for offset = 0, FILE_BYTES - 1, #zeros do
    assert(uv.fs_write(fd, zeros, offset))
  end
  assert(uv.fs_fsync(fd))
  assert(uv.fs_close(fd))
end

-- Where the next block goes.
local function after(offset, block)
  offset = offset + #block
  return offset + #block <= FILE_BYTES and offset or 0
end

-- One durable write after another until the time is over; `done` is called
-- with the list of latencies in nanoseconds.
local function inline_writer(way, fd, block, stop_at)
  local spent, offset = {}, 0
  while true do
    local from = uv.hrtime()
    if from >= stop_at then return spent end
    assert(uv.fs_write(fd, block, offset))
    if way.sync then assert(uv.fs_fdatasync(fd)) end
    spent[#spent + 1] = uv.hrtime() - from
    offset = after(offset, block)
  end
end

local function pool_writer(way, fd, block, stop_at)
  local spent, offset = {}, 0
  local from, write
  local function finished(err)
    assert(not err, err)
    spent[#spent + 1] = uv.hrtime() - from
    offset = after(offset, block)
    write()
  end
  local function written(err)
    assert(not err, err)
    if not way.sync then return finished() end
    uv.fs_fdatasync(fd, finished)
  end
  function write()
    from = uv.hrtime()
    if from >= stop_at then return end
    uv.fs_write(fd, block, offset, written)
  end
  write()
  uv.run()
  return spent
end

local function direct_writer(fd, block, stop_at)
  local spent, offset = {}, 0
  local aio = assert(core.host.aio(), "this system has no such way")
  assert(aio:direct(fd, true), "this file system has no such way")
  local poll, from = assert(uv.new_poll(aio:event())), nil
  local function write()
    from = uv.hrtime()
    if from >= stop_at then return poll:close() end
    assert(aio:write(fd, block, offset))
  end
  assert(poll:start("r", function()
    aio:wake()
    local token, bytes, text = aio:reap()
    if not token then return end
    assert(bytes == #block, text)
    spent[#spent + 1] = uv.hrtime() - from
    offset = after(offset, block)
    write()
  end))
  write()
  uv.run()
  aio:close()
  return spent
end

local function cpu_us()
  local usage, sum = assert(uv.getrusage()), 0
  for _, time in ipairs { usage.utime, usage.stime } do
    sum = sum + time.sec * 1000000 + time.usec
  end
  return sum
end

-- A child process: prints count, p50, p99 and worst of its run, and the time of
-- the processor for one.
local function child(path, way, size, ms)
  local fd = assert(uv.fs_open(path,
    READ_WRITE | (way.dsync and flags.O_DSYNC or 0), 384))
  local block = string.rep("x", size)
  local stop_at = uv.hrtime() + ms * 1000000
  local cpu_before = cpu_us()
  local spent
  if way.direct then
    spent = direct_writer(fd, block, stop_at)
  else
    local writer = way.inline and inline_writer or pool_writer
    spent = writer(way, fd, block, stop_at)
  end
  local cpu = (cpu_us() - cpu_before) / #spent
  table.sort(spent)
  local function at(share)
    return spent[math.max(1, math.ceil(#spent * share))] / 1e6
  end
  print(("%d %.3f %.3f %.3f %.1f"):format(#spent, at(0.5), at(0.99), at(1),
    cpu))
end

local function start(path, way_number, size, ms, answer)
  local out = assert(uv.new_pipe(false))
  local text = {}
  local process, why = uv.spawn(arg[-1] or "lua5.4", {
    args = { arg[0], "child", path, tostring(way_number), tostring(size),
      tostring(ms) },
    stdio = { nil, out, 2 },
  }, function() end)
  assert(process, why)
  out:read_start(function(err, chunk)
    assert(not err, err)
    if chunk then
      text[#text + 1] = chunk
      return
    end
    out:close()
    process:close()
    answer(table.concat(text))
  end)
end

local function measure(dir, way_number, size, processes, ms)
  local count, p50, p99, worst, cpu = 0, 0, 0, 0, 0
  for i = 1, processes do
    start(("%s/file%d"):format(dir, i), way_number, size, ms, function(text)
      local n, a, b, c, d = text:match("(%d+) (%S+) (%S+) (%S+) (%S+)")
      assert(n, "a writer failed")
      count = count + tonumber(n)
      p50 = math.max(p50, tonumber(a))
      p99 = math.max(p99, tonumber(b))
      worst = math.max(worst, tonumber(c))
      cpu = math.max(cpu, tonumber(d))
    end)
  end
  uv.run()
  return count * 1000 / ms, p50, p99, worst, cpu
end

local function main(parent, ms)
  local dir = assert(uv.fs_mkdtemp(parent .. "/sync-XXXXXX"))
  for i = 1, 3 do make_file(("%s/file%d"):format(dir, i)) end
  print("way                 KiB  processes   writes/s    p50     p99   worst  "
    .. "us of CPU")
  for _, size in ipairs(SIZES) do
    for _, processes in ipairs(PROCESSES) do
      for number, way in ipairs(ways) do
        print(("%-18s %4d %10d %10.0f %6.2f  %6.2f  %6.2f %10.1f"):format(
          way.name, size >> 10, processes,
          measure(dir, number, size, processes, ms)))
      end
    end
  end
  for i = 1, 3 do assert(uv.fs_unlink(("%s/file%d"):format(dir, i))) end
  assert(uv.fs_rmdir(dir))
end

if arg[1] == "child" then
  child(arg[2], ways[tonumber(arg[3])], tonumber(arg[4]), tonumber(arg[5]))
else
  main(arg[1] or ".", tonumber(arg[2]) or 1000)
end
