--- Measures what can be measured about style, and complains of the rest.
--
--   lua5.4 tools/tidy.lua [--report] [ROOT]
--
-- Long functions and files, wide lines, tabs, trailing blanks, notes of work
-- left without an issue number, too few asserts in the core. --report prints
-- the figures.
local scan = require "tools.scan"
local tree = require "tools.tree"

local M = {}

local COLUMNS_MAX <const> = 80
local ASSERTS_MIN <const> = 1.5  -- per function of the core, on average

-- Where, which files, and how many lines a file and a function may have.
-- Tests are lists, so they may be longer than what they test.
local folders <const> = {
  { dir = "csrc", language = "c", file = 600, fn = 70, report = "C" },
  { dir = "spec/c", language = "c", file = 900, fn = 70 },
  { dir = "spec/fuzz", language = "c", file = 600, fn = 70 },
  { dir = "lua", language = "lua", file = 300, fn = 50, report = "Lua" },
  { dir = "tools", language = "lua", file = 300, fn = 50 },
  { dir = "bench", language = "lua", file = 300, fn = 50 },
  { dir = "bench/peers", language = "c", file = 600, fn = 70 },
  { dir = "bench/core", language = "c", file = 600, fn = 70 },
  { dir = "bench/probes", language = "c", file = 600, fn = 70 },
  { dir = "examples", language = "lua", file = 300, fn = 50 },
  { dir = "spec", language = "lua", file = 600, fn = 50 },
}
local endings <const> = { c = "%.[ch]$", lua = "%.lua$" }

-- A group of specs is a function only to the compiler.
local function is_group(fn)
  local opener = fn.opener or ""
  return opener:find("describe") or opener:find("insulate")
    or opener:find("expose")
end

local function functions_of(text, language)
  local list = {}
  for _, fn in ipairs(scan[language .. "_functions"](text)) do
    if not is_group(fn) then
      fn.size = fn.last - fn.first + 1
      list[#list + 1] = fn
    end
  end
  return list
end

-- The binding and the POSIX services are not the core.
local function is_core(path)
  return path:find("^csrc/[^/]+%.[ch]$") ~= nil
    and not path:find("^csrc/lua_") and not path:find("^csrc/host%.")
end

local function check_line(path, number, line, say)
  local columns = utf8.len(line) or #line
  if columns > COLUMNS_MAX then
    say(path, number, columns .. " columns")
  end
  if line:find("\t", 1, true) then say(path, number, "a tab") end
  if line:find("%s$") then say(path, number, "blanks at the end") end
  -- In two halves, or this line would complain of itself.
  local todo = line:match("%f[%w]TO" .. "DO%f[%W](.*)")
  if todo and not todo:find("^%s*%(?#%d+") then
    say(path, number, "TO" .. "DO without an issue number")
  end
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

local function measure_file(root, path, folder, figures, say)
  local text = tree.read(root, path)
  local lines = tree.lines(text)
  if text:sub(-1) ~= "\n" then say(path, #lines, "no line end at the end") end
  for number, line in ipairs(lines) do check_line(path, number, line, say) end
  if #lines > folder.file then
    say(path, #lines, ("%d lines, %d at most"):format(#lines, folder.file))
  end
  local functions = functions_of(text, folder.language)
  for _, fn in ipairs(functions) do
    figures.sizes[#figures.sizes + 1] = fn.size
    if fn.size > folder.fn then
      say(path, fn.first, ("%s has %d lines, %d at most"):format(fn.name,
        fn.size, folder.fn))
    end
  end
  figures.files, figures.lines = figures.files + 1, figures.lines + #lines
  if is_core(path) then
    local asserts = count(scan.code(text, "c"), "%f[%w_]assert%s*%(")
    figures.core[#figures.core + 1] = { path = path, asserts = asserts,
      functions = #functions }
  end
end

local function new_figures()
  return { files = 0, lines = 0, sizes = {}, core = {} }
end

-- Files of a folder; spec/c is not a part of spec, and so on.
local function files_of(root, folder)
  return tree.list(root, folder.dir, endings[folder.language])
end

local function check_asserts(core, say)
  local asserts, functions = 0, 0
  for _, file in ipairs(core) do
    asserts = asserts + file.asserts
    functions = functions + file.functions
  end
  if functions > 0 and asserts / functions < ASSERTS_MIN then
    say("csrc", 1, ("%.2f asserts per core function, %.1f at least"):format(
      asserts / functions, ASSERTS_MIN))
  end
end

--- All complaints about the tree at root, and the figures by folder.
function M.check(root)
  local complaints, figures = {}, {}
  local function say(path, line, words)
    complaints[#complaints + 1] = ("%s:%d: %s"):format(path, line, words)
  end
  for _, folder in ipairs(folders) do
    local sums = new_figures()
    figures[folder.dir] = sums
    for _, path in ipairs(files_of(root, folder)) do
      measure_file(root, path, folder, sums, say)
    end
    table.sort(sums.sizes)
  end
  check_asserts(figures.csrc.core, say)
  return complaints, figures
end

-- The value below which a share of the sorted list lies.
local function percentile(sorted, share)
  return sorted[math.max(1, math.ceil(#sorted * share))] or 0
end

local function report_core(core)
  local asserts, functions = 0, 0
  for _, file in ipairs(core) do
    asserts = asserts + file.asserts
    functions = functions + file.functions
    if file.functions > 0 then
      print(("  %-22s %3d functions  %3d asserts  %5.2f each"):format(
        file.path, file.functions, file.asserts,
        file.asserts / file.functions))
    end
  end
  print(("core: %d functions, %d asserts, %.2f per function"):format(
    functions, asserts, functions > 0 and asserts / functions or 0))
end

--- Prints the figures.
function M.report(figures)
  print("             files  lines  functions  median  p90  longest")
  for _, folder in ipairs(folders) do
    local f = figures[folder.dir]
    print(("%-12s %5d  %5d  %9d  %6d  %3d  %7d"):format(folder.dir, f.files,
      f.lines, #f.sizes, percentile(f.sizes, 0.5), percentile(f.sizes, 0.9),
      f.sizes[#f.sizes] or 0))
  end
  report_core(figures.csrc.core)
end

if tree.is_main("tidy") then
  local is_report = arg[1] == "--report"
  local complaints, figures = M.check(arg[is_report and 2 or 1] or ".")
  if is_report then M.report(figures) end
  tree.finish("tidy", complaints)
end

return M
