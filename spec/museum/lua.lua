--- Runs the museum's scenarios in Lua: each with its fix taken out, where it
-- must be red for the reason that it states, and with it.
--
--   lua5.4 spec/museum/lua.lua [ROW ...]     SEED=n: of the clusters, 1
--
-- A scenario, in one of spec/museum/lua/*.lua:
--
--   number   its row          name    of the scenario
--   bug      { module, function, make(original) -> what stands there without
--            the fix }; or "21": the planted core's bug of that name
--   reason   a pattern: what the run complains of without the fix
--   run      function() that raises when what must hold does not
--
-- Every run is a process of its own, on the planted core.
local errors = require "raft.errors"
local museum = require "spec.museum.museum"
local replace = require "spec.museum.replace"

local M = {}

M.CHAPTERS = { "storage", "snapshots", "machines", "driver", "simulation",
  "clients", "core", "leases" }

local SECONDS_MAX <const> = 30  -- one run of a scenario

--- All scenarios, in order.
function M.scenarios()
  local list = {}
  for _, chapter in ipairs(M.CHAPTERS) do
    local scenarios = require("spec.museum.lua." .. chapter)
    table.move(scenarios, 1, #scenarios, #list + 1, list)
  end
  return list
end

local function find(name)
  for _, s in ipairs(M.scenarios()) do
    if s.name == name then return s end
  end
  error("there is no scenario " .. name)
end

-- In the child: true, or false with the complaint in one line.
local function run_one(name, is_broken)
  local s = find(name)
  if is_broken and type(s.bug) == "table" then
    replace.put(table.unpack(s.bug))
  end
  local ok, what = xpcall(s.run, function(err)
    return os.getenv "TRACEBACK" and debug.traceback(errors.text(err))
      or errors.text(err)
  end)
  if not ok then print(what) end
  return ok
end

local function command(s, is_broken)
  local plant = is_broken and type(s.bug) == "string" and s.bug or "0"
  return ('RAFT_BUG=%s LUA_CPATH="build/museum/?.so;$LUA_CPATH" timeout %d %s '
    .. "spec/museum/lua.lua --run %s %s"):format(plant, SECONDS_MAX,
    os.getenv "LUA" or "lua5.4", s.name, is_broken and "broken" or "")
end

-- Was it green, and the first line of what it said.
local function outcome(s, is_broken)
  local text, ok = museum.run(command(s, is_broken))
  if not ok and text == "" then
    text = ("not a word within %d s"):format(SECONDS_MAX)
  end
  return ok, text:match("^[^\n]*")
end

--- true and how it was shown; or false and why not.
function M.judge(s, run)
  local is_green, words = run(s, false)
  if not is_green then return false, "red with the fix: " .. words end
  is_green, words = run(s, true)
  if is_green then return false, "green without the fix" end
  if not words:find(s.reason) then
    return false, "red for another reason: " .. words
  end
  return true, "without the fix " .. words
end

local function is_wanted(s, rows)
  if #rows == 0 then return true end
  for _, row in ipairs(rows) do
    if tonumber(row) == s.number then return true end
  end
end

function M.main(rows)
  local counts = { passed = 0, failed = 0 }
  for _, s in ipairs(M.scenarios()) do
    if is_wanted(s, rows) then
      local ok, words = M.judge(s, outcome)
      local verdict = ok and "passed" or "failed"
      counts[verdict] = counts[verdict] + 1
      print(("%s %d %s %s: %s"):format(verdict, s.number,
        type(s.bug) == "table" and s.bug[1] .. ":" .. s.bug[2] or s.bug, s.name,
        words))
    end
  end
  print(("%d passed, %d failed"):format(counts.passed, counts.failed))
  return counts.failed == 0
end

if arg and arg[0] and arg[0]:find("museum/lua%.lua$") then
  if arg[1] == "--run" then os.exit(run_one(arg[2], arg[3] == "broken")) end
  os.exit(M.main(arg))
end

return M
