--- System calls of a process: counted by the kernel's tracepoints where they
-- may be used (`perf stat`), which costs it nearly nothing, or else by
-- `strace`, which stops it at each: then it does more in a turn of its loop,
-- with fewer calls for an entry.
local cluster = require "bench.cluster"
local uv = require "luv"

local M = {}

local EVENTS <const> = "raw_syscalls:sys_enter"
local ATTACH_MS <const>, LOOK_MS <const> = 5000, 10
local SETTLE_MS <const> = 50  -- from perf's opening of events to its counting

--- The calls that `perf stat -x ,` reports, or nil.
function M.of_perf(text)
  return math.tointeger(text:match("(%d+),,raw_syscalls:sys_enter"))
end

--- The calls that `strace -c -U calls,name` reports, or nil.
function M.of_strace(text)
  return math.tointeger(text:match("\n%s*(%d+)%s+total"))
end

local function names_in(path)
  local names, scan = {}, uv.fs_scandir(path)
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then break end
    names[#names + 1] = name
  end
  return names
end

local function await(what, is_so)
  for _ = 1, ATTACH_MS // LOOK_MS do
    if is_so() then return end
    cluster.pause(LOOK_MS)
  end
  error(what .. " does not attach", 0)
end

-- All threads have it as their tracer.
local function await_strace(_, pid)
  await("strace", function()
    for _, name in ipairs(names_in(("/proc/%d/task"):format(pid))) do
      local file <close> = assert(io.open(("/proc/%d/task/%s/status"):format(
        pid, name)))
      if file:read("a"):find("TracerPid:\t0\n", 1, true) then return false end
    end
    return true
  end)
end

-- It has an event open for each thread.
local function await_perf(own_pid, pid)
  await("perf", function()
    local events, own = 0, ("/proc/%d/fd"):format(own_pid)
    for _, name in ipairs(names_in(own)) do
      local where = uv.fs_readlink(own .. "/" .. name)
      if where and where:find("perf_event", 1, true) then
        events = events + 1
      end
    end
    return events >= #names_in(("/proc/%d/task"):format(pid))
  end)
  cluster.pause(SETTLE_MS)
end

--- Both, the better one first.
M.ways = {
  { name = "perf", test = "perf stat -x , -e " .. EVENTS .. " true",
    parse = M.of_perf,
    arguments = { "stat", "-x", ",", "-e", EVENTS, "-p" },
    await = await_perf },
  { name = "strace", test = "strace -c -U calls,name true",
    parse = M.of_strace,
    arguments = { "-f", "-c", "-qq", "-U", "calls,name", "-p" },
    await = await_strace },
}

--- Does this way work here?
function M.works(way)
  local pipe = assert(io.popen("{ " .. way.test .. "; } 2>&1"))
  local text = pipe:read("a")
  return pipe:close() and way.parse(text) ~= nil or false
end

--- The way that works here, or nil.
function M.way()
  for _, way in ipairs(M.ways) do
    if M.works(way) then return way end
  end
end

--- Counts those of a process while fn runs, in a coroutine.
function M.count(way, pid, fn)
  local co, text, open = coroutine.running(), "", 2
  local pipe = uv.new_pipe(false)
  local arguments = table.move(way.arguments, 1, #way.arguments, 1, {})
  arguments[#arguments + 1] = tostring(pid)
  local is_waiting = false
  local function closed()
    open = open - 1
    if open == 0 and is_waiting then assert(coroutine.resume(co)) end
  end
  local process, own_pid
  process, own_pid = assert(uv.spawn(way.name, { args = arguments,
    stdio = { nil, nil, pipe } }, function()
    process:close()
    closed()
  end))
  pipe:read_start(function(_, chunk)
    if chunk then
      text = text .. chunk
      return
    end
    pipe:close()
    closed()
  end)
  local ok, err = pcall(function()
    way.await(own_pid, pid)
    fn()
  end)
  if not process:is_closing() then process:kill("sigint") end
  is_waiting = true
  if open > 0 then coroutine.yield() end
  if not ok then error(err, 0) end
  return way.parse(text) or error(way.name .. " failed: " .. text, 0)
end

return M
