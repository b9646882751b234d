--- A load: keeps a number of requests under way for some time, and says what
-- came of it in one line. Shared by all that is measured in Lua; the programs
-- in bench/peers do the same in C.
--
--   load <kind> <outstanding> <bytes> <ms>
--     -> load <count> <seconds> <p50 ms> <p99 ms> <worst ms>
--
-- When the time is over nothing more is asked; the seconds end with the last
-- answer, so that a request which takes longer than a load counts, too.
local uv = require "luv"

local M = {}

local NS_PER_MS <const> = 1000000
-- Latencies in buckets of 10 us, so that a million cost no memory and no sort.
local BUCKET_NS <const> = 10000
local BUCKETS <const> = 100000  -- the last is for all above 1 s

--- The latency in ms below which a share of `count` in these buckets lies.
function M.percentile(buckets, count, share)
  local seen = 0
  for i = 1, BUCKETS do
    seen = seen + (buckets[i] or 0)
    if seen >= count * share then return i * BUCKET_NS / NS_PER_MS end
  end
end

local function line_of(run)
  return ("load %d %.6f %.3f %.3f %.3f"):format(run.answered,
    (run.last - run.began) / 1e9,
    M.percentile(run.buckets, run.answered, 0.5),
    M.percentile(run.buckets, run.answered, 0.99), run.worst / NS_PER_MS)
end

local function count(run, took)
  local bucket = took // BUCKET_NS + 1 | 0
  if bucket > BUCKETS then bucket = BUCKETS end
  run.buckets[bucket] = run.buckets[bucket] + 1
  run.answered = run.answered + 1
  if took > run.worst then run.worst = took end
end

--- `issue(done)` asks once, and calls done(err) when it is answered; `say` gets
-- the line. An error ends the process: there is no figure then.
function M.run(outstanding, ms, issue, say)
  local run = { under_way = 0, answered = 0, worst = 0, buckets = {},
    began = 0, deadline = 0, last = 0 }
  for i = 1, BUCKETS do run.buckets[i] = 0 end
  local hrtime = uv.hrtime
  local function ask()
    local at = hrtime()
    run.under_way = run.under_way + 1
    issue(function(err)
      if err then error("the load failed: " .. tostring(err)) end
      local now = hrtime()
      count(run, now - at)
      run.under_way = run.under_way - 1
      if now < run.deadline then return ask() end
      if run.under_way > 0 then return end
      run.last = now
      say(line_of(run))
    end)
  end
  run.began = hrtime()
  run.deadline = run.began + ms * NS_PER_MS
  for _ = 1, outstanding do ask() end
end

--- Reads orders from stdin: `load` lines go to `start(kind, bytes)`, which
-- returns an `issue`; `gone()` is called when who started us is gone.
function M.serve(start, gone)
  local stdin, rest = uv.new_pipe(false), ""
  assert(stdin:open(0))
  local function obey(line)
    local kind, outstanding, bytes, ms = line:match(
      "^load (%S+) (%d+) (%d+) (%d+)$")
    assert(kind, "unknown order: " .. line)
    M.run(math.tointeger(outstanding), math.tointeger(ms),
      start(kind, math.tointeger(bytes)), M.say)
  end
  stdin:read_start(function(_, chunk)
    if not chunk then return gone() end
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      obey(line)
      return ""
    end)
  end)
end

--- One line to who started us.
function M.say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

return M
