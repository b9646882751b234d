--- Who changes the cluster of a simulation: asks nodes for what a plan wants,
-- gives newcomers an empty directory where they need one, and brings back
-- members whose directory is lost, as the documents say: remove, empty, add.
--
-- Promises. It never asks for what would leave too few whole copies of the log
-- (raft.sim.copies): what happens then is not the library's fault.
local change = require "raft.change"
local copies = require "raft.sim.copies"
local wishes = require "raft.sim.wishes"

local M = {}

local Operator = { __name = "raft.sim.operator" }
Operator.__index = Operator

local ASK_MS <const> = 3000      -- for one answer
local PAUSE_MS <const> = 300     -- before the next question
local UNCLEAR_MS <const> = 10000 -- so long a question may still have an effect

function M.new(sim)
  return setmetatable({
    sim = sim,
    random = sim.world:random("operator"),
    asked = {},    -- { target=, till_ms= }: what may come to be in force
    mending = {},  -- id -> is somebody at work on it?
  }, Operator)
end

--- Configurations that were asked for lately.
function Operator:targets()
  local kept, list = {}, {}
  for _, item in ipairs(self.asked) do
    if item.till_ms > self.sim:now() then
      kept[#kept + 1], list[#list + 1] = item, item.target
    end
  end
  self.asked = kept
  return list
end

--- The configuration that the leader sees, or whoever has seen the newest.
function Operator:config()
  local sim = self.sim
  local leader = sim:leader()
  if leader then return sim.members[leader].config end
  local newest
  for _, id in ipairs(sim.ids) do
    local member = sim.members[id]
    if member.config and (not newest
      or member.config_index > newest.config_index) then
      newest = member
    end
  end
  return newest and newest.config
end

-- Whom to ask: often the leader, at times anybody who runs.
local function whom(self)
  local sim, up = self.sim, {}
  local leader = sim:leader()
  if leader and self.random:chance(0.7) then return leader end
  for _, id in ipairs(sim.ids) do
    if sim.members[id]:is_up() then up[#up + 1] = id end
  end
  return self.random:pick(#up > 0 and up or sim.ids)
end

-- Asks for a change, once; in a coroutine. True when it is in force.
local function ask(self, asked)
  local sim, config = self.sim, self:config()
  local target = config and change.target(config, asked)
  if not target or not copies.may_follow(sim, config, target) then
    return false
  end
  self.asked[#self.asked + 1] = { target = target,
    till_ms = sim:now() + ASK_MS + UNCLEAR_MS }
  local opts = { timeout = ASK_MS,
    election_timeout_min = asked.election_min_ms }
  if asked.quorum ~= nil then opts.quorum = asked.quorum or "majority" end
  local id = whom(self)
  sim.trace:note(id, "is asked for a change")
  local ok, err = sim:node(id):change(asked.members, opts)
  sim.trace:note(id, ok and "has changed" or "has not changed",
    err and err.code)
  return ok
end

-- A node that is no member: it runs, with a directory that may come in.
local function prepare(self, id, is_fresh)
  local sim, member = self.sim, self.sim.members[id]
  if is_fresh or member.was_witness or member:is_lost() then
    if not copies.is_out(sim, id) then return false end
    sim:wipe(id)
  end
  if not member:is_up() then sim:restart(id) end
  return true
end

-- Those that come in by it have something to come in with.
local function prepare_all(self, asked, config, is_fresh)
  for _, id in ipairs(self.sim.ids) do
    if asked.members[id] and not config.members[id]
      and not prepare(self, id, is_fresh) then
      return false
    end
  end
  return true
end

-- A member that got another address listens there from its next start on.
local function follow_addresses(self, asked)
  for _, id in ipairs(self.sim.ids) do
    local wanted, member = asked.members[id], self.sim.members[id]
    if wanted and member:is_up() and member:is_elsewhere() then
      self.sim:restart(id)
      self.sim.marks:see("moved")
    end
  end
end

--- Asks for what an event of a plan wants, where that makes sense now.
function Operator:perform(event)
  local sim, config = self.sim, self:config()
  if not config then return end
  local asked = wishes.of(sim, event, config)
  if not asked then return end
  sim:spawn(function()
    if not prepare_all(self, asked, config, event.is_fresh) then return end
    local is_done = ask(self, asked)
    if is_done then follow_addresses(self, asked) end
    if is_done and event.what == "add" then sim.marks:see("readded") end
  end)
end

-------------------------------------------------------------------- mending --

-- Does the configuration mean a directory of this member that is lost?
local function is_broken(self, config, id)
  local member = config and config.members[id]
  return member and self.sim.members[id].lost[member.incarnation] ~= nil
end

-- One step on the way back; in a coroutine. True when there is nothing to do.
local function step(self, id)
  local sim, config = self.sim, self:config()
  if is_broken(self, config, id) then
    ask(self, { members = { [id] = false } })
  elseif config and not config.members[id] then
    if prepare(self, id, false) then
      ask(self, { members = { [id] = { address = sim.members[id].address,
        role = "voter", priority = 0 } } })
    end
  elseif config then
    return true
  end
  return false
end

--- Brings a member back whose directory is lost; in a coroutine. It gives up
-- when is_over() says so. One at a time is at work on a member.
function Operator:mend(id, is_over)
  while self.mending[id] do self.sim:sleep(PAUSE_MS) end
  self.mending[id] = true
  while not is_over() do
    if step(self, id) then
      self.sim.marks:see("mended")
      break
    end
    self.sim:sleep(PAUSE_MS)
  end
  self.mending[id] = nil
end

--- Brings back whoever is lost, as an event of a plan.
function Operator:begin_mending(id)
  local sim = self.sim
  if self.mending[id] or not is_broken(self, self:config(), id) then return end
  sim:spawn(function()
    self:mend(id, function() return sim.is_quiet end)
  end)
end

--- Those that the configuration counts with a directory that is lost.
function Operator:broken()
  local config, ids = self:config(), {}
  for _, id in ipairs(self.sim.ids) do
    if is_broken(self, config, id) then ids[#ids + 1] = id end
  end
  return ids
end

return M
