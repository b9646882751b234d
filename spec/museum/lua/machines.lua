--- Old bugs of machines that keep their state on a disk of their own: in a file
-- beside the library's, with the index of the newest entry that is in it. A
-- start begins with the newest snapshot and goes on with the log, so such a
-- machine hears again of entries that it has, or finds that it has too few.
-- services.lua says how that is done right.
local pieces = require "spec.museum.lua.pieces"
local services = require "spec.museum.lua.services"

local on_cluster, same = pieces.on_cluster, pieces.same

local OPERATIONS <const> = 40  -- of a disk for one command, log and all
local FILLER <const> = (" "):rep(2000)
local SNAPSHOT_BYTES <const> = 20000

-- A counter of that kind.
-- @param load function(ctx): what a process finds
local function counter(load)
  return function(_, ctx)
    local state = load(ctx)
    return {
      apply = function(command, entry)
        if entry.index <= state.index then return true end
        state = { index = entry.index,
          total = state.total + math.tointeger(tonumber(command)) }
        services.store(ctx.uv, state)
        return true
      end,
      query = function() return state.total end,
      snapshot = function() return services.encode(state) end,
      restore = function(bytes)
        state = services.newer(state, services.decode(bytes))
        services.store(ctx.uv, state)
      end,
      snapshot_bytes = SNAPSHOT_BYTES, snapshot_mode = "inline",
    }
  end
end

local function total_of(s, id)
  return assert(s:node(id):query("total"))
end

-- The power fails at each operation on the disk in turn.
local function cut_everywhere()
  local node = counter(function(ctx) return services.load(ctx.uv) end)
  on_cluster({ node = node }, function(s)
    local id = pieces.others(s, s:leader())[1]
    for n = 1, OPERATIONS do
      s:crash_at(id, n, 100)  -- and up again after so many ms
      assert(s:node(s:leader()):propose("1"))
      s:sleep(500)
      s.members[id].disk.on_operation = false  -- it has come to fewer
      pieces.must(s, "settled cluster", 20000, function()
        return s.members[id]:is_up() and s:is_settled()
      end)
      same("the total of " .. id, n, total_of(s, id))
    end
  end)
end

-- The machine's disk is lost, the library's is not, and its log begins behind
-- what that machine has.
local function lose_the_machine()
  local node = counter(function(ctx)
    if ctx.boot > 1 then return services.none() end
    return services.load(ctx.uv)
  end)
  on_cluster({ node = node }, function(s, client)
    local id = pieces.others(s, s:leader())[1]
    for _ = 1, 30 do assert(client:propose("1" .. FILLER)) end
    assert(s:node(id):take_snapshot())
    pieces.must(s, "shorter log", 5000, function()
      return s:node(id):status().first > 10
    end)
    s:crash(id)
    s:restart(id)
    same("the total of " .. id, 30, total_of(s, id))
  end)
end

return {
  { number = 85, name = "the_applied_index_is_written_before_the_data",
    reason = "the total of n%d: %d+, not %d+",
    bug = { "spec.museum.lua.services", "store", function(store)
      return function(uv, state)
        local old = services.load(uv)
        store(uv, { index = state.index, total = old.total })
        store(uv, state)
      end
    end },
    run = cut_everywhere },

  { number = 86, name = "a_machine_that_lags_behind_the_snapshot_goes_on",
    reason = "the total of n%d: %d+, not 30",
    bug = { "spec.museum.lua.services", "newer", function()
      return function(own) return own end
    end },
    run = lose_the_machine },
}
