--- All damage there can be to a small directory: every bit of every file,
-- every length, every file and pair of files missing.
--
--   lua5.4 spec/storage/all_damage.lua [STEP]      make damage STEP=1
--
-- STEP: every so manieth bit and length only. A million starts take minutes, so
-- bits have a directory of two segments, one of them full.
local damage = require "spec.storage.damage"

local step = math.tointeger(tonumber(arg[1])) or 1
local seed = math.tointeger(tonumber(os.getenv("SEED"))) or 1

print(("seed %d (SEED=%d repeats this run)"):format(seed, seed))
local function measure(what, segments, fn, begins_later)
  local all = damage.new(seed, segments, begins_later)
  local from = os.clock()
  fn(all)
  print(("%s: %d tried, %d recovered, %d repairing, %d refused, %.1f s"):format(
    what, all.count, all.recovered, all.repairing, all.refused,
    os.clock() - from))
end

measure("missing", 3, function(all) all:remove_all() end)
measure("lengths", 3, function(all) all:truncate_all(step) end)
measure("bits", 2, function(all) all:flip_all(step) end)
local function later(all)
  all:remove_all()
  all:truncate_all(16 * step)
  all:flip_all(64 * step)
end
measure("a log that begins later", 4, later, true)
