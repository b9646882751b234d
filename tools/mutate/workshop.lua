--- Where mutants are made and tried: a copy of the tree in build/mutate.
--
-- The C tests are built there once. A mutant is one file compiled anew and
-- linked in front of the untouched rest, so that a try costs a second.
local tree = require "tools.tree"

local M = {}

local HOME <const> = "build/mutate"
local COPIED <const> = "Makefile csrc spec/c spec/golden spec/traces"
local MEMORY_KIB <const> = 2 * 1024 * 1024  -- what a mutant may take
local RUNS <const> = "N=12 SEED=1"  -- of the random tests: few, the same ones

local function quoted(command)
  return "'" .. command:gsub("'", "'\\''") .. "'"
end

-- Runs in the copy; true when it succeeds.
local function run(command)
  return os.execute("cd " .. HOME .. " && " .. command) == true
end

local function output(command)
  local pipe = assert(io.popen("cd " .. HOME .. " && " .. command))
  local text = pipe:read("a")
  assert(pipe:close(), command)
  return text
end

local function must(command)
  if not run(command) then error(command .. " failed", 0) end
end

--- A fresh copy. What did not change keeps its time, so make need not build it.
function M.copy()
  os.execute("mkdir -p " .. HOME)
  must("rm -rf csrc spec")
  assert(os.execute("tar cf - " .. COPIED .. " | tar xf - -C " .. HOME))
end

function M.read(path)
  return tree.read(HOME, path)
end

function M.write(path, text)
  local file = assert(io.open(HOME .. "/" .. path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- The names that an object or a program defines.
local function symbols(path, flags)
  local set = {}
  for name in output("nm --defined-only " .. flags .. " " .. path)
    :gmatch("[^\n]- %a ([%w_]+)\n") do set[name] = true end
  return set
end

-- Seconds that a program takes unharmed, which it must survive.
local function measure(flavour, name)
  local command = ("%s RAFT_ROOT=. bash -c %s"):format(RUNS, quoted(
    "TIMEFORMAT=%U; time " .. flavour.dir .. name .. " > out.txt 2>&1"))
  local pipe = assert(io.popen("cd " .. HOME .. " && " .. command .. " 2>&1"))
  local seconds = tonumber(pipe:read("a"):match("[%d.]+"))
  if not pipe:close() then
    error(M.read("out.txt") .. name .. " fails without any change", 0)
  end
  return seconds
end

-- How make links a test, asked of make; with the mutant in front of the rest.
local function link_command(flavour, name)
  local program = flavour.dir .. name
  local lines = output(("make -s -n -W %sspec/c/%s.o %s"):format(flavour.dir,
    name, program))
  local command = lines:match("([^\n]+)\n*$")
  local from, to = command:find(" -o " .. program .. " ", 1, true)
  assert(from, "no such link: " .. command)
  return command:sub(1, from) .. "-o mutant_test mutant.o "
    .. command:sub(to + 1)
end

--- A way to compile, its programs built and measured.
-- @param name  a flavour of the Makefile: "mutate" or "unit"
function M.flavour(name)
  local flavour = { name = name, dir = "build/" .. name .. "/", tests = {} }
  local tests = tree.list(HOME, "spec/c", "_test%.c$")
  local programs = {}
  for i, path in ipairs(tests) do
    tests[i] = path:match("([%w_]+)%.c$")
    programs[i] = flavour.dir .. tests[i]
  end
  must("make -s " .. table.concat(programs, " ") .. " >out.txt 2>&1")
  flavour.compile = M.read(flavour.dir .. "flags"):match("[^\n]+")
  for _, test in ipairs(tests) do
    flavour.tests[#flavour.tests + 1] = { name = test,
      seconds = measure(flavour, test),
      link = link_command(flavour, test),
      symbols = symbols(flavour.dir .. test, "") }
  end
  return flavour
end

local function is_affected(test, defined)
  for name in pairs(defined) do
    if test.symbols[name] then return true end
  end
  return false
end

--- The tests that a file can affect: those named like it first, then the fast.
function M.tests_of(flavour, path)
  local base = path:match("([%w_]+)%.c$")
  local defined = symbols(flavour.dir .. "csrc/" .. base .. ".o", "-g")
  local list = {}
  local function rank(test)
    local is_own = test.name:sub(1, #base + 1) == base .. "_"
    return is_own and -1 or test.seconds
  end
  for _, test in ipairs(flavour.tests) do
    if is_affected(test, defined) then list[#list + 1] = test end
  end
  table.sort(list, function(a, b)
    if rank(a) == rank(b) then return a.name < b.name end
    return rank(a) < rank(b)
  end)
  return list
end

--- Compiles the file as it stands in the copy. False: it does not compile.
function M.compile(flavour, path, out, more)
  return run(("%s -w -Werror=int-conversion %s -c -o %s %s 2>out.txt"):format(
    flavour.compile, more or "", out, path))
end

function M.is_same(a, b)
  return run("cmp -s " .. a .. " " .. b)
end

-- A mutant may run ten times as long as the original, and some seconds.
local function try(flavour, test)
  must(test.link)
  local seconds = 3 + math.ceil(10 * test.seconds)
  local memory = flavour.name == "mutate" and "ulimit -v " .. MEMORY_KIB or ":"
  local limits = ("ulimit -c 0; ulimit -t %d; %s"):format(seconds, memory)
  local ok, how, code = os.execute(("cd %s && { %s; %s RAFT_ROOT=. exec "
    .. "timeout -s KILL %d ./mutant_test; } >out.txt 2>&1"):format(HOME,
    limits, RUNS, 10 * seconds))
  if ok then return nil end
  if how == "signal" then code = 128 + code end
  return code == 1 and "red" or code == 134 and "abort"
    or code == 137 and "time" or "crash"
end

--- Runs the tests against mutant.o until one notices: its name and how;
-- nil when none does.
function M.judge(flavour, tests)
  for _, test in ipairs(tests) do
    local how = try(flavour, test)
    if how then return test.name, how end
  end
end

return M
