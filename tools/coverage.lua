--- Prints how many lines and branches of csrc were reached, per file.
--
--   lua5.4 tools/coverage.lua BUILD_DIR ...
--
-- Each directory holds one build's counters. A branch counts as reached when
-- any build took it. Lines with an assert are left out: their other branch is
-- there never to be taken.
local tree = require "tools.tree"

local M = {}

-- Adds the branch counts of one line to what other builds said of it.
-- Builds may differ in what the compiler left of a line: keep the longer list.
local function merge(known, branches)
  if #known < #branches then known, branches = branches, known end
  for i = 1, #branches do known[i] = known[i] + branches[i] end
  return known
end

local function line_of(files, path, number)
  local file = files[path] or {}
  files[path] = file
  file[number] = file[number] or { count = 0, branches = {} }
  return file[number]
end

-- Where the text of gcov goes: one instance per report.
local function new_reader(files)
  local path, line, pending
  local reader = {}

  -- The branches follow their line, so a line is known only at the next.
  function reader.close_line()
    if line and #pending > 0 then
      line.branches = merge(line.branches, pending)
    end
    line, pending = nil, {}
  end

  function reader.source(name)
    path = name:match("csrc/[^/]+%.[ch]$")
  end

  function reader.line(count, number, text)
    reader.close_line()
    local is_code = count ~= "-" and path and not text:find("%f[%w_]assert%(")
    if not is_code then return end
    line = line_of(files, path, number)
    line.count = line.count + (tonumber(count:match("^%d+")) or 0)
  end

  function reader.branch(taken)
    if line then pending[#pending + 1] = taken end
  end

  pending = {}
  return reader
end

--- Reads one report of `gcov -b -c -t` into files: path -> number -> counts.
function M.read(text, files)
  local reader = new_reader(files)
  for row in text:gmatch("[^\n]+") do
    local count, number, rest = row:match("^%s*([^%s:]+):%s*(%d+):(.*)$")
    if count and number == "0" then
      local name = rest:match("^Source:(.+)$")
      if name then reader.source(name) end
    elseif count then
      reader.line(count, tonumber(number), rest)
    elseif row:find("^branch") then
      reader.branch(tonumber(row:match("taken (%d+)")) or 0)
    end
  end
  reader.close_line()
end

local function sums(file)
  local s = { lines = 0, reached = 0, branches = 0, taken = 0 }
  for _, line in pairs(file) do
    s.lines = s.lines + 1
    if line.count > 0 then s.reached = s.reached + 1 end
    for _, count in ipairs(line.branches) do
      s.branches = s.branches + 1
      if count > 0 then s.taken = s.taken + 1 end
    end
  end
  return s
end

local function percent(part, whole)
  return whole == 0 and 100 or 100 * part / whole
end

local function print_row(name, s)
  print(("%-24s %5d lines %6.1f%%  %5d branches %6.1f%%"):format(name,
    s.lines, percent(s.reached, s.lines), s.branches,
    percent(s.taken, s.branches)))
end

--- Prints the table; the sums over all files.
function M.report(files)
  local names, total = {}, sums {}
  for name in pairs(files) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local s = sums(files[name])
    print_row(name, s)
    for key, value in pairs(s) do total[key] = total[key] + value end
  end
  print_row("all of csrc", total)
  return total
end

local function main(dirs)
  local files = {}
  for _, dir in ipairs(dirs) do
    for _, path in ipairs(tree.list(".", dir, "csrc/[^/]+%.gcda$")) do
      local pipe = assert(io.popen("gcov -b -c -t '" .. path
        .. "' 2>/dev/null"))
      M.read(pipe:read("a"), files)
      pipe:close()
    end
  end
  M.report(files)
end

if tree.is_main("coverage") then main(arg) end

return M
