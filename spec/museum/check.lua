--- Runs the museum and holds docs/MUSEUM.md against it: `make museum`.
--
-- Every row stands in the table once and says how we stand:
--
--   scenario: `name`, `name`     they exist, they ran, they passed, no other
--                                scenario of this row is hidden
--   cannot occur: why; `file: test`        that file has that test
--   to come: ... / to be written: ...      counted as skipped
--
-- Beyond the rows: each bug that can be planted is used by a scenario, and
-- what is released knows nothing of any of them.
local museum = require "spec.museum.museum"
local tree = require "tools.tree"

local M = {}

-- Text in backticks, as a list.
local function quoted(text)
  local list = {}
  for word in text:gmatch("`([^`]+)`") do list[#list + 1] = word end
  return list
end

-- The scenarios of a row that the table names, against those that ran.
local function check_scenarios(row, outcomes)
  local named, faults = {}, {}
  for _, name in ipairs(quoted(row.stands:match("^scenario: ([^;]*)"))) do
    named[name] = true
  end
  for _, o in ipairs(outcomes) do
    if o.row == row.number then
      if not named[o.name] then
        faults[#faults + 1] = "does not name " .. o.name
      end
      if not o.passed then faults[#faults + 1] = o.name .. ": " .. o.words end
      named[o.name] = "ran"
    end
  end
  for name, state in pairs(named) do
    if state ~= "ran" then faults[#faults + 1] = name .. " did not run" end
  end
  table.sort(faults)
  return faults
end

local function has_test(path, name)
  local file = io.open(path, "rb")
  if not file then return false end
  file:close()
  return tree.read(".", path):find(name, 1, true) ~= nil
end

-- Tests named as `spec/x_spec.lua: name`.
local function check_tests(row)
  local faults, count = {}, 0
  for _, word in ipairs(quoted(row.stands)) do
    local path, name = word:match("^(spec/%S+): (.+)$")
    if path then
      count = count + 1
      if not has_test(path, name) then
        faults[#faults + 1] = "there is no " .. word
      end
    end
  end
  return faults, count
end

--- "passed", "failed" or "skipped", and what is wrong with the row.
function M.judge(row, outcomes)
  local faults, tests = check_tests(row)
  local kind = row.stands:match("^(%l[%l ]*): ")
  if kind == "scenario" then
    for _, fault in ipairs(check_scenarios(row, outcomes)) do
      faults[#faults + 1] = fault
    end
  elseif kind == "cannot occur" then
    if tests == 0 then faults[1] = "names no test" end
  elseif kind ~= "to come" and kind ~= "to be written" then
    faults[#faults + 1] = "does not say how we stand"
  end
  for _, o in ipairs(outcomes) do
    if o.row == row.number and kind ~= "scenario" then
      faults[#faults + 1] = "does not name " .. o.name
    end
  end
  if #faults > 0 then return "failed", faults end
  return kind:find("^to ") and "skipped" or "passed", faults
end

--- Rows that are missing, doubled, or no rows of the museum.
function M.check_numbers(rows)
  local seen, faults = {}, {}
  for _, row in ipairs(rows) do
    seen[row.number] = (seen[row.number] or 0) + 1
    if row.number < 1 or row.number > museum.ROWS then
      faults[#faults + 1] = "row " .. row.number .. " is none of the museum's"
    end
  end
  for number = 1, museum.ROWS do
    if seen[number] ~= 1 then
      faults[#faults + 1] = ("row %d stands there %d times"):format(number,
        seen[number] or 0)
    end
  end
  return faults
end

-- Bugs that no scenario takes out.
local function check_plants(outcomes)
  local used, faults = {}, {}
  for _, o in ipairs(outcomes) do used[o.bug] = true end
  for _, bug in ipairs(museum.bugs()) do
    if not used[bug] then faults[#faults + 1] = "nobody has bug " .. bug end
  end
  return faults
end

-- The planted program must show that the search can find something.
local function check_release()
  local faults = {}
  local function has(path)
    return tree.read(".", path):find("raft_bug", 1, true) ~= nil
  end
  if has("build/raft/core.so") then faults[1] = "core.so knows raft_bug" end
  if not has(museum.PROGRAMS[1]) then
    faults[#faults + 1] = museum.PROGRAMS[1] .. " does not know raft_bug"
  end
  return faults
end

local function report(counts, what, verdict, faults)
  counts[verdict] = counts[verdict] + 1
  for _, fault in ipairs(faults) do
    print(("FAILED: %s: %s"):format(what, fault))
  end
end

-- All programs, one after the other; what they said of each scenario.
local function run_all()
  local texts = {}
  for _, program in ipairs(museum.PROGRAMS) do
    texts[#texts + 1] = museum.run(program)
    io.write(texts[#texts])
  end
  return museum.outcomes(table.concat(texts, "\n"))
end

function M.main()
  local outcomes = run_all()
  local rows = museum.rows(museum.document())
  local counts = { passed = 0, failed = 0, skipped = 0 }
  local function whole(what, faults)
    report(counts, what, #faults > 0 and "failed" or "passed", faults)
  end
  for _, row in ipairs(rows) do
    report(counts, "row " .. row.number, M.judge(row, outcomes))
  end
  whole("docs/MUSEUM.md", M.check_numbers(rows))
  whole("spec/museum/plants.lua", check_plants(outcomes))
  whole("the release", check_release())
  print(("%d passed, %d failed, %d skipped"):format(counts.passed,
    counts.failed, counts.skipped))
  return counts.failed == 0
end

if arg and arg[0] and arg[0]:find("museum/check%.lua$") then
  os.exit(M.main())
end

return M
