--- Crash states of the log, as many as you like:
--
--   lua5.4 spec/storage/crash_states.lua [N]       make crashstates N=100000
--   SEED=17 lua5.4 spec/storage/crash_states.lua   from another seed
--
-- Looks at N disks that power cuts may leave, and kills as many lives as there
-- are operations in some of them. See spec.storage.states.
local states = require "spec.storage.states"
local uv = require "luv"

local KILLED_LIVES <const> = 3

local count = math.tointeger(tonumber(arg[1])) or 100000
local seed = math.tointeger(tonumber(os.getenv("SEED"))) or 1

local from = uv.hrtime()
local seen = states.enumerate(seed, count)
local seconds = (uv.hrtime() - from) / 1e9
print(("%d disks at %d stops of %d lives, up to %d items at risk, %d crashes "
  .. "in recovery"):format(seen.count, seen.stops, seen.lives, seen.items_max,
  seen.recrashed))
print(("%.1f s, %.0f disks a second"):format(seconds, seen.count / seconds))

local kills = 0
for i = 0, KILLED_LIVES - 1 do kills = kills + states.kills(seed + i, 1) end
print(("%d kills, then a power cut"):format(kills))
