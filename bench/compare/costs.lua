--- What a committed entry costs, in things that can be counted: crossings
-- between Lua and C, allocations, copied bytes, bytes through the kernel and
-- system calls, on the leader and on a follower. Three processes of ours, with
-- bench/compare/probed.lua in each.
--
-- Each kind is counted in rounds of its own, so that none disturbs another.
local cluster = require "bench.cluster"
local statistics = require "bench.compare.statistics"
local subjects = require "bench.compare.subjects"
local syscalls = require "bench.compare.syscalls"
local tables = require "bench.tables"
local uv = require "luv"

local M = {}

local COUNTER <const> = "build/bench/counts.so"
local NODES <const>, BYTES <const> = 3, 128
local LOADS <const> = { { outstanding = 1, entries = 4000 },
  { outstanding = 64, entries = 60000 },
  { outstanding = 1024, entries = 100000 } }
local QUICK_SHARE <const> = 10  -- of the entries
local WARM_ENTRIES <const>, WARM_OUTSTANDING <const> = 20000, 64
local WAIT_MS <const> = 60000
local CALLEES <const> = 12           -- that are shown
local LOOKS <const>, LOOK_MS <const> = 1000, 5  -- for followers that are behind

--- What `finish` of probed.lua said: "what.who" -> a number for each entry.
function M.parse(line, entries)
  local found = {}
  for what, who, number in line:gmatch("(%S-):(%S+)=(%d+)") do
    found[what .. "." .. who] = tonumber(number) / entries
  end
  return found
end

--- The mean of several, of all that any of them has.
function M.mean(list)
  local sum = {}
  for _, each in ipairs(list) do
    for name, value in pairs(each) do sum[name] = (sum[name] or 0) + value end
  end
  for name, value in pairs(sum) do sum[name] = value / #list end
  return sum
end

-- Bytes that it has given to the kernel and got from it, in files and sockets:
-- not those that go past the page cache.
local function kernel_bytes(pid)
  local file <close> = assert(io.open(("/proc/%d/io"):format(pid)))
  local text = file:read("a")
  return tonumber(text:match("rchar: (%d+)"))
    + tonumber(text:match("wchar: (%d+)"))
end

------------------------------------------------------------------ a cluster --

local Run = {}
Run.__index = Run

local function environment()
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    if name ~= "LD_PRELOAD" then list[#list + 1] = name .. "=" .. value end
  end
  list[#list + 1] = "LD_PRELOAD=" .. assert(uv.fs_realpath(COUNTER))
  return list
end

local function start()
  local before = cluster.environment
  cluster.environment = environment()
  local running = cluster.new(NODES, false, function(id, dir, members)
    return cluster.script(id, "bench/compare/probed.lua", id, dir, members)
  end)
  cluster.environment = before
  local self = setmetatable({ cluster = running, leader = false }, Run)
  subjects.opened[#subjects.opened + 1] = self  -- who interrupts us ends it
  return self
end

function Run:close()
  self.cluster:close()
end

local function applied(child)
  return child:ask("applied", "applied", WAIT_MS)
end

-- Loads the leader, and waits until all have applied what it has.
function Run:load(outstanding, entries)
  self.leader:ask(("load %d %d %d"):format(outstanding, entries, BYTES),
    "loaded", WAIT_MS)
  for _, child in ipairs(self.cluster:others(self.leader)) do
    for i = 1, LOOKS do
      if applied(child) == applied(self.leader) then break end
      assert(i < LOOKS, "a follower stays behind")
      cluster.pause(LOOK_MS)
    end
  end
end

function Run:followers()
  return self.cluster:others(self.leader)
end

-- One round of "calls" or "memory": what the leader and a follower did.
function Run:count(what, load)
  for _, child in pairs(self.cluster.children) do
    child:ask("begin " .. what, "begun", WAIT_MS)
  end
  self:load(load.outstanding, load.entries)
  local function finish(child)
    return M.parse(child:ask("finish", "counts", WAIT_MS), load.entries)
  end
  local list = {}
  for i, child in ipairs(self:followers()) do list[i] = finish(child) end
  return finish(self.leader), M.mean(list)
end

-- One round of system calls, of one process after the other.
function Run:count_system(way, load)
  local function count(child)
    local pid, calls = child.process:get_pid(), nil
    local before = kernel_bytes(pid)
    local function go() self:load(load.outstanding, load.entries) end
    if way then calls = syscalls.count(way, pid, go) else go() end
    return { ["kernel.bytes"] = (kernel_bytes(pid) - before) / load.entries,
      ["kernel.calls"] = calls and calls / load.entries or nil }
  end
  local list = {}
  for i, child in ipairs(self:followers()) do list[i] = count(child) end
  return count(self.leader), M.mean(list)
end

------------------------------------------------------------------- the rows --

-- Name -> summary of rounds; a name that a round lacks was 0 in it.
local function summaries(rounds)
  local names, found = {}, {}
  for _, round in ipairs(rounds) do
    for name in pairs(round) do names[name] = true end
  end
  for name in pairs(names) do
    for _, round in ipairs(rounds) do round[name] = round[name] or 0 end
    found[name] = statistics.summary(rounds, name)
  end
  return found
end

local function add(round, found, kinds)
  for name, value in pairs(found) do
    if kinds[name:match("^[^.]+")] then round[name] = value end
  end
end

local CALLS <const> = { calls_out = true, calls_in = true, functions = true }
local MEMORY <const> = { allocations = true, allocated_bytes = true,
  copies = true, copied_bytes = true }
local KERNEL <const> = { kernel = true }

local function measure(run, load, way, rounds)
  local at = { leader = {}, follower = {} }
  for i = 1, rounds do
    local round = { {}, {} }
    local function take(kinds, leader, follower)
      add(round[1], leader, kinds)
      add(round[2], follower, kinds)
    end
    take(CALLS, run:count("calls", load))
    take(MEMORY, run:count("memory", load))
    take(KERNEL, run:count_system(way, load))
    at.leader[i], at.follower[i] = round[1], round[2]
  end
  return { outstanding = load.outstanding, entries = load.entries,
    leader = summaries(at.leader), follower = summaries(at.follower) }
end

--- { bytes=, system_calls_by=, loads = { { outstanding=, entries=, leader=,
-- follower= }, ... } }: for each entry; nil where nothing can be counted.
function M.measure(plan)
  if not uv.fs_access(COUNTER, "R") then return nil end
  io.stderr:write("costs: ours\n")
  local way, found = syscalls.way(), {}
  local run = start()
  local ok, err = xpcall(function()
    run.leader = run.cluster:leader()
    run:load(WARM_OUTSTANDING, WARM_ENTRIES)
    for i, load in ipairs(LOADS) do
      local entries = load.entries // (plan.is_quick and QUICK_SHARE or 1)
      found[i] = measure(run, { outstanding = load.outstanding,
        entries = entries }, way, plan.rounds)
    end
  end, debug.traceback)
  subjects.close_all()
  if not ok then error(err, 0) end
  return { bytes = BYTES, system_calls_by = way and way.name, loads = found }
end

----------------------------------------------------------------- the tables --

local function short(value)
  if value < 0.1 then return ("%.3f"):format(value) end
  return (value < 10 and "%.2f" or value < 100 and "%.1f" or "%.0f")
    :format(value)
end

local function rows_of(found, columns)
  local rows = {}
  for _, load in ipairs(found.loads) do
    for _, at in ipairs { "leader", "follower" } do
      local row = { load.outstanding, at }
      for i, column in ipairs(columns) do
        local sum, is_known = 0, false
        for j = 2, #column do
          local summary = load[at][column[j]]
          if summary then sum, is_known = sum + summary.median, true end
        end
        row[i + 2] = is_known and short(sum) or "-"
      end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function head_of(columns)
  local head = { "out", "at" }
  for i, column in ipairs(columns) do head[i + 2] = column[1] end
  return head
end

local CROSSINGS <const> = {
  { "to core", "calls_out.core" }, { "to luv", "calls_out.luv" },
  { "to Lua's library", "calls_out.lua" },
  { "core to Lua", "calls_in.core" }, { "luv to Lua", "calls_in.luv" },
  { "library to Lua", "calls_in.lua" }, { "system calls", "kernel.calls" },
  { "bytes of them", "kernel.bytes" },
}

-- Three columns for each of two kinds: of Lua, of the core, of luv.
local function memory_columns(kinds)
  local columns = {}
  for _, kind in ipairs(kinds) do
    for _, who in ipairs { "lua", "core", "luv" } do
      local title = who == "lua" and kind[1] .. " Lua" or who
      columns[#columns + 1] = { title, kind[2] .. "." .. who }
    end
  end
  return columns
end

--- The C functions that a leader calls most often with one outstanding: rows of
-- their names, and the calls for an entry under each load.
function M.callees(found, count)
  local names, rows = {}, {}
  for name, summary in pairs(found.loads[1].leader) do
    local callee = name:match("^functions%.(.+)$")
    if callee then names[#names + 1] = { callee, summary.median, name } end
  end
  table.sort(names, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[1] < b[1]
  end)
  for i = 1, math.min(count, #names) do
    rows[i] = { names[i][1] }
    for j, load in ipairs(found.loads) do
      local summary = load.leader[names[i][3]]
      rows[i][j + 1] = summary and short(summary.median) or "-"
    end
  end
  return rows
end

local function callees_head(found)
  local head = { "called by a leader" }
  for i, load in ipairs(found.loads) do
    head[i + 1] = tostring(load.outstanding)
  end
  return head
end

--- Prints what `measure` found.
function M.print(found)
  local function print_one(title, columns)
    tables.print(("for each committed entry of %d bytes: %s"):format(
      found.bytes, title), head_of(columns), rows_of(found, columns))
  end
  print_one(("crossings between Lua and C; system calls by %s"):format(
    found.system_calls_by or "nobody"), CROSSINGS)
  print_one("allocations", memory_columns { { "count:", "allocations" },
    { "bytes:", "allocated_bytes" } })
  print_one("copies of memory", memory_columns { { "count:", "copies" },
    { "bytes:", "copied_bytes" } })
  tables.print("the C functions called most often, for each committed entry",
    callees_head(found), M.callees(found, CALLEES))
end

return M
