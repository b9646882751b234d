--- Which of the core's bugs does the simulator find? `make museum-sim`.
--
--   lua5.4 spec/museum/swarm.lua [BUG ...]
--   N=seeds MS=of each NODES= FAULTS=leaders   in the environment
--
-- Runs the swarm of spec/sim/swarm.lua on the planted C module, once for each
-- bug, seed after seed until one is red, and says which seed, and what it saw.
-- What it finds proves that the simulator's checks can fail.
local codec = require "raft.codec"
local faults = require "raft.sim.swarm"
local museum = require "spec.museum.museum"
local pieces = require "spec.museum.lua.pieces"
local sim = require "raft.sim"
local swarm = require "spec.sim.swarm"

local M = {}

-- The most telling ones of every kind.
M.BUGS = { "5", "7", "7b", "12", "21", "22", "23", "29", "30", "33", "44",
  "45", "45b", "98" }

local SEEDS <const> = math.tointeger(tonumber(os.getenv "N" or 60))
local MS <const> = math.tointeger(tonumber(os.getenv "MS" or 20000))
local ELECTION_MS <const> = 1000  -- longest, of raft.node's default
local FAULTS <const> = os.getenv "FAULTS" or "swarm"  -- or "leaders"
local NODES <const> = math.tointeger(tonumber(os.getenv "NODES" or 5))

-- Faults that are after leaders: bugs of overlapping leaders need many of them,
-- with unfinished entries, and the swarm's faults rarely hit those.
local strike = {}

function strike.alone(s, leader)
  s:partition({ leader }, pieces.others(s, leader))
end

function strike.with_one(s, leader, random)
  local others = random:shuffled(pieces.others(s, leader))
  s:partition({ leader, others[1] }, { table.unpack(others, 2) })
end

function strike.deaf(s, leader)
  for _, id in ipairs(pieces.others(s, leader)) do s:cut(id, leader, false) end
end

function strike.dumb(s, leader, random)
  local others = random:shuffled(pieces.others(s, leader))
  for i = 1, #others - random:below(2) do s:cut(leader, others[i], false) end
end

function strike.dead(s, leader, random)
  s:crash(leader, random:pick { "power", "process" })
end

function strike.stopped(s, leader) s:pause(leader) end

local STRIKES <const> = { "alone", "with_one", "deaf", "dumb", "dead",
  "stopped" }

local function repair(s, random)
  if random:chance(0.7) then s:heal() end
  for _, id in ipairs(s.ids) do
    if random:chance(0.7) then s:resume(id) end
    if not s.members[id]:is_up() and random:chance(0.7) then s:restart(id) end
  end
end

local function after_leaders(s, random)
  local classes = {
    delay = random:chance(0.5) and random:log_uniform(0.01, 0.5),
    loss = random:chance(0.3) and random:log_uniform(0.01, 0.2),
    reorder = random:chance(0.5) and random:log_uniform(0.01, 1),
    duplicate = random:chance(0.3) and random:log_uniform(0.01, 1),
  }
  s:disturb(faults.options(classes, random:derive("options"), ELECTION_MS))
  local stop_ms = s:now() + MS
  while s:now() < stop_ms and not s.is_quiet do
    local leader = s:leader()
    if leader then strike[random:pick(STRIKES)](s, leader, random) end
    s:sleep(random:log_uniform(50, 3000))
    if s.is_quiet then break end
    repair(s, random)
    s:sleep(random:log_uniform(5, 1500))
  end
end

-- In the child: says each seed before it is run, since a planted core may end
-- the process where it stands.
local function run_seeds()
  for seed = 1, SEEDS do
    print("at seed " .. seed)
    io.stdout:flush()
    local report, err = sim.explore { seeds = { seed, seed }, nodes = NODES,
      node = swarm.node, workload = swarm.workload(MS), check = swarm.check,
      faults = FAULTS == "leaders" and after_leaders or nil,
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
  local text, ok = museum.run(("RAFT_BUG=%s N=%d MS=%d NODES=%d FAULTS=%s %s "
    .. "spec/museum/swarm.lua --child"):format(bug, SEEDS, MS, NODES, FAULTS,
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
