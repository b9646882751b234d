--- What scenarios on the simulator share.
local sim = require "raft.sim"

local M = {}

--- A counter: commands are numbers to add, "total" asks for the sum.
function M.counter()
  local total = 0
  return {
    apply = function(command)
      total = total + math.tointeger(tonumber(command))
      return total
    end,
    query = function() return total end,
  }
end

--- Runs story(s, client) on a cluster that has formed and has a leader; raises
-- what it raises, and what the simulation complains of.
-- @param options of raft.sim.new, if wanted
function M.on_cluster(options, story)
  local all = { node = M.counter,
    seed = math.tointeger(tonumber(os.getenv "SEED" or 1)) }
  for name, value in pairs(options) do all[name] = value end
  local s <close> = sim.new(all)
  s:run(function()
    assert(s:wait(function() return s:is_formed() and s:leader() end))
    local client <close> = s:client()
    story(s, client)
  end)
  assert(s:check())
end

--- The other nodes, in order.
function M.others(s, id)
  local list = {}
  for _, other in ipairs(s.ids) do
    if other ~= id then list[#list + 1] = other end
  end
  return list
end

--- Waits for something that must come within so many ms.
function M.must(s, what, ms, predicate)
  local value = s:wait(predicate, ms)
  if not value then error(("no %s within %d ms"):format(what, ms), 0) end
  return value
end

--- Waits for a leader other than this one: its id.
function M.new_leader(s, old, ms)
  return M.must(s, "new leader", ms or 20000, function()
    local leader = s:leader()
    return leader ~= old and leader
  end)
end

--- Demands that these are equal.
function M.same(what, expected, got)
  if expected == got then return end
  error(("%s: %s, not %s"):format(what, got, expected), 0)
end

return M
