--- `make nemesis`: runs of the nemesis, one after the other.
--
--   lua5.4 spec/nemesis/run.lua <faults.so> <seconds> <runs> [seed]
--
-- The plan of faults comes from the seed; what meets what does not, for these
-- are real processes. A run of more than a minute is several, each with a new
-- cluster. Ends with `N passed, N failed, N skipped`.
local nemesis = require "spec.nemesis.nemesis"
local raft = require "raft"
local uv = require "luv"

local CHAPTER_S <const> = 60  -- of faults in one cluster: logs only grow

local shim = arg[1]
local seconds, runs = tonumber(arg[2]), math.tointeger(tonumber(arg[3]))
local first_seed = math.tointeger(tonumber(arg[4] or ""))
  or uv.hrtime() // 1000 & 0x7fffffff

-- Lengths of the runs, in seconds.
local function chapters()
  local list = {}
  for _ = 1, runs do
    local left = seconds
    while left > 0 do
      list[#list + 1] = math.min(left, CHAPTER_S)
      left = left - CHAPTER_S
    end
  end
  return list
end

local function tally_text(tally)
  local names, parts = {}, {}
  for name in pairs(tally) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = name .. " " .. tally[name] end
  return table.concat(parts, ", ")
end

local function report(run)
  print(("  faults %d: %s"):format(run.faults, tally_text(run.tally)))
  print(("  struck: %s; %d process starts"):format(
    table.concat(run.struck, ", "), run.cluster.starts))
  local cluster = run.cluster
  print(("  %d changes of members, %d snapshots made, %d received"):format(
    cluster.changes, cluster.snapshots.made, cluster.snapshots.received))
  print(("  operations: %d ok, %d error, %d unknown; longest gap without "
    .. "an ok %d ms"):format(run.counts.ok, run.counts.error,
    run.counts.unknown, run.gap_ms // 1 | 0))
  print(("  linearizable: %s; %s writes on every node"):format(run.checked,
    run.agreed or "not the same"))
end

local function accuse(run)
  for _, line in ipairs(run.story) do print("    " .. line) end
  for _, text in ipairs(run.complaints) do print("  FAILED: " .. text) end
  print("  the files are kept in " .. run.dir)
end

local function one(number, count, length)
  local seed = first_seed + number - 1
  local nodes = nemesis.nodes(seed)
  print(("nemesis %d of %d: %d nodes, %d s, seed %d (SEED=%d RUNS=1 has the "
    .. "same plan)"):format(number, count, nodes, length, seed, seed))
  io.stdout:flush()
  local run = nemesis.run { seconds = length, seed = seed, nodes = nodes,
    lua = os.getenv("LUA") or "lua5.4", shim = shim }
  report(run)
  if #run.complaints > 0 then accuse(run) end
  io.stdout:flush()
  return #run.complaints == 0
end

local function main()
  local passed, failed = 0, 0
  local list = chapters()
  for number, length in ipairs(list) do
    if one(number, #list, length) then
      passed = passed + 1
    else
      failed = failed + 1
    end
  end
  print(("%d passed, %d failed, 0 skipped"):format(passed, failed))
  return failed == 0
end

if uv.os_uname().sysname ~= "Linux" then
  print("nemesis: skipped, its faults are made for Linux")
  print("0 passed, 0 failed, 1 skipped")
  return
end
os.exit(raft.run(main, { signals = false }))
