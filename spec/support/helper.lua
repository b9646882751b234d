--- The frame around every spec: busted loads it first (--helper), specs get
-- it with require "spec.support.helper".
--
-- Each test body, and each setup or teardown, runs in a coroutine on luv's
-- loop, so that it can simply call what waits. A watchdog ends those that
-- hang; a test that leaves handles open fails. An error in a luv callback
-- would end the whole process, so every callback here is guarded.
--
-- luv is loaded here, once: a second copy would have another loop.
local uv = require "luv"
local busted = require "busted"

local M = {}

local WATCHDOG_MS <const> = tonumber(os.getenv("WATCHDOG_MS")) or 20000
local POLL_MS <const> = 2           -- between two looks of wait_until
local WAIT_MS <const> = 5000        -- how long wait_until waits
local LOOKS_MIN <const> = 20        -- and how often it looks at the least
local CLOSING_TURNS_MAX <const> = 100
local CLOSING_TURN_MS <const> = 2

-- What busted calls that may wait. The bodies of files and describes only
-- define, and stay outside.
local DRIVEN <const> = { it = true, finally = true, before_each = true,
  after_each = true, setup = true, teardown = true, strict_setup = true,
  strict_teardown = true, lazy_setup = true, lazy_teardown = true }

-------------------------------------------------------------------- timers --

-- Our own timers, and what is kept: what no test leaves behind.
local own = setmetatable({}, { __mode = "k" })

--- A handle that outlives the test that opened it.
function M.keep(handle) own[handle] = true end

-- Runs fn from the loop once, in ms.
local function after(ms, fn)
  local timer = assert(uv.new_timer())
  own[timer] = true
  assert(timer:start(ms, 0, function()
    timer:close()
    fn()
  end))
  return timer
end

local function cancel(timer)
  if not timer:is_closing() then timer:close() end
end

-- Goes on with a coroutine. What it raises cannot leave a callback; the
-- bodies catch their own errors, so this is for coroutines of the specs.
local function resume(co)
  if coroutine.status(co) ~= "suspended" then return end
  local ok, err = coroutine.resume(co)
  if not ok then
    io.stderr:write("lost in a coroutine: ", debug.traceback(co,
      tostring(err)), "\n")
  end
end

------------------------------------------------------------------- driving --

-- What runs now: `co`, `outcome` (packed results of the body, or false),
-- `request` (a function to be called outside the loop, or false).
local current = false

local function pump(watched)
  while not watched.outcome and not watched.is_late do
    uv.run("once")
    local request = watched.request
    if request then
      watched.request = false
      watched.answer = table.pack(pcall(request))
      after(0, function() resume(watched.co) end)
    end
  end
end

local function watch(watched, ms)
  watched.ms = ms
  return after(ms, function() watched.is_late = true end)
end

--- The body that runs now has so much time from here on: it waits for what
-- may be slow, like a child that goes after all others.
function M.patience(ms)
  cancel(current.watchdog)
  current.watchdog = watch(current, ms)
end

-- Ends a body that is late, for whatever it waits for may still come: it closes
-- what it had. Says where it was.
local function give_up(watched)
  local words = ("nothing happened for %d ms; it waits here:\n%s"):format(
    watched.ms, debug.traceback(watched.co))
  local ok, err = coroutine.close(watched.co)
  if not ok then words = words .. "\nand its end failed: " .. tostring(err) end
  return words
end

-- Runs body in a coroutine on the loop: its packed results, or nil and words
-- that say where it hangs.
local function drive(body)
  assert(not current, "bodies do not nest, and nor do loops")
  local watched = { co = false, outcome = false, request = false,
    answer = false, is_late = false, watchdog = false, ms = 0 }
  current = watched
  watched.co = coroutine.create(function()
    watched.outcome = table.pack(body())
    uv.stop()  -- or a turn may sleep until the next timer
  end)
  watched.watchdog = watch(watched, WATCHDOG_MS)
  after(0, function() resume(watched.co) end)
  pump(watched)
  cancel(watched.watchdog)
  uv.run("nowait")  -- luv crashes at exit when a handle is still closing
  current = false
  if watched.outcome then return watched.outcome end
  return nil, give_up(watched)
end

--- Calls fn on the main thread while the loop does not run, which is where a
-- script stands before raft.run. Hands on results and errors.
function M.outside_loop(fn)
  local watched = current
  watched.request = fn
  uv.stop()
  coroutine.yield()
  if not watched.answer[1] then error(watched.answer[2], 0) end
  return table.unpack(watched.answer, 2, watched.answer.n)
end

local function pause(ms)
  local co = coroutine.running()
  after(ms, function() resume(co) end)
  coroutine.yield()
end

--- Waits until predicate() is true, looking every few ms; returns what it
-- returned. Fails after ms (5000), but not because the loop, or the machine,
-- stood still for so long.
-- @param what in words, for the message
function M.wait_until(predicate, ms, what)
  local from_ns, looks = uv.hrtime(), 0
  while true do
    local value = predicate()
    if value then return value end
    looks = looks + 1
    local is_over = (uv.hrtime() - from_ns) / 1e6 > (ms or WAIT_MS)
    if is_over and looks >= LOOKS_MIN then
      error(("waited %d ms in vain for %s"):format(ms or WAIT_MS,
        what or "a condition"), 2)
    end
    pause(POLL_MS)
  end
end

---------------------------------------------------------------------- seeds --

local seed  -- drawn when first asked for

--- The seed of this run, printed once; SEED=... repeats a run. Also seeds
-- math.random with it, so call it where a random test begins.
function M.seed()
  if not seed then
    seed = math.tointeger(tonumber(os.getenv("SEED")))
      or uv.hrtime() // 1 & 0x7fffffff
    print(("seed %d (SEED=%d repeats this run)"):format(seed, seed))
  end
  math.randomseed(seed)
  return seed
end

-------------------------------------------------------------------- handles --

local function open_handles()
  local handles = {}
  uv.walk(function(handle)
    local is_theirs = not own[handle] and not uv.is_closing(handle)
    if is_theirs then handles[handle] = true end
  end)
  return handles
end

-- Those that are open now and were not then, as an array.
local function new_handles(then_open)
  local list = {}
  for handle in pairs(open_handles()) do
    if not then_open[handle] then list[#list + 1] = handle end
  end
  return list
end

-- Closing takes turns of the loop, and work in the thread pool takes longer.
local function wait_for_closing(then_open)
  for _ = 1, CLOSING_TURNS_MAX do
    if #new_handles(then_open) == 0 then break end
    local timer = after(CLOSING_TURN_MS, function() end)
    uv.run("once")
    cancel(timer)
    uv.run("nowait")
  end
  return new_handles(then_open)
end

local function close_handles(handles)
  local names = {}
  for i, handle in ipairs(handles) do
    names[i] = tostring(handle):match("^[%w_]+")
    uv.close(handle)
  end
  uv.run("nowait")
  table.sort(names)
  return table.concat(names, ", ")
end

------------------------------------------------------------------ in busted --

-- busted's own object, of which `require "busted"` shows only a part.
local function find_core()
  for i = 1, math.huge do
    local name, value = debug.getupvalue(busted.it, i)
    assert(name, "this busted is built in another way: mend spec/support")
    if name == "busted" then return value end
  end
end

local core = find_core()
local plain_safe = core.safe

-- The hung body never returned to busted, so its context is still pushed.
local function fail_late(descriptor, element, where)
  core.context.pop()
  return plain_safe(descriptor, function()
    error(where, 0)
  end, element)
end

local function driven_safe(descriptor, run, element)
  local results, where = drive(function()
    return plain_safe(descriptor, run, element)
  end)
  if not results then return fail_late(descriptor, element, where) end
  return table.unpack(results, 1, results.n)
end

-- Called by busted for everything. We step in for the bodies of what may wait,
-- not for the walk over a test, which busted also calls an "it".
function core.safe(descriptor, run, element)
  local is_body = run == element.run or descriptor == "finally"
  local safe = is_body and DRIVEN[descriptor] and driven_safe or plain_safe
  return safe(descriptor, run, element)
end

local handles_before = {}
local last_test, last_status = "?", "?"

core.subscribe({ "test", "end" }, function(element, _, status)
  last_test, last_status = element.name, status
  return nil, true
end)

busted.before_each(function()
  handles_before = open_handles()
end)

-- Handlers of a level run from the inside out: this one comes last.
busted.after_each(function()
  local left = M.outside_loop(function()
    return wait_for_closing(handles_before)
  end)
  if #left == 0 then return end
  local names = M.outside_loop(function() return close_handles(left) end)
  if last_status ~= "success" then return end  -- that was said already
  error(('"%s" left %d handles open: %s'):format(last_test, #left, names), 0)
end)

-- For require in the specs; busted loads this file by its path.
package.loaded["spec.support.helper"] = M

return M
