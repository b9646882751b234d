--- The museum as tools see it: the table of docs/MUSEUM.md, the plants, and
-- what the scenarios' program says of a run.
local plant = require "tools.plant"
local tree = require "tools.tree"

local M = {}

M.ROWS = 114

-- What runs scenarios, and writes lines of them (see M.outcomes): those of the
-- core first, then those in Lua.
M.PROGRAMS = { "build/museum/museum_test",
  (os.getenv "LUA" or "lua5.4") .. " spec/museum/lua.lua" }

--- The rows of the table in a text: { number, bug, source, stands, rungs } in
-- the order in which they stand there. `rungs` is a set.
function M.rows(text)
  local rows = {}
  for line in text:gmatch("[^\n]+") do
    local number, bug, source, stands, rungs = line:match(
      "^| (%d+) | (.-) | (.-) | (.-) | (.-) |$")
    if number then
      local row = { number = tonumber(number), bug = bug, source = source,
        stands = stands, rungs = {} }
      for rung in rungs:gmatch("%a+") do row.rungs[rung] = true end
      rows[#rows + 1] = row
    end
  end
  return rows
end

--- The names of all bugs that can be planted, in the order of the file.
function M.bugs(plants)
  local names, seen = {}, {}
  for _, p in ipairs(plants or dofile("spec/museum/plants.lua")) do
    if not seen[p.bug] then
      seen[p.bug] = true
      names[#names + 1] = p.bug
    end
  end
  return names
end

--- The row that a bug belongs to.
function M.row_of(bug)
  return plant.code(bug) % 1000
end

--- What a program has said of its scenarios: a list of { row, bug, name,
-- passed, words } from lines "passed ROW BUG NAME: WORDS" or "failed ..."; bug
-- is "-" where no fix is to be taken out.
function M.outcomes(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do
    local verdict, row, bug, name, words = line:match(
      "^(%l+) (%d+) (%S+) ([%w_]+): (.*)$")
    if verdict == "passed" or verdict == "failed" then
      list[#list + 1] = { row = tonumber(row), bug = bug, name = name,
        passed = verdict == "passed", words = words }
    end
  end
  return list
end

--- The whole output of a command, and whether it ended well.
function M.run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read("a")
  return text, pipe:close() == true
end

--- The text of docs/MUSEUM.md.
function M.document()
  return tree.read(".", "docs/MUSEUM.md")
end

return M
