--- Runs the fuzz targets of spec/fuzz under libFuzzer, one after the other.
--
--   lua5.4 tools/fuzz.lua SECONDS [TARGET]   each target, or one, that long
--   lua5.4 tools/fuzz.lua --keep TARGET      what was found becomes the corpus
--
-- Kept inputs lie in spec/fuzz/corpus/TARGET and spec/fuzz/regressions/TARGET
-- as hex, one a file. What a run finds is added to build/fuzz/found/TARGET,
-- from where the next run goes on. An input that breaks a target is written to
-- build/fuzz, as it is and as hex. SEED= makes a run the same again, as far as
-- it goes by count and not by the clock.
local tree = require "tools.tree"

local M = {}

local BUILD <const> = "build/fuzz/"
local PROGRAM <const> = BUILD .. "fuzz"
local INPUT_BYTES_MAX <const> = 1024  -- FUZZ_INPUT_MAX
local HEX_COLUMNS <const> = 32        -- bytes a line
local KEPT_MAX <const> = 32           -- inputs that a corpus keeps

-- Their Lua state lives on from run to run, so libFuzzer would look for leaks
-- each time. What leaks is seen when fuzz_replay ends.
local KEEPS_STATE <const> = { codec = true, binding = true }

---------------------------------------------------------------------- hex --

--- The bytes that a text in hex means; `#` begins a comment.
function M.bytes(hex)
  local digits = hex:gsub("#[^\n]*", ""):gsub("%X", "")
  return (digits:gsub("(%x%x)", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

--- The same backwards, in lines.
function M.hex(bytes)
  local lines = {}
  for at = 1, #bytes, HEX_COLUMNS do
    lines[#lines + 1] = bytes:sub(at, at + HEX_COLUMNS - 1):gsub(".",
      function(c) return ("%02x"):format(c:byte()) end)
  end
  return table.concat(lines, "\n") .. "\n"
end

-------------------------------------------------------------------- files --

local function run(command, ...)
  local ok, _, status = os.execute(command:format(...))
  return ok, status
end

local function read(path)
  return tree.read(".", path)
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- The names of all targets, as fuzz.h lists them.
function M.targets()
  local list = read("spec/fuzz/fuzz.h"):match("FUZZ_TARGETS%(X%)(.-)\n\n")
  local names = {}
  for name in list:gmatch("X%((%w+)%)") do names[#names + 1] = name end
  return names
end

-- Kept inputs of a target become files that libFuzzer reads.
local function unpack_corpus(target)
  local dir = BUILD .. "seeds/" .. target
  assert(run("rm -rf %s && mkdir -p %s %sfound/%s", dir, dir, BUILD, target))
  for _, room in ipairs { "corpus", "regressions" } do
    local from = "spec/fuzz/" .. room .. "/" .. target
    for _, path in ipairs(tree.list(".", from, "%.hex$")) do
      local name = path:match("([^/]+)%.hex$")
      write(dir .. "/" .. room .. "-" .. name, M.bytes(read(path)))
    end
  end
  return dir
end

---------------------------------------------------------------------- run --

--- What the last lines of a run say.
function M.figures(log)
  local edges, features, count
  for a, b, c in log:gmatch("cov: (%d+) ft: (%d+) corp: (%d+)") do
    edges, features, count = a, b, c
  end
  return { runs = tonumber(log:match("number_of_executed_units: (%d+)")) or 0,
    edges = tonumber(edges) or 0, features = tonumber(features) or 0,
    kept = tonumber(count) or 0 }
end

-- The inputs that broke a target, as hex beside what libFuzzer wrote.
local function show_broken(target, log)
  local from = log:find("ERROR", 1, true) or log:find("does not hold", 1, true)
    or log:find("runtime error", 1, true) or #log - 2000
  io.write(log:sub(math.max(1, from - 200), from + 200), "\n")
  for frame in log:gmatch("\n( +#%d+ [^\n]- in [^\n]- /[^\n]*csrc[^\n]*)") do
    print(frame)
  end
  for path in log:gmatch("Test unit written to (%S+)") do
    write(path .. ".hex", M.hex(read(path)))
    print(("  broken by %s.hex; again: build/unit/fuzz_replay %s %s.hex")
      :format(path, target, path))
    print(("  once mended, keep it: spec/fuzz/regressions/%s/NAME.hex")
      :format(target))
  end
end

local function run_target(target, seconds)
  local seeds, log_path = unpack_corpus(target), BUILD .. target .. ".log"
  local ok = run("FUZZ_TARGET=%s %s -max_total_time=%d -max_len=%d -timeout=10"
    .. " -rss_limit_mb=1024 -detect_leaks=%d -print_final_stats=1 -seed=%d"
    .. " -artifact_prefix=%s%s- %sfound/%s %s >%s 2>&1", target, PROGRAM,
    seconds, INPUT_BYTES_MAX, KEEPS_STATE[target] and 0 or 1,
    tonumber(os.getenv("SEED")) or 0, BUILD, target,
    BUILD, target, seeds, log_path)
  local log = read(log_path)
  local f = M.figures(log)
  print(("%-10s %10d runs  %8d a second  %5d edges  %6d features  %s"):format(
    target, f.runs, f.runs // seconds, f.edges, f.features,
    ok and "passed" or "FAILED"))
  if not ok then show_broken(target, log) end
  return ok and f.runs > 0
end

--------------------------------------------------------------------- keep --

-- What libFuzzer wrote down while it merged: path -> list of features.
local function features_of(control)
  local lines = tree.lines(control)
  local count, by_path = tonumber(lines[1]), {}
  for _, line in ipairs(lines) do
    local number, list = line:match("^FT (%d+)(.*)")
    if number and tonumber(number) < count then
      local features = {}
      for feature in list:gmatch("%d+") do features[#features + 1] = feature end
      by_path[lines[tonumber(number) + 3]] = features
    end
  end
  return by_path
end

local function count_new(features, seen)
  local count = 0
  for _, feature in ipairs(features) do
    if not seen[feature] then count = count + 1 end
  end
  return count
end

--- Of path -> features those paths that add most, one after the other.
function M.best(by_path, count_max)
  local paths, kept, seen = {}, {}, {}
  for path in pairs(by_path) do paths[#paths + 1] = path end
  table.sort(paths)
  while #kept < count_max do
    local best, most = nil, 0
    for _, path in ipairs(paths) do
      local count = count_new(by_path[path], seen)
      if count > most then best, most = path, count end
    end
    if not best then break end
    for _, feature in ipairs(by_path[best]) do seen[feature] = true end
    kept[#kept + 1] = best
  end
  return kept
end

-- The corpus becomes the inputs that reach most, of all there are.
local function keep(target)
  local merged = BUILD .. "merged/" .. target
  assert(run("rm -rf %s %s.control && mkdir -p %s", merged, merged, merged))
  assert(run("FUZZ_TARGET=%s %s -merge=1 -merge_control_file=%s.control"
    .. " -max_len=%d %s %s %sfound/%s >%s%s-merge.log 2>&1", target, PROGRAM,
    merged, INPUT_BYTES_MAX, merged, unpack_corpus(target), BUILD, target,
    BUILD, target))
  local by_path = features_of(read(merged .. ".control"))
  local kept, inputs = M.best(by_path, KEPT_MAX), {}
  for i, path in ipairs(kept) do inputs[i] = M.hex(read(path)) end
  local dir = "spec/fuzz/corpus/" .. target
  assert(run("rm -rf %s && mkdir -p %s", dir, dir))
  for i, hex in ipairs(inputs) do
    write(("%s/%02d.hex"):format(dir, i), hex)
  end
  print(("%s: %d inputs kept"):format(target, #kept))
end

--------------------------------------------------------------------- main --

local function main(seconds, only)
  local passed, failed = 0, 0
  for _, target in ipairs(M.targets()) do
    if not only or only == target then
      if run_target(target, seconds) then
        passed = passed + 1
      else
        failed = failed + 1
      end
    end
  end
  if passed + failed == 0 then
    print("there is no target " .. tostring(only))
    failed = 1
  end
  print(("%d passed, %d failed, 0 skipped"):format(passed, failed))
  os.exit(failed == 0)
end

if tree.is_main("fuzz") then
  if arg[1] == "--keep" then
    keep(assert(arg[2], "which target?"))
  else
    main(math.max(1, tonumber(arg[1]) or 20), arg[2])
  end
end

return M
