--- Counts the instructions of fixed scenarios and compares them with those of
-- bench/guard_figures.lua: lua5.4 bench/guard.lua COMPILER [write]. `make
-- bench-guard` calls it.
--
-- The figures belong to a compiler, a valgrind and a Lua; with others nothing
-- is compared, which is said and counts as skipped. What takes more than it may
-- is a failure, and so is what takes much less: a guard that is not tight
-- guards nothing. The last line is for tools/sum.lua.
package.path = "./?.lua;" .. package.path
local callgrind = require "bench.callgrind"
local core_alone = require "bench.core_alone"
local statistics = require "bench.compare.statistics"

local M = {}

local FIGURES <const> = "bench/guard_figures.lua"
local SLACK <const> = 0.03
local REWRITE <const> = "make bench-guard WRITE=1"

local function core(batch)
  return function() return core_alone.instructions(batch) end
end

-- What one more time of it takes: the start is in both runs.
local function each(command, few, many)
  return function()
    local short = callgrind.count(command:format(few))
    local long = callgrind.count(command:format(many))
    return (long - short) / (many - few)
  end
end

-- Lua draws the seed of its hashes anew each time, so a run is a bit unlike
-- another: of five the one in the middle.
local function in_the_middle(measure)
  return function()
    local all = {}
    for i = 1, 5 do all[i] = measure() end
    return statistics.median(all)
  end
end

local function lua()
  return arg and arg[-1] or "lua5.4"
end

local scenarios <const> = {
  { name = "core_1", measure = core(1) },
  { name = "core_64", measure = core(64) },
  { name = "core_1024", measure = core(1024) },
  { name = "wire", measure = each("build/bench/guard wire %d", 100, 1100) },
  { name = "wal", measure = each("build/bench/guard wal %d", 1, 4) },
  { name = "election",
    measure = each("build/bench/guard election %d", 1, 4) },
  { name = "codec", measure = in_the_middle(each(lua()
    .. " bench/guard_codec.lua %d", 50, 250)) },
}

-- What the figures depend on, and how it is called.
local function conditions()
  return { compiler = arg[1], valgrind = callgrind.version(),
    lua = callgrind.output_of(lua() .. " -v"):match("Lua [%d.]+") }
end

--- Why nothing can be compared, or nil.
function M.other_conditions(now, known)
  if not now.valgrind then return "there is no valgrind" end
  for _, what in ipairs { "compiler", "valgrind", "lua" } do
    if now[what] ~= known[what] then
      return ("the figures are of %s %q, and this is %q"):format(what,
        known[what], now[what])
    end
  end
end

--- What is wrong with a count beside its figure, in words; or nil.
function M.judge(name, got, want)
  if not want then
    return ("%s takes %.0f instructions, and has no figure: %s"):format(name,
      got, REWRITE)
  elseif got > want * (1 + SLACK) then
    return ("%s takes %.0f instructions, its figure is %.0f, its limit %.0f")
      :format(name, got, want, want * (1 + SLACK))
  elseif got < want * (1 - SLACK) then
    return ("%s takes %.0f instructions and no longer %.0f: %s"):format(name,
      got, want, REWRITE)
  end
end

local function compare(known)
  local passed, failed = 0, 0
  for _, scenario in ipairs(scenarios) do
    local got = scenario.measure()
    local broken = M.judge(scenario.name, got, known.figures[scenario.name])
    if broken then failed = failed + 1 else passed = passed + 1 end
    print(broken and "FAILED: " .. broken
      or ("%-10s %10.0f"):format(scenario.name, got))
  end
  print(("%d passed, %d failed"):format(passed, failed))
  return failed == 0
end

local function write(now)
  local out = assert(io.open(FIGURES, "w"))
  out:write("--- Instructions that scenarios of bench/guard.lua take; written ",
    "by\n-- `", REWRITE, "`.\nreturn {\n")
  for _, what in ipairs { "compiler", "valgrind", "lua" } do
    out:write(("  %s = %q,\n"):format(what, now[what]))
  end
  out:write("  figures = {\n")
  for _, scenario in ipairs(scenarios) do
    local got = scenario.measure()
    print(("%-10s %10.0f"):format(scenario.name, got))
    out:write(("    %s = %.0f,\n"):format(scenario.name, got))
  end
  out:write("  },\n}\n")
  return out:close()
end

local function main()
  local now = conditions()
  if arg[2] == "write" then
    if not now.valgrind then error("there is no valgrind", 0) end
    return write(now)
  end
  local known = dofile(FIGURES)
  local reason = M.other_conditions(now, known)
  if not reason then return compare(known) end
  print("skipped: " .. reason)
  print(("0 passed, 0 failed, %d skipped"):format(#scenarios))
  return true
end

if arg and arg[0] and arg[0]:find("bench/guard%.lua$") then os.exit(main()) end

return M
