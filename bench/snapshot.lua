--- What a snapshot costs: how long the loop stands still for one that is made
-- here, and for one that a child makes; how fast a state is restored.
--
-- The state is a table of strings of 128 bytes, of so many MiB in all; save
-- writes one line for each. A timer of 1 ms measures the longest pause.
local raft = require "raft"
local tables = require "bench.tables"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"

local VALUE_BYTES <const> = 128
local PADDING <const> = ("x"):rep(VALUE_BYTES - 8)
local MIB <const> = 1 << 20
local SIZES <const> = { 10, 100, 1024 }  -- MiB
local MEMORY_PER_STATE <const> = 6       -- needed for a size, with its copies

local function available_mib()
  local file <close> = io.open("/proc/meminfo")
  local kib = file and file:read("a"):match("MemAvailable:%s*(%d+)")
  return (tonumber(kib) or 0) // 1024
end

local function new_state(mib)
  local state = {}
  for i = 1, mib * MIB // VALUE_BYTES do
    state[i] = PADDING .. ("%08d"):format(i)
  end
  return state
end

-- A node over a state, in this directory.
local function new_node(dir, mode, machine)
  local address = "127.0.0.1:0"
  return raft.node {
    id = "n1", dir = dir, members = { n1 = address }, log = false,
    election_timeout = { 10, 20 }, snapshot_mode = mode,
    apply = function() return 0 end,
    save = function(write)
      for _, value in ipairs(machine.state) do write(value .. "\n") end
    end,
    load = function(read)
      local state, n, rest = {}, 0, ""
      for piece in read do
        piece = rest .. piece
        local at = 1
        while true do
          local stop = piece:find("\n", at, true)
          if not stop then break end
          n = n + 1
          state[n], at = piece:sub(at, stop - 1), stop + 1
        end
        rest = piece:sub(at)
      end
      machine.state = state
    end,
  }
end

-- Runs act(); the longest time in ms that the loop stood still meanwhile, and
-- how long it took.
local function watched(act)
  local longest, last = 0, uv.hrtime()
  local timer = uv.new_timer()
  timer:start(1, 1, function()
    local now = uv.hrtime()
    longest, last = math.max(longest, now - last), now
  end)
  local from = uv.hrtime()
  act()
  local ms = (uv.hrtime() - from) / 1e6
  raft.sleep(20)
  timer:close()
  return longest / 1e6, ms
end

local function whole(value) return ("%.0f"):format(value) end

local function measure(mib, mode)
  local tmp <close> = tmpdir.new()
  local machine = { state = new_state(mib) }
  collectgarbage()
  local node = new_node(tmp:join "data", mode, machine)
  assert(node:start())
  assert(node:ready())
  assert(node:propose("x"))
  local info
  local pause, ms = watched(function()
    info = assert(node:take_snapshot { timeout = false })
  end)
  assert(info.mode == mode)
  node:stop()
  machine.state = false
  collectgarbage()
  local again = new_node(tmp:join "data", mode, machine)
  local from = uv.hrtime()
  assert(again:start())
  local start_ms = (uv.hrtime() - from) / 1e6
  assert(#machine.state == mib * MIB // VALUE_BYTES)
  again:stop()
  return { mib, mode, whole(pause), whole(ms), whole(info.size / MIB),
    whole(start_ms), whole(info.size / MIB / start_ms * 1000) }
end

return function()
  local rows = {}
  for _, mib in ipairs(SIZES) do
    if available_mib() < MEMORY_PER_STATE * mib then
      print(("too little memory for a state of %d MiB"):format(mib))
    else
      for _, mode in ipairs { "inline", "fork" } do
        rows[#rows + 1] = measure(mib, mode)
        collectgarbage()
      end
    end
  end
  tables.print("a snapshot of a table of strings of 128 bytes", { "MiB", "mode",
    "pause ms", "until it counts ms", "file MiB", "restart ms",
    "restored MiB/s" }, rows)
end
