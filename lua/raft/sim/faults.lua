--- What a script, or a plan, may do to a simulated cluster.
local copies = require "raft.sim.copies"
local evidence = require "raft.sim.evidence"
local rot = require "raft.sim.rot"
local schema = require "raft.schema"

local M = {}

-- The methods of a simulation that are faults.
local methods = {}
M.methods = methods

--- The member of this id. Level 4 is the user.
function M.member(sim, id, call)
  local member = sim.members[id]
  if member then return member end
  error(("raft.sim: s:%s: there is no node %s"):format(call, schema.show(id)),
    4)
end

local member_of = M.member

-- A client of this name that is open, or nil. Ids of nodes go first.
local function client_of(sim, name)
  return not sim.members[name] and sim.clients:named(name) or nil
end

------------------------------------------------------------------- processes --

local function crash(sim, member, how)
  if member.is_starting then sim.marks:see("recovery_crash") end
  sim.marks:see("crash")
  member:crash(how)
end

--- The process dies. "power": what its disk had not synced is at risk;
-- "process": as by SIGKILL.
function methods.crash(sim, id, how)
  local member = member_of(sim, id, "crash")
  how = how or sim.options.crash
  if how ~= "power" and how ~= "process" then
    error('raft.sim: s:crash: expected "power" or "process", got '
      .. schema.show(how), 2)
  end
  crash(sim, member, how)
end

--- It dies by a power cut, in the middle of whatever it does, when it comes to
-- its n-th operation on its disk from now on.
-- @param down_ms when it is started again after that; nil: it stays down
function methods.crash_at(sim, id, n, down_ms)
  local member = member_of(sim, id, "crash_at")
  local left = n
  member.disk.on_operation = function()
    left = left - 1
    if left > 0 then return end
    member.disk.on_operation = false
    crash(sim, member, "power")
    if not down_ms then return end
    sim.world:at(sim.world.now + down_ms * 1000000, function()
      M.start_again(sim, id)
    end)
  end
end

--- Starts a process that is down, where a plan may do that.
function M.start_again(sim, id)
  local member = sim.members[id]
  if not member:is_up() and evidence.may_start(sim, member) then
    sim:restart(id)
  end
end

--- Starts the process anew; one that runs is killed first.
function methods.restart(sim, id)
  local member = member_of(sim, id, "restart")
  member:crash("process")
  if sim.is_planned then evidence.starts(sim, member) end
  member:start()
end

--- Stops the process where it stands, as by SIGSTOP.
function methods.pause(sim, id)
  local client = client_of(sim, id)
  if client then return sim.clients:pause(client) end
  sim.marks:see("pause")
  member_of(sim, id, "pause"):pause()
end

--- It goes on.
function methods.resume(sim, id)
  local client = client_of(sim, id)
  if client then return sim.clients:resume(client) end
  member_of(sim, id, "resume"):resume()
end

------------------------------------------------------------ disks, clocks --

--- Its process dies and its disk is empty. It stays down until restart.
function methods.wipe(sim, id)
  sim.marks:see("wiped")
  member_of(sim, id, "wipe"):wipe()
end

--- Keeps a copy of its disk, in place of the one before.
function methods.keep_copy(sim, id)
  local member = member_of(sim, id, "keep_copy")
  member:note("is copied")
  member:keep_copy()
end

--- Its process dies, and its disk is put back to the copy that was kept. It
-- stays down until restart.
function methods.roll_back(sim, id)
  local member = member_of(sim, id, "roll_back")
  if not member.copy then
    error(("raft.sim: s:roll_back: keep_copy(%q) comes first"):format(id), 2)
  end
  sim.marks:see("rolled_back")
  member:roll_back()
end

-- One at a time, and the others are enough without it.
local function may_rot(sim, member)
  for _, id in ipairs(sim.ids) do
    if sim.members[id].rotten_last > 0 then return false end
  end
  local config = member.config
  return config and config.members[member.id] and not member:is_lost()
    and copies.may_lose(sim, member.id)
end

--- Its process dies, and a bit in the middle of its log has flipped. It stays
-- down until restart. Nothing happens while another one is being repaired.
function methods.rot(sim, id)
  local member = member_of(sim, id, "rot")
  if not may_rot(sim, member) then return end
  sim.marks:see("crash")
  member:crash("process")
  local path, byte = rot.strike(member.disk, member.random)
  if not path then return end
  member:note("rots", path, byte)
  member.rotten_last = member.last_index
  sim.marks:see("rot")
end

--- Its disk answers nothing for so many ms.
function methods.stall(sim, id, ms)
  local member = member_of(sim, id, "stall")
  member:note("disk hangs", ms)
  member.disk:stall(ms)
end

--- The next call of this name ("write", "fsync", "open", "read", "rename")
-- fails with EIO.
function methods.fail_disk(sim, id, call)
  local member = member_of(sim, id, "fail_disk")
  member:note("disk fails at the next", call)
  member.disk:fail_next(call)
end

--- Its wall clock jumps.
function methods.jump(sim, id, ms)
  local member = member_of(sim, id, "jump")
  member:note("wall clock jumps", ms)
  if member.host then member.host.jump(ms) end
end

---------------------------------------------------------------- the network --

-- a and b: members or clients.
local function cut(sim, a, b)
  local has_client = not (sim.members[a.id] and sim.members[b.id])
  sim.trace:note(a.id or a.name, "is cut from", b.id or b.name)
  sim.marks:see(has_client and "client_cut" or "partition")
  sim.network:cut(a.ip, b.ip)
end

--- Cuts the way from a to b, ids of nodes or names of clients, and with `both`
-- (the default) the way back.
function methods.cut(sim, a, b, both)
  local from = client_of(sim, a) or member_of(sim, a, "cut")
  local to = client_of(sim, b) or member_of(sim, b, "cut")
  cut(sim, from, to)
  if both ~= false then cut(sim, to, from) end
end

--- Groups of ids: those of different groups do not hear each other. All who
-- are in none are one more group: partition({ a }) cuts a off from the others.
-- Clients hear everybody.
function methods.partition(sim, ...)
  local group_of = {}
  for number, group in ipairs { ... } do
    if type(group) ~= "table" then
      error("raft.sim: s:partition: expected lists of ids, got "
        .. schema.show(group), 2)
    end
    for _, id in ipairs(group) do
      group_of[member_of(sim, id, "partition").id] = number
    end
  end
  sim.network:heal()
  for _, a in ipairs(sim.ids) do
    for _, b in ipairs(sim.ids) do
      if group_of[a] ~= group_of[b] then
        cut(sim, sim.members[a], sim.members[b])
      end
    end
  end
end

--- All hear each other again.
function methods.heal(sim)
  sim.trace:note("network", "heals")
  sim.network:heal()
end

--- From now on the network and the disks are as these options say.
-- @param options `network` and `disk`, as raft.sim.new has them
function methods.disturb(sim, options)
  sim.network:set(options.network)
  for _, id in ipairs(sim.ids) do sim.members[id].disk:set(options.disk) end
end

--- No fault any more: plans have no effect, network and disks are well.
-- Processes that are down stay down.
function methods.calm(sim)
  sim.is_quiet = true
  sim:heal()
  sim.clients:calm()
  sim.network:set { loss = 0, duplicate = 0, reorder_ms = 0,
    delay = { 0.05, 2 } }
  for _, id in ipairs(sim.ids) do
    local member = sim.members[id]
    member.disk:calm()
    member.disk.on_operation = false
    if member.loop then member.loop:resume() end
  end
end

return M
