--- Crash states of the log, as many as you like:
--
--   lua5.4 spec/storage/crash_states.lua [N]       make crashstates N=100000
--   SEED=17 lua5.4 spec/storage/crash_states.lua   from another seed
--
-- Looks at N disks that power cuts may leave, and kills as many lives as there
-- are operations in some of them. See spec.storage.states.
local states = require "spec.storage.states"

local KILLED_LIVES <const> = 3

local count = math.tointeger(tonumber(arg[1])) or 100000
local first = math.tointeger(tonumber(os.getenv("SEED"))) or 1

print(("seed %d (SEED=%d repeats this run)"):format(first, first))
local from = os.clock()
local seen = states.enumerate(first, count)
local seconds = os.clock() - from
print(("%d disks at %d stops of %d lives, up to %d items at risk, %d crashes "
  .. "in recovery"):format(seen.count, seen.stops, seen.lives, seen.items_max,
  seen.recrashed))
print(("%.1f s of one processor, %.0f disks a second"):format(seconds,
  seen.count / seconds))

local kills = 0
for i = 0, KILLED_LIVES - 1 do kills = kills + states.kills(first + i, 1) end
print(("%d kills, then a power cut"):format(kills))
