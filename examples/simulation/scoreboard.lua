-- A scoreboard with a bug that no single machine shows: who wins a tie depends
-- on the order of pairs, and that differs from process to process.
--
--   lua5.4 examples/simulation/scoreboard.lua          finds it
--   lua5.4 examples/simulation/scoreboard.lua fixed    cannot
local sim = require "raft.sim"

local is_fixed = arg[1] == "fixed"

local function winner(votes)
  local best
  for name, count in pairs(votes) do
    local is_better = not best or count > votes[best]
    if is_fixed and best and count == votes[best] then
      is_better = name < best
    end
    if is_better then best = name end
  end
  return best
end

local function node()
  local votes = {}
  return {
    apply = function(command)
      if command == "winner" then return winner(votes) end
      votes[command] = (votes[command] or 0) + 1
      return votes[command]
    end,
  }
end

-- What the users of the service do.
local function workload(s, random)
  local client <close> = s:client()
  for _ = 1, 20 do
    client:propose(random:pick { "ann", "bob", "cleo" })
    client:propose("winner")
    s:sleep(100)
  end
end

local report, err = sim.explore { seeds = 5, nodes = 3, node = node,
  workload = workload, duration_ms = 5000 }
if err and err.missing then print(err) end
os.exit(report ~= nil)
