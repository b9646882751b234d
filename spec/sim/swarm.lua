--- The simulator's proof run: many seeds of a key-value service under a swarm
-- of faults, each history checked for linearizability.
--
--   lua5.4 spec/sim/swarm.lua [SEEDS [MS [NODES]]]      make sim SEEDS=400
--   SEED=17 lua5.4 spec/sim/swarm.lua                   one seed again
--   TRACE=1 SEED=17 lua5.4 spec/sim/swarm.lua           ... and every event
--   LEASES=1 ...      half of the reads by leases, clocks within their bound
--   SNAPSHOTS=inline  (or fork) a snapshot for every so many entries, always
--
-- A batch that never met one of the coverage marks fails: it was too dull.
local Marks = require "raft.sim.marks"
local codec = require "raft.codec"
local linearizable = require "raft.sim.linearizable"
local sim = require "raft.sim"

local M = {}

local CLIENTS <const> = 5
local KEYS <const> = { "a", "b", "c", "d" }
local THINK_MS <const> = 200       -- at most, between two operations
local STEPS_MAX <const> = 200000   -- of the search, for one key
local DULL_SEEDS <const> = 100     -- from here on all marks are demanded
local CALLERS <const> = 0.4          -- share of those that ask the nodes
local TRANSFER_MS <const> = 4000   -- at most, between two transfers
local LEASES <const> = os.getenv "LEASES" == "1"
local SNAPSHOTS <const> = os.getenv "SNAPSHOTS"  -- the mode, or nil
local SNAPSHOT_BYTES <const> = 2000  -- of log: some twenty entries
local COMPARE_EVERY <const> = 16    -- entries; a run has some hundreds
local LEASE_PPM <const> = 50000    -- two such clocks differ by a tenth

M.MARKS = { "election", "lost_election", "refused_pre_vote", "deposed",
  "check_quorum", "truncation", "crash", "recovery_crash", "torn_tail",
  "partition", "pause", "unknown", "read_retry", "disk_error", "rot", "repair",
  "snapshot", "shipped", "installed", "compacted", "joint", "joint_left",
  "leader_removed", "promoted", "quorum_rule", "moved", "readded", "wiped",
  "rolled_back", "refused", "mended", "client_cut", "client_pause",
  "reconnected", "retried", "expired" }

--- The service: get, put, append, cas on keys.
function M.node()
  local data = {}
  local write = {}
  function write.put(key, value) data[key] = value return true end
  function write.append(key, value)
    data[key] = (data[key] or "") .. value
    return data[key]
  end
  function write.cas(key, old, new)
    if data[key] ~= old then return false end
    data[key] = new
    return true
  end
  return {
    leases = LEASES,
    compare_every = COMPARE_EVERY,
    snapshot = function() return codec.encode(data) end,
    restore = function(bytes) data = codec.decode(bytes) end,
    snapshot_mode = SNAPSHOTS,
    snapshot_bytes = SNAPSHOTS and SNAPSHOT_BYTES,
    apply = function(command)
      local request = codec.decode(command)
      local op = write[request.op]
      return op and op(request.key, request.value, request.new)
    end,
    query = function(key) return data[key] end,
  }
end

-- One operation, drawn; `count` makes values that are written once.
local function operation(random, name, count)
  local key = random:pick(KEYS)
  local kind = random:below(10)
  local value = ("%s.%d;"):format(name, count)
  if kind < 4 then return { op = "get", key = key } end
  if kind < 7 then return { op = "put", key = key, value = value } end
  if kind < 9 then return { op = "append", key = key, value = value } end
  return { op = "cas", key = key, value = random:chance(0.5) and value or "x",
    new = value .. "!" }
end

local function client(s, name, stop_ms, done)
  local random = s.world:random("work " .. name)
  local c <close> = random:chance(CALLERS) and s:caller(name) or s:client(name)
  local count = 0
  while s:now() < stop_ms do
    count = count + 1
    local request = operation(random, name, count)
    if request.op == "get" then
      local by_lease = LEASES and random:chance(0.5)
      c:query(request.key, { timeout = 3000,
        consistency = by_lease and "lease" or "linearizable" })
    else
      c:propose(codec.encode(request), { timeout = 3000 })
    end
    s:sleep(random:between(0, THINK_MS))
  end
  done()
end

-- Wishes at any node that any other, or the best placed, shall lead.
local function hand_over(s, stop_ms)
  local random = s.world:random("transfers")
  while s:now() < stop_ms do
    s:sleep(random:between(1, TRANSFER_MS))
    local to = random:chance(0.5) and random:pick(s.ids) or nil
    local node = s:node(random:pick(s.ids))
    if to then
      node:transfer(to, { timeout = 1000 })
    else
      node:transfer { timeout = 1000 }
    end
  end
end

--- Five clients at work for so long, and leadership that is handed around.
function M.workload(ms)
  return function(s)
    local stop_ms, left = s:now() + ms, CLIENTS
    for i = 1, CLIENTS do
      s:spawn(function()
        client(s, "c" .. i, stop_ms, function() left = left - 1 end)
      end)
    end
    s:spawn(function() hand_over(s, stop_ms) end)
    s:wait(function() return left == 0 end, ms + 30000)
  end
end

--- The history as the checker takes it.
function M.history(s)
  local list = {}
  for _, o in ipairs(s:history()) do
    local input
    if o.kind == "query" then
      input = { op = "get", key = o.input }
    elseif o.kind == "propose" and o.input ~= "0" then
      input = codec.decode(o.input)
    end
    if input and input.key then
      list[#list + 1] = { client = o.client, key = input.key, call = o.call,
        back = o.back, input = input, output = o.output, outcome = o.outcome }
    end
  end
  return list
end

-- One key of the service: a state, and what each operation makes of it.
local effects = {}
function effects.get(value) return value, value end
function effects.put(_, input) return input.value, true end
function effects.append(value, input)
  local after = (value or "") .. input.value
  return after, after
end
function effects.cas(value, input)
  if value ~= input.value then return value, false end
  return input.new, true
end

local MODEL <const> = {
  init = function() return nil end,
  step = function(value, input, output, is_known)
    local after, answer = effects[input.op](value, input)
    return not is_known or answer == output, after
  end,
}

--- Is the history that of one key-value store?
function M.check(s)
  local verdict, info = linearizable.check(M.history(s), MODEL,
    { steps_max = STEPS_MAX })
  if verdict == "violation" then
    return nil, "not linearizable: " .. info.text
  end
  return true
end

local function number(text, default)
  return text and assert(math.tointeger(tonumber(text)), "a number") or default
end

-- Runs seeds first to last: the report, or nil.
local function run(first, last, ms, nodes)
  local report, err = sim.explore {
    seeds = { first, last }, nodes = nodes, node = M.node,
    workload = M.workload(ms), check = M.check, duration_ms = ms,
    probe = codec.encode { op = "none" },
    rate_ppm_max = LEASES and LEASE_PPM or nil,
    trace = os.getenv "TRACE" and print or nil,
  }
  if report then return report end
  print(("or: SEED=%d make sim MS=%d NODES=%d"):format(err.seed, ms, nodes))
end

-- In a process of its own; its last line says what it has met.
local function child(first, last, ms, nodes)
  local report = run(first, last, ms, nodes)
  if not report then return false end
  print(("done %d %.0f %s"):format(report.seeds, report.ms,
    report.marks:words()))
  return true
end

-- Shares the seeds among processes: what they met together, or nil.
local function share(seeds, jobs, ms, nodes)
  local total = { seeds = 0, ms = 0, marks = Marks.new() }
  local pipes, is_well = {}, true
  for job = 1, jobs do
    local first, last = seeds * (job - 1) // jobs + 1, seeds * job // jobs
    pipes[job] = assert(io.popen(("%s spec/sim/swarm.lua %d %d %d %d 2>&1")
      :format(os.getenv "LUA" or "lua5.4", first, ms, nodes, last)))
  end
  for _, pipe in ipairs(pipes) do
    for line in pipe:lines() do
      local count, passed, words = line:match("^done (%d+) (%d+) (.*)$")
      if not count then print(line) else
        total.seeds, total.ms = total.seeds + count, total.ms + passed
        total.marks:read(words)
      end
    end
    is_well = pipe:close() and is_well
  end
  return is_well and total or nil
end

local function tell(report, seconds)
  print(("%d seeds, %.1f virtual hours in %d s: %.0f virtual s a second")
    :format(report.seeds, report.ms / 3600000, seconds,
    report.ms / 1000 / math.max(1, seconds)))
  print(report.marks:words())
end

-- A long batch must have met everything.
local function is_dull(report)
  local missing = report.seeds >= DULL_SEEDS
    and report.marks:missing(M.MARKS) or {}
  if #missing == 0 then return false end
  print("too dull: never met " .. table.concat(missing, ", "))
  return true
end

--- Runs the batch of the command line.
function M.main(args)
  local seeds, ms = number(args[1], 20), number(args[2], 60000)
  local nodes, last = number(args[3], 5), number(args[4])
  local one = number(os.getenv "SEED")
  if last and not one then return child(seeds, last, ms, nodes) end
  local began = os.time()
  local report
  if one then
    report = run(one, one, ms, nodes)
    if report then print("digest " .. report.digest) end
  else
    report = share(seeds, number(os.getenv "JOBS", 1), ms, nodes)
  end
  if report then tell(report, os.time() - began) end
  local is_well = report and not is_dull(report)
  print(("%d passed, %d failed, 0 skipped"):format(report and report.seeds or 0,
    is_well and 0 or 1))
  return is_well and true or false
end

if arg and arg[0] and arg[0]:find("spec/sim/swarm%.lua$") then
  os.exit(M.main(arg))
end

return M
