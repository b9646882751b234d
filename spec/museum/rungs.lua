--- Which other rungs find the museum's bugs: `make museum-rungs`.
--
--   lua5.4 spec/museum/rungs.lua [BUG ...]
--
-- Runs the tests of the core, linked with the planted copy, once for each bug,
-- and says which go red; the column "also found by" of docs/MUSEUM.md must say
-- the same. The random test gets seeds 1, 2, ... until one is red, at most N of
-- them (N=60, the number that it runs by itself).
local museum = require "spec.museum.museum"

local M = {}

-- Rung -> the programs that belong to it.
M.rungs = {
  { name = "leaves", "quorum", "progress", "log", "log_model", "config" },
  { name = "paper", "paper" },
  { name = "roles", "raft", "election", "replication", "read", "forward" },
  { name = "stories", "election_trace", "log_trace", "client_trace" },
}

local SEEDS <const> = tonumber(os.getenv("N") or 60)

-- Is this test red? What hangs is.
local function is_red(bug, program, env)
  local _, ok = museum.run(("%s RAFT_BUG=%s timeout 60 build/museum/%s_test")
    :format(env or "", bug, program))
  return not ok
end

-- The first seed that finds it, or nil.
local function first_seed(bug)
  for seed = 1, SEEDS do
    if is_red(bug, "random", ("N=1 SEED=%d"):format(seed)) then return seed end
  end
end

-- The set of rungs that find a bug; random has the seed for its value.
local function rungs_of(bug)
  local found = {}
  for _, rung in ipairs(M.rungs) do
    for _, program in ipairs(rung) do
      if is_red(bug, program) then found[rung.name] = true end
    end
  end
  found.random = first_seed(bug)
  return found
end

local function words(found)
  local list = {}
  for _, rung in ipairs(M.rungs) do
    if found[rung.name] then list[#list + 1] = rung.name end
  end
  if found.random then list[#list + 1] = "random" end
  return #list > 0 and table.concat(list, ", ") or "-"
end

-- Without a bug all must be green, or red means nothing.
local function demand_green()
  local found = rungs_of("0")
  assert(not next(found), "red without any bug: " .. words(found))
end

function M.main(bugs)
  demand_green()
  local by_row = {}
  for _, bug in ipairs(#bugs > 0 and bugs or museum.bugs()) do
    local found, row = rungs_of(bug), museum.row_of(bug)
    print(("%-5s %-40s %s"):format(bug, words(found), found.random and
      ("seed %d"):format(found.random) or ""))
    by_row[row] = by_row[row] or {}
    for name in pairs(found) do by_row[row][name] = true end
  end
  local counts = { passed = 0, failed = 0 }
  for _, row in ipairs(museum.rows(museum.document())) do
    local found = by_row[row.number]
    if found then
      local ok = words(found) == words(row.rungs)
      counts[ok and "passed" or "failed"] =
        counts[ok and "passed" or "failed"] + 1
      if not ok then
        print(("FAILED: row %d is found by: %s"):format(row.number,
          words(found)))
      end
    end
  end
  print(("%d passed, %d failed"):format(counts.passed, counts.failed))
  return counts.failed == 0
end

if arg and arg[0] and arg[0]:find("museum/rungs%.lua$") then
  os.exit(M.main(arg))
end

return M
