--- Changes the C core a little, many times, to see whether a test notices.
--
--   lua5.4 tools/mutate.lua [FILE ...]
--     SEED=1      which mutants are drawn
--     N=20        how many of each file; 0: all there are
--     BASE=main   only functions that changed since that commit
--     MAX=0       how many in all; 0: no limit
--     SHARE=100   percent that must be killed or argued for
--
-- A mutant that does not compile, or compiles to the same code, is skipped and
-- another one drawn. One that all tests pass is tried again under the
-- sanitizers; if it still lives it is a survivor, and a failure, unless
-- spec/mutation/survivors.txt argues for it. An argument for a mutant that
-- dies is a failure too.
local argued = require "tools.mutate.argued"
local changes = require "tools.mutate.changes"
local operators = require "tools.mutate.operators"
local tree = require "tools.tree"
local workshop = require "tools.mutate.workshop"

local ARGUED <const> = "spec/mutation/survivors.txt"

-- Not of the core: the binding, and what it alone needs; the checker, which
-- is no part of what runs at the users'.
local others <const> = { "^csrc/lua_", "^csrc/host%.c$", "^csrc/check%.c$",
  "^csrc/error%.c$" }

local function is_core(path)
  for _, pattern in ipairs(others) do
    if path:find(pattern) then return false end
  end
  return true
end

local function core_files()
  local files = {}
  for _, path in ipairs(tree.list(".", "csrc", "%.c$")) do
    if is_core(path) then files[#files + 1] = path end
  end
  return files
end

local function shuffle(list)
  for i = #list, 2, -1 do
    local k = math.random(i)
    list[i], list[k] = list[k], list[i]
  end
end

local function number_of(name, default)
  local text = os.getenv(name)
  if text == nil or text == "" then return default end
  return assert(math.tointeger(tonumber(text)), name .. " is no number")
end

local function new_run()
  return {
    n = number_of("N", 20),
    max = number_of("MAX", 0),
    share = number_of("SHARE", 100),
    seed = number_of("SEED", 1),
    base = os.getenv("BASE") or "",
    argued = argued.read(ARGUED),
    -- Both are built before the first change, or they would contain it.
    plain = workshop.flavour("mutate"),
    strict = workshop.flavour("unit"),  -- the same under the sanitizers
    counted = 0,     -- mutants, over all files
    failed = 0,      -- survivors nobody argues for, arguments that are wrong
    sums = {},       -- one per file
  }
end

-- Does the mutant in the copy say anything new?
local function is_new_code(run, path)
  if not workshop.compile(run.plain, path, "mutant.o") then return false end
  if workshop.is_same("mutant.o", "whole.o") then return false end
  -- A better optimizer may see that nothing has changed.
  return workshop.compile(run.plain, path, "mutant2.o", "-O2")
    and not workshop.is_same("mutant2.o", "whole2.o")
end

local function try(run, path, tests)
  local name, how = workshop.judge(run.plain, tests)
  if name then return name, how end
  if not workshop.compile(run.strict, path, "mutant.o") then return end
  return workshop.judge(run.strict, workshop.tests_of(run.strict, path))
end

local function say(path, mutant, words)
  print(("%s:%d: %s\n- %s\n+ %s"):format(path, mutant.line, words,
    mutant.before, mutant.after))
  io.flush()
end

local function account(run, path, mutant, name, how)
  local sum, entry = run.sums[path], argued.find(run.argued, path, mutant)
  run.counted, sum.counted = run.counted + 1, sum.counted + 1
  if name and not entry then
    sum.killed = sum.killed + 1
    sum.by[how] = (sum.by[how] or 0) + 1
  elseif name then
    run.failed = run.failed + 1
    say(path, mutant, "argued for, and killed by " .. name)
  elseif entry then
    sum.argued = sum.argued + 1
  else
    run.failed = run.failed + 1
    say(path, mutant, "survives in " .. mutant.fn)
  end
end

local function is_enough(run, path)
  if run.max > 0 and run.counted >= run.max then return true end
  return run.n > 0 and run.sums[path].counted >= run.n
end

local function mutate_file(run, path, wants)
  local whole = workshop.read(path)
  local mutants = operators.mutants(whole, wants)
  local sum = { counted = 0, killed = 0, argued = 0, skipped = 0, by = {},
    all = #mutants }
  run.sums[path] = sum
  shuffle(mutants)
  local tests = workshop.tests_of(run.plain, path)
  assert(workshop.compile(run.plain, path, "whole.o"))
  assert(workshop.compile(run.plain, path, "whole2.o", "-O2"))
  for _, mutant in ipairs(mutants) do
    if is_enough(run, path) then break end
    workshop.write(path, mutant.text)
    if is_new_code(run, path) then
      account(run, path, mutant, try(run, path, tests))
    else
      sum.skipped = sum.skipped + 1
    end
  end
  workshop.write(path, whole)
end

local function print_sum(path, sum)
  local by = {}
  for how, count in pairs(sum.by) do
    by[#by + 1] = ("%d %s"):format(count, how)
  end
  table.sort(by)
  print(("%-22s %4d of %4d mutants  %4d killed %5.1f%%  %2d argued  "
    .. "%2d survive  %3d skipped  (%s)"):format(path, sum.counted, sum.all,
    sum.killed, sum.counted == 0 and 100 or 100 * sum.killed / sum.counted,
    sum.argued, sum.counted - sum.killed - sum.argued, sum.skipped,
    table.concat(by, ", ")))
  io.flush()
end

local function main(files)
  if #files == 0 then files = core_files() end
  workshop.copy()
  local run = new_run()
  print(("SEED=%d N=%d"):format(run.seed, run.n))
  local passed, skipped = 0, 0
  for _, path in ipairs(files) do
    math.randomseed(run.seed)
    local wants = run.base ~= "" and changes.since(run.base, path) or nil
    mutate_file(run, path, wants)
    local sum = run.sums[path]
    if sum.counted > 0 then print_sum(path, sum) end
    passed = passed + sum.killed + sum.argued
    skipped = skipped + sum.skipped
  end
  print(("%d passed, %d failed, %d skipped"):format(passed, run.failed,
    skipped))
  os.exit(100 * passed >= run.share * run.counted)
end

main(arg)
