--- Plans of faults: what each event does, and what it is in words.
local copies = require "raft.sim.copies"
local evidence = require "raft.sim.evidence"
local faults = require "raft.sim.faults"

local M = {}

local act = {}   -- kind -> function(sim, event)
local says = {}  -- kind -> format, filled with id, how, ms ...

function act.crash(sim, event) sim:crash(event.id, event.how) end
says.crash = "crash %(id)s (%(how)s)"
act.power = act.crash
says.power = says.crash

-- Dies at the n-th operation on its disk from now on, in the middle of a turn.
function act.crash_at(sim, event)
  sim:crash_at(event.id, event.operation, event.down_ms)
end
says.crash_at = "crash %(id)s at disk operation %(operation)d from now, "
  .. "for %(down_ms)d ms"

function act.restart(sim, event)
  faults.start_again(sim, event.id)
end
says.restart = "restart %(id)s"

function act.partition(sim, event)
  sim:partition(table.unpack(event.groups))
end

function act.one_way(sim, event) sim:cut(event.from, event.to, false) end
says.one_way = "cut %(from)s to %(to)s, one way"

function act.heal(sim) sim:heal() end
says.heal = "heal the network"

function act.pause(sim, event)
  sim:pause(event.id)
  sim.world:at(sim.world.now + event.ms * 1000000, function()
    sim:resume(event.id)
  end)
end
says.pause = "stop %(id)s for %(ms)d ms"

function act.stall(sim, event) sim:stall(event.id, event.ms) end
says.stall = "the disk of %(id)s hangs for %(ms)d ms"

function act.disk_error(sim, event) sim:fail_disk(event.id, event.call) end
says.disk_error = "the next %(call)s of %(id)s fails"

function act.rot(sim, event) sim:rot(event.id) end
says.rot = "crash %(id)s, and flip a bit in its log"

function act.client_cut(sim, event)
  local client = sim.clients:pick(event.client)
  if client then sim.clients:cut(client, event.ids, event.way, event.ms) end
end
says.client_cut = "cut client %(client)d from some nodes (%(way)s), for "
  .. "%(ms)d ms"

function act.client_pause(sim, event)
  local client = sim.clients:pick(event.client)
  if client then sim.clients:pause(client, event.ms) end
end
says.client_pause = "stop client %(client)d for %(ms)d ms"

-- What follows has an effect only while enough whole copies are left.
function act.wipe(sim, event)
  if copies.may_lose(sim, event.id) then sim:wipe(event.id) end
end
says.wipe = "wipe the disk of %(id)s"

function act.keep_copy(sim, event)
  if sim:is_formed() then sim:keep_copy(event.id) end
end
says.keep_copy = "copy the disk of %(id)s"

-- It must have been started since, so that others have heard of it.
function act.roll_back(sim, event)
  local member = sim.members[event.id]
  local copy = member.copy
  if copy and copy.incarnation == member.incarnation
    and copy.starts < (member:starts() or 0) and not member:is_lost()
    and evidence.is_known(sim, member, copy.starts)
    and copies.may_lose(sim, event.id) then
    sim:roll_back(event.id)
  end
end
says.roll_back = "put the disk of %(id)s back to its copy"

function act.mend(sim, event) sim.operator:begin_mending(event.id) end
says.mend = "bring %(id)s back, if its directory is lost"

function act.change(sim, event) sim.operator:perform(event) end

function act.wall(sim, event) sim:jump(event.id, event.ms) end
says.wall = "the wall clock of %(id)s jumps by %(ms)d ms"

-- A fault of the user's own, as it was recorded.
function act.call(sim, event)
  sim[event.name](sim, table.unpack(event.arguments))
end

--- Lets an event happen.
function M.perform(sim, event)
  act[event.kind](sim, event)
end

--- Plans all events of a simulation, from now on.
function M.schedule(sim, plan)
  local start = sim.world.now
  for _, event in ipairs(plan) do
    sim.world:at(start + math.floor(event.at_ms * 1000000), function()
      if not sim.is_quiet then M.perform(sim, event) end
    end)
  end
end

local function shown(value)
  if type(value) ~= "table" then return tostring(value) end
  local items = {}
  for i, item in ipairs(value) do items[i] = shown(item) end
  return "{" .. table.concat(items, " ") .. "}"
end

local function call_words(event)
  local words = {}
  for i, value in ipairs(event.arguments) do words[i] = shown(value) end
  return ("%s(%s)"):format(event.name, table.concat(words, ", "))
end

local CHANGES <const> = {
  add = "add %(id)s as a %(role)s",
  remove = "remove %(id)s",
  replace = "put %(other)s in the place of %(id)s, as a %(role)s",
  role = "make %(id)s a %(role)s",
  move = "%(id)s moves to another address",
  quorum = "elections take %(extra)d more than the majority",
  settings = "the shortest election time-out becomes %(election_min_ms)d ms",
}

local function change_words(event)
  local words = CHANGES[event.what]
  if not event.is_leader then return words end
  return (words:gsub("%%%(id%)s", "the leader, or %%(id)s,"))
end

local function words_of(event)
  if event.kind == "call" then return call_words(event) end
  if event.kind == "partition" then
    local groups = {}
    for i, group in ipairs(event.groups) do
      groups[i] = table.concat(group, " ")
    end
    return "partition " .. table.concat(groups, " | ")
  end
  local words = says[event.kind] or change_words(event)
  return (words:gsub("%%%(([%w_]+)%)[sd]", function(name)
    return tostring(event[name])
  end))
end

--- The simulation, for a user's own faults: what they do to it is also kept, as
-- a plan that does it again.
-- @return what to hand to the user, and the plan, which grows
function M.recording(sim, names)
  local plan, start = {}, sim.world.now
  local calls = {}
  for name in pairs(names) do
    calls[name] = function(_, ...)
      plan[#plan + 1] = { at_ms = (sim.world.now - start) / 1000000,
        kind = "call", name = name, arguments = { ... } }
      return sim[name](sim, ...)
    end
  end
  return setmetatable(calls, { __index = function(_, name)
    local value = sim[name]
    if type(value) ~= "function" then return value end
    return function(_, ...) return value(sim, ...) end
  end }), plan
end

--- The plan in words, a line an event.
function M.words(plan)
  local lines = {}
  for i, event in ipairs(plan) do
    lines[i] = ("  at %6.0f ms: %s"):format(event.at_ms, words_of(event))
  end
  return table.concat(lines, "\n")
end

return M
