--- What must hold once the faults are over. Each function adds to a list of
-- complaints; an empty list is a pass.
local linearizable = require "raft.sim.linearizable"
local model = require "spec.nemesis.model"
local wait = require "spec.support.wait"

local M = {}

local LEADER_MS <const> = 15000  -- from heal to a leader
local WRITES_MS <const> = 15000  -- to writes and reads through a node
local CHANGE_MS <const> = 30000  -- to the end of a change
local EQUAL_MS <const> = 15000   -- to equal states
local NAMED_MAX <const> = 5      -- lost writes that are named

-- What a run must have seen, or it was too dull to prove anything.
local OK_PER_SECOND_MIN <const> = 10
local FAULTS_PER_SECOND_MIN <const> = 0.4
local KINDS_MIN <const> = 6
local DISKS_AFTER_S <const> = 15  -- a run so long must have failed a disk
local CHANGES_AFTER_S <const> = 20  -- and this one have changed its members

local function complain(list, ...)
  list[#list + 1] = string.format(...)
end

--- After the heal: the change under way is done.
function M.change_ends(cluster, dice, complaints, ms)
  local ok, why = wait.try(function()
    cluster:tend(dice)
    return not cluster.changing
  end, ms or CHANGE_MS, "the end of a change after the heal")
  if not ok then
    complain(complaints, "%s: %s", why, cluster.changing.words)
  end
end

--- After the heal: a leader, and through every node operations that succeed.
function M.comes_back(cluster, clients, complaints)
  local leader, text = wait.try(function() return cluster:leader() end,
    LEADER_MS, "a leader after the heal")
  if not leader then return complain(complaints, "%s", text) end
  for _, id in ipairs(cluster.ids) do
    clients:aim(cluster:process(id))
    local before = clients:now()
    local ok, why = wait.try(function()
      return clients:oks_since(before) >= 2 * #clients.all
    end, WRITES_MS, "operations through " .. id .. " after the heal")
    if not ok then complain(complaints, "%s", why) end
  end
end

local function digests(cluster)
  local list = {}
  for i, id in ipairs(cluster.ids) do
    list[i] = table.concat(cluster:ask(id, "digest"), " ")
  end
  return list
end

--- All nodes have applied the same commands in the same order.
-- @return how many, or nil
function M.agree(cluster, complaints)
  local list
  local is_equal = wait.try(function()
    list = digests(cluster)
    for i = 2, #list do
      if list[i] ~= list[1] then return false end
    end
    return true
  end, EQUAL_MS, "equal states")
  if is_equal then return tonumber(list[1]:match("^%S+ %S+ (%d+)")) end
  complain(complaints, "the states differ: %s", table.concat(list, "; "))
end

-- Names that break a rule, the first ones of them.
local function name_some(complaints, what, names)
  if #names == 0 then return end
  table.sort(names)
  complain(complaints, "%s: %d, as %s", what, #names,
    table.concat(names, " ", 1, math.min(#names, NAMED_MAX)))
end

--- Every acknowledged write is there once, no refused one is.
function M.keep_promises(cluster, clients, complaints)
  local words, seen = cluster:ask(cluster.ids[1], "names"), {}
  local twice, lost, ghosts = {}, {}, {}
  for i = 2, #words do
    if seen[words[i]] then twice[#twice + 1] = words[i] end
    seen[words[i]] = true
  end
  for name, outcome in pairs(clients.writes) do
    if outcome == "ok" and not seen[name] then lost[#lost + 1] = name end
    if outcome == "error" and seen[name] then ghosts[#ghosts + 1] = name end
  end
  name_some(complaints, "acknowledged and lost", lost)
  name_some(complaints, "applied twice", twice)
  name_some(complaints, "refused and applied", ghosts)
end

--- @return words on what the checker saw
function M.is_linearizable(clients, complaints)
  local verdict, info = linearizable.check(clients.history, model)
  if verdict ~= "ok" then
    complain(complaints, "%s: %s", verdict, info.text)
    return verdict
  end
  return ("%d operations on %d keys, %d steps"):format(#clients.history,
    info.keys, info.steps)
end

-- Did what bends the disks get through to them?
local function disks_failed(cluster)
  return cluster:struck("refuse") + cluster:struck("tear")
    + cluster:struck("late") > 0
end

--- Was enough tried?
function M.is_not_dull(run, complaints)
  local kinds = 0
  for _ in pairs(run.tally) do kinds = kinds + 1 end
  local faults_min = run.seconds * FAULTS_PER_SECOND_MIN
  local ok_min = run.seconds * OK_PER_SECOND_MIN
  if run.faults < faults_min then
    complain(complaints, "too dull: %d faults, %d at least", run.faults,
      math.ceil(faults_min))
  end
  if kinds < math.min(KINDS_MIN, faults_min) then
    complain(complaints, "too dull: %d kinds of faults, %d at least", kinds,
      KINDS_MIN)
  end
  if run.seconds >= DISKS_AFTER_S and not disks_failed(run.cluster) then
    complain(complaints, "too dull: no write has failed")
  end
  local cluster = run.cluster
  if run.seconds >= CHANGES_AFTER_S and (cluster.changes == 0
    or cluster.snapshots.made == 0) then
    complain(complaints, "too dull: %d changes, %d snapshots",
      cluster.changes, cluster.snapshots.made)
  end
  if run.ok < ok_min then
    complain(complaints, "too dull: %d operations ok, %d at least", run.ok,
      math.ceil(ok_min))
  end
end

return M
