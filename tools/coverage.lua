--- Prints how many lines and branches of csrc were reached, per file and group,
-- and fails where a group has fewer than it must have.
--
--   lua5.4 tools/coverage.lua [--missing] BUILD_DIR ...
--
-- Each directory holds one build's counters. A branch counts as reached when
-- any build took it. --missing lists the lines with branches never taken.
--
-- Two kinds of branches are left out, and counted by themselves. Asserts stay
-- on in release, and that of a failing one is there never to be taken: all
-- lines of an assert statement. And what is not reached of a statement that has
-- a comment beginning with `unreachable: ` and the reason, beside it or on the
-- line before; where all of such a statement is reached, that is an error.
local tree = require "tools.tree"

local M = {}

-- Files of csrc belong to the first group that fits; branches is in percent.
local GROUPS <const> = {
  { name = "binding", pattern = "^lua_", branches = 85 },
  { name = "host", pattern = "^host%." },
  { name = "wal", pattern = "^wal", "^identity%.", branches = 95 },
  { name = "wire", pattern = "^wire%.", "^frame%.", "^greeting%.", "^bytes%.",
    "^entry%.", branches = 95 },
  { name = "core", pattern = "", branches = 95 },
}

--------------------------------------------------------------- the source --

-- How deep in brackets the line ends that begins `depth` deep.
local function depth_after(line, depth)
  local code = line:gsub('"[^"]*"', "")
  local _, opened = code:gsub("%(", "")
  local _, closed = code:gsub("%)", "")
  return depth + opened - closed
end

local function mark_asserts(lines, marks)
  local depth = 0
  for number, line in ipairs(lines) do
    local from = depth > 0 and 1 or line:find("%f[%w_]assert%(")
    if from then
      marks[number] = "assert"
      depth = math.max(0, depth_after(line:sub(from), depth))
    end
  end
end

-- From the tag to the end of the statement, or to where its block opens.
local function mark_unreachable(lines, marks)
  local tag
  for number, line in ipairs(lines) do
    if line:find("/* unreachable: ", 1, true) then tag = number end
    local code = line:gsub("/%*.-%*/", ""):gsub("%s+$", "")
    if tag and code ~= "" then
      marks[number] = tag
      if code:find("[;{]$") then tag = nil end
    end
  end
end

--- What lines of a source are: number -> "assert", or of a statement that is
-- not reached the line of its tag.
function M.marks(text)
  local marks, lines = {}, tree.lines(text)
  mark_unreachable(lines, marks)
  mark_asserts(lines, marks)
  return marks
end

----------------------------------------------------------------- gcov's --

-- Adds the branch counts of one line to what other builds said of it.
-- Builds may differ in what the compiler left of a line: keep the longer list.
local function merge(known, branches)
  if #known < #branches then known, branches = branches, known end
  for i = 1, #branches do known[i] = known[i] + branches[i] end
  return known
end

local function line_of(files, path, number, text)
  local file = files[path] or {}
  files[path] = file
  file[number] = file[number] or { count = 0, branches = {}, text = text }
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
    if count == "-" or not path then return end
    line = line_of(files, path, number, text)
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

-------------------------------------------------------------------- sums --

local function new_sums()
  return { lines = 0, reached = 0, branches = 0, taken = 0,
    asserts = 0,      -- branches on the lines of asserts
    unreachable = 0,  -- branches that were rightly not taken
    wrong = 0 }       -- tags on what is reached all the same
end

local function count_taken(line)
  local taken = 0
  for _, count in ipairs(line.branches) do
    if count > 0 then taken = taken + 1 end
  end
  return taken
end

local function add_line(s, line)
  s.lines = s.lines + 1
  s.reached = s.reached + (line.count > 0 and 1 or 0)
  s.branches = s.branches + #line.branches
  s.taken = s.taken + count_taken(line)
end

-- Of a line that has a tag: what is reached counts like any other. True when
-- something was not, as the tag says.
local function add_tagged(s, line)
  local taken = count_taken(line)
  s.unreachable = s.unreachable + #line.branches - taken
  if line.count == 0 then return true end
  s.lines, s.reached = s.lines + 1, s.reached + 1
  s.branches, s.taken = s.branches + taken, s.taken + taken
  return taken < #line.branches
end

--- The sums of one file: its lines as read, and the marks of its source.
function M.sums(file, marks)
  local s, tags = new_sums(), {}  -- tag -> is it right?
  for number, line in pairs(file) do
    local mark = marks[number]
    if mark == "assert" then
      s.asserts = s.asserts + #line.branches
    elseif mark then
      tags[mark] = add_tagged(s, line) or tags[mark] or false
    else
      add_line(s, line)
    end
  end
  for _, is_right in pairs(tags) do
    if not is_right then s.wrong = s.wrong + 1 end
  end
  return s
end

local function add(to, from)
  for key, value in pairs(from) do to[key] = to[key] + value end
end

local function fits(group, name)
  if name:find(group.pattern) then return true end
  for _, pattern in ipairs(group) do
    if name:find(pattern) then return true end
  end
  return false
end

local function group_of(path)
  local name = path:match("[^/]+$")
  for _, group in ipairs(GROUPS) do
    if fits(group, name) then return group end
  end
end

------------------------------------------------------------------ report --

local function percent(part, whole)
  return whole == 0 and 100 or 100 * part / whole
end

local function print_row(name, s, rest)
  print(("%-24s %5d lines %6.1f%%  %5d branches %6.1f%%%s"):format(name,
    s.lines, percent(s.reached, s.lines), s.branches,
    percent(s.taken, s.branches), rest or ""))
end

local function print_missing(path, file, marks)
  local numbers = {}
  for number in pairs(file) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  for _, number in ipairs(numbers) do
    local line = file[number]
    local taken = count_taken(line)
    if not marks[number] and (taken < #line.branches or line.count == 0) then
      print(("%s:%d: %d of %d %s"):format(path, number, taken, #line.branches,
        line.text))
    end
  end
end

-- A group's row; is it as good as it must be?
local function report_group(group, s)
  local got, least = percent(s.taken, s.branches), group.branches or 0
  local is_good = got >= least
  print_row(group.name, s, ("  (%d at least)%s"):format(least,
    is_good and "" or "  TOO FEW"))
  return is_good
end

--- Prints the tables; true when every group has what it must have.
-- @param marks_of function(path) -> the marks of that source
function M.report(files, marks_of, is_missing)
  local names, total, is_good = {}, new_sums(), true
  for _, group in ipairs(GROUPS) do group.sums = new_sums() end
  for name in pairs(files) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local marks = marks_of(name)
    local s = M.sums(files[name], marks)
    if is_missing then print_missing(name, files[name], marks) end
    print_row(name, s, s.wrong > 0 and "  REACHED what is unreachable" or "")
    add(total, s)
    add(group_of(name).sums, s)
  end
  print()
  for _, group in ipairs(GROUPS) do
    is_good = report_group(group, group.sums) and is_good
  end
  print_row("all of csrc", total)
  print(("left out: %d branches of asserts, %d unreachable ones"):format(
    total.asserts, total.unreachable))
  return is_good and total.wrong == 0
end

local function main(args)
  local files, is_missing = {}, args[1] == "--missing"
  for i = is_missing and 2 or 1, #args do
    for _, path in ipairs(tree.list(".", args[i], "csrc/[^/]+%.gcda$")) do
      local pipe = assert(io.popen("gcov -b -c -t '" .. path
        .. "' 2>/dev/null"))
      M.read(pipe:read("a"), files)
      pipe:close()
    end
  end
  local function marks_of(path) return M.marks(tree.read(".", path)) end
  os.exit(M.report(files, marks_of, is_missing))
end

if tree.is_main("coverage") then main(arg) end

return M
