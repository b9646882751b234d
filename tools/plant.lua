--- Plants the museum's bugs into a copy of the core.
--
--   lua5.4 tools/plant.lua [PLANTS [FROM [TO]]]
--
-- Takes each source of FROM (csrc), and where PLANTS (spec/museum/plants.lua)
-- knows how to take a fix out, makes the code choose when it runs:
--
--   expression    (raft_bug == 21 ? (WRONG) : (RIGHT))
--   statements    if (raft_bug == 21) { WRONG } else { RIGHT }
--
-- The result lies in TO (build/museum/csrc); FROM knows nothing of it. A plant
-- names the exact text that it replaces, which must be there exactly once: who
-- changes that line of the core changes the plant as well, or nothing is built.
local tree = require "tools.tree"

local M = {}

--- The number that raft_bug has for a bug: its row of the museum; further ways
-- to make the same mistake are "7b", "7c" and so on, each 1000 more.
function M.code(name)
  local row, letter = name:match("^(%d+)([b-z]?)$")
  assert(row, "no name of a bug: " .. name)
  local variant = letter == "" and 0 or letter:byte() - ("a"):byte()
  return tonumber(row) + 1000 * variant
end

-- Statements end in a semicolon or a brace.
local function are_statements(text)
  return text:find("[;}]%s*$") ~= nil
end

-- Where the plant's text begins and ends in the source; raises unless it is
-- there exactly once.
local function place(plant, source)
  local first, last = source:find(plant.right, 1, true)
  local say = ("plant %s: %s: the text is %%s: %s"):format(plant.bug,
    plant.file, plant.right:gsub("%%", "%%%%"))
  if not first then error(say:format("not there"), 0) end
  if source:find(plant.right, first + 1, true) then
    error(say:format("there more than once"), 0)
  end
  return first, last
end

-- The places of a file where plants stand, each with all plants for that very
-- text: outer ones before those within them.
local function places_of(plants, source)
  local places, known = {}, {}
  for _, plant in ipairs(plants) do
    local first, last = place(plant, source)
    local key = first .. "-" .. last
    if not known[key] then
      known[key] = { first = first, last = last, plants = {} }
      places[#places + 1] = known[key]
    end
    table.insert(known[key].plants, plant)
  end
  table.sort(places, function(a, b)
    if a.first ~= b.first then return a.first < b.first end
    return a.last > b.last
  end)
  return places
end

local function choose(plants, right)
  local statements = are_statements(plants[1].right)
  local form = statements and "if (raft_bug == %d) {\n%s\n} else "
    or "raft_bug == %d ? (%s) : "
  local out = {}
  for _, plant in ipairs(plants) do
    out[#out + 1] = form:format(M.code(plant.bug), plant.wrong)
  end
  out[#out + 1] = statements and "{\n" .. right .. "\n}" or "(" .. right .. ")"
  local text = table.concat(out)
  return statements and text or "(" .. text .. ")"
end

-- The text [first, last] of the source with the places from number `at` on that
-- lie in it; and the number of the place that comes after.
local function render(source, places, at, first, last)
  local out = {}
  while places[at] and places[at].first <= last do
    local p = places[at]
    if p.last > last then
      error(("plants %s and %s overlap"):format(places[at - 1].plants[1].bug,
        p.plants[1].bug), 0)
    end
    out[#out + 1] = source:sub(first, p.first - 1)
    local right
    right, at = render(source, places, at + 1, p.first, p.last)
    out[#out + 1] = choose(p.plants, right)
    first = p.last + 1
  end
  out[#out + 1] = source:sub(first, last)
  return table.concat(out), at
end

--- The source with these plants in it.
function M.plant(plants, source)
  if #plants == 0 then return source end
  local text = render(source, places_of(plants, source), 1, 1, #source)
  return '#include "raft_bug.h"\n' .. text
end

-- What did not change keeps its date, so that it is not compiled again.
local function write(path, text)
  local old = io.open(path, "rb")
  local same = old and old:read("a") == text
  if old then old:close() end
  if same then return end
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- Plants all of them into a copy of the folder `from`.
function M.main(plants, from, to)
  local by_file, names = {}, {}
  for _, plant in ipairs(plants) do
    by_file[plant.file] = by_file[plant.file] or {}
    table.insert(by_file[plant.file], plant)
  end
  assert(os.execute("mkdir -p '" .. to .. "'"))
  for _, path in ipairs(tree.list(".", from, "%.[ch]$")) do
    local name = path:match("[^/]+$")
    names[name] = true
    write(to .. "/" .. name,
      M.plant(by_file[name] or {}, tree.read(".", path)))
  end
  for name in pairs(by_file) do
    if not names[name] then error("plants for no file: " .. name, 0) end
  end
end

if tree.is_main("plant") then
  local ok, why = pcall(M.main, dofile(arg[1] or "spec/museum/plants.lua"),
    arg[2] or "csrc", arg[3] or "build/museum/csrc")
  tree.finish("plant", ok and {} or { why })
end

return M
