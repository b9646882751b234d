--- Which of the core's bugs does the simulator find? `make museum-sim`.
--
--   lua5.4 spec/museum/swarm.lua [BUG ...]     N=seeds MS=of each NODES=
--
-- Runs the swarm of spec/sim/swarm.lua on the planted C module, once for each
-- bug, seed after seed until one is red, and says which seed, and what it saw.
-- What it finds proves that the simulator's checks can fail.
local codec = require "raft.codec"
local museum = require "spec.museum.museum"
local sim = require "raft.sim"
local swarm = require "spec.sim.swarm"

local M = {}

-- The most telling ones of every kind.
M.BUGS = { "5", "7", "7b", "12", "21", "22", "23", "29", "30", "33", "44",
  "45", "45b", "98" }

local SEEDS <const> = math.tointeger(tonumber(os.getenv "N" or 60))
local MS <const> = math.tointeger(tonumber(os.getenv "MS" or 20000))
local NODES <const> = math.tointeger(tonumber(os.getenv "NODES" or 5))

-- In the child: says each seed before it is run, since a planted core may end
-- the process where it stands.
local function run_seeds()
  for seed = 1, SEEDS do
    print("at seed " .. seed)
    io.stdout:flush()
    local report, err = sim.explore { seeds = { seed, seed }, nodes = NODES,
      node = swarm.node, workload = swarm.workload(MS), check = swarm.check,
      duration_ms = MS, shrink = false, say = function() end,
      probe = codec.encode { op = "none" } }
    if not report then
      print("saw " .. err.broken:gsub("\n.*", ""))
      return false
    end
  end
  return true
end

--- Hunts one bug: the first red seed, or nil, and what was seen.
function M.hunt(bug)
  local text, ok = museum.run(("RAFT_BUG=%s N=%d MS=%d NODES=%d %s "
    .. "spec/museum/swarm.lua --child"):format(bug, SEEDS, MS, NODES,
    os.getenv "LUA" or "lua5.4"))
  local seed, seen
  for line in text:gmatch("[^\n]+") do
    local number = line:match("^at seed (%d+)$")
    if number then
      seed, seen = tonumber(number), nil
    else
      seen = seen or line
    end
  end
  assert(seed, text)
  if not ok then return seed, seen or "it has ended without a word" end
end

function M.main(args)
  local bugs, found = #args > 0 and args or M.BUGS, 0
  assert(not M.hunt("0"), "red without any bug")
  for _, bug in ipairs(bugs) do
    local seed, words = M.hunt(bug)
    found = found + (seed and 1 or 0)
    print(("%-4s %-10s %s"):format(bug, seed and "seed " .. seed or "-",
      words or ""))
    io.stdout:flush()
  end
  print(("%d of %d bugs found in up to %d seeds of %d ms, %d nodes"):format(
    found, #bugs, SEEDS, MS, NODES))
end

if arg and arg[0] and arg[0]:find("museum/swarm%.lua$") then
  if arg[1] == "--child" then os.exit(run_seeds()) end
  M.main(arg)
end

return M
