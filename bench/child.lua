--- A node process for the benchmarks: orders come in on stdin, answers go out
-- on stdout, one line each. `apply` writes a table, as a real service would.
--
--   lua5.4 bench/child.lua <id> <dir> <members> <election min> <max>
--
--   load <count> <outstanding> <bytes>  -> load <seconds> <p50 ms> <p99 ms>
--                                          <worst ms>
--   write                               -> wrote
--   memory                              -> memory <bytes>
--   status                              -> status <role> <applied>
--   replace <old> <new> <address>       -> replaced <ms>
--   add <id> <address>                  -> added <ms>
--   take                                -> took <bytes> <ms>     a snapshot
--
-- In place of members, join=<own address> waits to be added.
-- With RAFT_STATE_MIB=n its snapshots hold so much, made on the spot. The state
-- that apply writes has RAFT_KEYS=n keys (10000).
local raft = require "raft"
local uv = require "luv"

local NS_PER_MS <const> = 1e6
local KEYS <const> = math.tointeger(os.getenv "RAFT_KEYS") or 10000

local id, dir, list = arg[1], arg[2], arg[3]
local members, joins_at = {}, list:match("^join=(.+)$")
for name, address in list:gmatch("([^=,]+)=([^,]+)") do
  members[name] = address
end

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

------------------------------------------------------------------- state --

local STATE_MIB <const> = math.tointeger(os.getenv "RAFT_STATE_MIB") or 0
local SNAPSHOT_BYTES <const> = 8 << 20

-- Pieces of a state that is nowhere, and different from piece to piece.
local function save(write)
  local filling = ("a piece of the state "):rep((1 << 20) // 21)
  for i = 1, STATE_MIB do
    local piece = ("%08d"):format(i) .. filling
    write(piece .. ("."):rep((1 << 20) - #piece))
  end
end

local function load_state(read)
  local bytes = 0
  for piece in read do bytes = bytes + #piece end
  say("loaded", bytes)
end

local state, applied = {}, 0  -- luacheck: ignore 241 (written, not read)
local node = raft.node {
  save = STATE_MIB > 0 and save or nil,
  load = STATE_MIB > 0 and load_state or nil,
  snapshot_bytes = SNAPSHOT_BYTES, snapshot_mode = "fork",
  id = id, dir = dir, log = os.getenv "RAFT_LOG" or "error",
  members = not joins_at and members or nil, join = joins_at ~= nil,
  listen = joins_at,
  election_timeout = { tonumber(arg[4]), tonumber(arg[5]) },
  apply = function(command)
    applied = applied + 1
    state[applied % KEYS] = command
    return applied
  end,
}

-------------------------------------------------------------------- load --

-- Latencies in buckets of 10 us, so that a million cost no memory and no sort.
local BUCKET_MS <const> = 0.01
local BUCKETS <const> = 100000

local function percentile(buckets, count, share)
  local seen = 0
  for i = 1, BUCKETS do
    seen = seen + buckets[i]
    if seen >= count * share then return i * BUCKET_MS end
  end
end

local function report(began, buckets, count, worst_ns)
  local seconds = (uv.hrtime() - began) / NS_PER_MS / 1000
  say("load", ("%.6f %.3f %.3f %.3f"):format(seconds,
    percentile(buckets, count, 0.5), percentile(buckets, count, 0.99),
    worst_ns / NS_PER_MS))
end

-- Keeps `outstanding` proposals under way until `count` are acknowledged.
local function load(count, outstanding, bytes)
  local command = ("x"):rep(bytes)
  local buckets = {}
  for i = 1, BUCKETS do buckets[i] = 0 end
  local began = uv.hrtime()
  local sent, under_way, answered, worst_ns = 0, 0, 0, 0
  local fill
  local function propose()
    local at = uv.hrtime()
    sent, under_way = sent + 1, under_way + 1
    node:propose(command, { timeout = false }, function(err)
      assert(not err, err and tostring(err))
      under_way = under_way - 1
      answered = answered + 1
      local took_ns = uv.hrtime() - at
      worst_ns = math.max(worst_ns, took_ns)
      local bucket = took_ns / NS_PER_MS // BUCKET_MS + 1
      bucket = math.min(bucket, BUCKETS) // 1 | 0
      buckets[bucket] = buckets[bucket] + 1
      if answered < count then return fill() end
      report(began, buckets, count, worst_ns)
    end)
  end
  function fill()
    while under_way < outstanding and sent < count do propose() end
  end
  fill()
end

-- One write, again until it is acknowledged.
local function write()
  node:propose("x", { timeout = 2000 }, function(err)
    if err then return write() end
    say "wrote"
  end)
end

local function take()
  local began = uv.hrtime()
  node:take_snapshot({ timeout = false }, function(err, info)
    if err then return say("took", 0, tostring(err)) end
    say("took", info.size, ("%.0f"):format((uv.hrtime() - began) / NS_PER_MS))
  end)
end

-- One node for another, in one step.
local function replace(old, new, address)
  local began = uv.hrtime()
  node:change({ [old] = false, [new] = address }, function(err)
    assert(not err, err and tostring(err))
    say("replaced", ("%.1f"):format((uv.hrtime() - began) / NS_PER_MS))
  end)
end

-- One more voter, once it has caught up.
local function add(id_, address)
  local began = uv.hrtime()
  node:add(id_, address, { timeout = false }, function(err)
    assert(not err, err and tostring(err))
    say("added", ("%.1f"):format((uv.hrtime() - began) / NS_PER_MS))
  end)
end

------------------------------------------------------------------- orders --

local orders = {
  load = function(count, outstanding, bytes)
    load(tonumber(count), tonumber(outstanding), tonumber(bytes))
  end,
  write = write,
  take = take,
  replace = replace,
  add = add,
  memory = function()
    collectgarbage()
    say("memory", math.tointeger(uv.resident_set_memory() // 1))
  end,
  status = function()
    local status = node:status()
    say("status", status.role, status.applied)
  end,
}

local function obey(line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  orders[words[1]](table.unpack(words, 2))
end

local function read_orders()
  local stdin, rest = uv.new_pipe(false), ""
  assert(stdin:open(0))
  stdin:read_start(function(_, chunk)
    if not chunk then return node:close() end  -- the parent is gone
    rest = rest .. chunk
    rest = rest:gsub("([^\n]*)\n", function(line)
      obey(line)
      return ""
    end)
  end)
end

node:on("role", function(role) say("role", role) end)
raft.run(function()
  local began = uv.hrtime()
  assert(node:start())
  say("started", ("%.3f"):format((uv.hrtime() - began) / NS_PER_MS))
  read_orders()
end)
