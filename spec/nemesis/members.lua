--- What the nemesis can do to the members of a cluster, to who leads, and to
-- what they keep: see menu.lua. A change begins here, and goes on until it is
-- done, whatever strikes meanwhile (Cluster:tend).
local M = {}

local MEMBERS_MAX <const> = 7
local MEMBERS_MIN <const> = 3

local function nothing() end

local function any(cluster, dice)
  local list = cluster:running()
  return list[1] and dice:pick(list)
end

local kinds = {}

-- One member for a new one, in one step.
function kinds.replace(cluster, dice)
  return cluster:change(dice:pick(cluster.ids), true) and nothing or nil
end

function kinds.replace_leader(cluster)
  local leader = cluster:leader()
  if not leader then return nil end
  return cluster:change(leader.id, true) and nothing or nil
end

function kinds.add(cluster)
  if #cluster.ids >= MEMBERS_MAX then return nil end
  return cluster:change(nil, true) and nothing or nil
end

function kinds.remove(cluster, dice)
  if #cluster.ids <= MEMBERS_MIN then return nil end
  return cluster:change(dice:pick(cluster.ids), false) and nothing or nil
end

local function order(word, choose)
  return function(cluster, dice)
    local process = choose(cluster, dice)
    return process and process:send(word) and nothing or nil
  end
end

kinds.transfer = order("transfer", any)
kinds.take_one = order("take", any)

function kinds.take_all(cluster)
  for _, process in ipairs(cluster:running()) do process:send("take") end
  return nothing
end

--- @param kill of menu.lua
function M.kinds(kill)
  -- One for another, and the one never comes again.
  function kinds.replace_dead(cluster, dice)
    local process = any(cluster, dice)
    if not process or not cluster:change(process.id, true) then return nil end
    return kill(cluster, { process }, "kill")
  end
  return kinds
end

return M
