--- What the nemesis can do to a cluster.
--
-- Each kind is function(cluster, dice, ms) -> undo, or nil where it cannot be
-- had just now. `ms` is how long it will last. undo() takes it back. Who holds
-- a node down says so in cluster.held; the nemesis starts what ends and is not
-- held.
local members = require "spec.nemesis.members"

local M = {}

local SLOW_MS_MIN <const>, SLOW_MS_MAX <const> = 20, 150    -- a chunk passing
local DISK_MS_MIN <const>, DISK_MS_MAX <const> = 5, 60      -- a write
local JUMP_MS_MAX <const> = 86400000                        -- a day

local kinds = {}

------------------------------------------------------------------- helpers --

local function nothing() end

local function any(cluster, dice)
  local list = cluster:running()
  return list[1] and dice:pick(list)
end

local function ids_of(processes)
  local ids = {}
  for i, process in ipairs(processes) do ids[i] = process.id end
  return ids
end

-- A majority of those that run, in random order.
local function majority(cluster, dice)
  local list = dice:shuffled(cluster:running())
  local size = #cluster.ids // 2 + 1
  return #list >= size and { table.unpack(list, 1, size) } or {}
end

local function hold(cluster, ids, by)
  for _, id in ipairs(ids) do
    cluster.held[id] = (cluster.held[id] or 0) + by
  end
end

----------------------------------------------------------------- processes --

local function kill(cluster, processes, how)
  if #processes == 0 then return nil end
  local ids = ids_of(processes)
  hold(cluster, ids, 1)
  for _, process in ipairs(processes) do process[how](process) end
  return function() hold(cluster, ids, -1) end
end

function kinds.kill_leader(cluster)
  return kill(cluster, { cluster:leader() }, "kill")
end

function kinds.kill_one(cluster, dice)
  return kill(cluster, { any(cluster, dice) }, "kill")
end

function kinds.kill_majority(cluster, dice)
  return kill(cluster, majority(cluster, dice), "kill")
end

function kinds.kill_all(cluster)
  return kill(cluster, cluster:running(), "kill")
end

function kinds.restart_one(cluster, dice)
  return kill(cluster, { any(cluster, dice) }, "ask_to_end")
end

local function pause(processes)
  local mine = {}
  for _, process in ipairs(processes) do
    if not process.is_stopped then
      process:pause()
      mine[#mine + 1] = process
    end
  end
  return #mine > 0 and function()
    for _, process in ipairs(mine) do process:go_on() end
  end or nil
end

function kinds.pause_leader(cluster) return pause { cluster:leader() } end

function kinds.pause_one(cluster, dice)
  return pause { any(cluster, dice) }
end

function kinds.pause_majority(cluster, dice)
  return pause(majority(cluster, dice))
end

------------------------------------------------------------------- network --

local function isolate(cluster, process)
  if not process then return nil end
  local id = process.id
  return cluster.network:cut(function(from, to)
    return from == id or to == id
  end)
end

function kinds.isolate_leader(cluster)
  return isolate(cluster, cluster:leader())
end

function kinds.isolate_one(cluster, dice)
  return isolate(cluster, any(cluster, dice))
end

-- id -> 1 or 2: two sides, the second one larger.
local function sides(cluster, dice)
  local side = {}
  for i, id in ipairs(dice:shuffled(cluster.ids)) do
    side[id] = i <= #cluster.ids // 2 and 1 or 2
  end
  return side
end

function kinds.split(cluster, dice)
  local side = sides(cluster, dice)
  return cluster.network:cut(function(from, to)
    return side[from] ~= side[to]
  end)
end

-- Two sides that only one node sees both of.
function kinds.bridge(cluster, dice)
  local side, middle = sides(cluster, dice), dice:pick(cluster.ids)
  return cluster.network:cut(function(from, to)
    return side[from] ~= side[to] and from ~= middle and to ~= middle
  end)
end

-- The leader hears, and is not heard.
function kinds.mute_leader(cluster)
  local leader = cluster:leader()
  return leader and cluster.network:cut(function(from)
    return from == leader.id
  end)
end

-- The leader is heard, and hears nobody.
function kinds.deafen_leader(cluster)
  local leader = cluster:leader()
  return leader and cluster.network:cut(function(_, to)
    return to == leader.id
  end)
end

-- Any direction of any link, each with one chance in two.
function kinds.cut_at_random(cluster, dice)
  local is_cut = {}
  for _, from in ipairs(cluster.ids) do
    for _, to in ipairs(cluster.ids) do
      is_cut[from .. to] = dice:once_in(2)
    end
  end
  return cluster.network:cut(function(from, to) return is_cut[from .. to] end)
end

function kinds.slow_links(cluster, dice)
  local process = any(cluster, dice)
  local ms = dice:integer(SLOW_MS_MIN, SLOW_MS_MAX)
  return process and cluster.network:slow(function(from, to)
    return (from == process.id or to == process.id) and ms or 0
  end)
end

local function with_proxies(name)
  return function(cluster, dice)
    local process = any(cluster, dice)
    if not process then return nil end
    cluster.network:each(process.id, function(proxy) proxy[name](proxy) end)
    return name == "reset" and nothing or function()
      cluster.network:each(process.id, function(proxy) proxy:reset() end)
    end
  end
end

kinds.reset_links = with_proxies("reset")
kinds.half_open = with_proxies("half_open")

--------------------------------------------------------------------- disks --

-- Bends the disk of one node until undo; a disk is bent in one way at a time.
local function bend(cluster, process, mode)
  if not process or cluster.bent[process.id] then return nil end
  local id = process.id
  cluster.bent[id] = mode
  cluster.controls[id]:mode(mode)
  return function()
    cluster.bent[id] = nil
    cluster.controls[id]:mode("pass")
  end
end

-- These strike once, and end the process: the nemesis sees to that.
local function failing(mode)
  return function(cluster, dice)
    return bend(cluster, any(cluster, dice), mode)
  end
end

-- The same on all nodes at once.
local function all_failing(mode)
  return function(cluster)
    local undos = {}
    for _, process in ipairs(cluster:running()) do
      undos[#undos + 1] = bend(cluster, process, mode)
    end
    return #undos > 0 and function()
      for _, undo in ipairs(undos) do undo() end
    end or nil
  end
end

kinds.failed_write = failing("refuse")
kinds.torn_write = failing("tear")
kinds.failed_sync = failing("late")

-- Killed, and the disk fails while it starts.
function kinds.broken_start(cluster, dice)
  local process = any(cluster, dice)
  local mode = dice:pick { "refuse", "tear", "late" }
  local undo = bend(cluster, process, mode)
  if undo then process:kill() end
  return undo
end

function kinds.full_disk(cluster, dice)
  return bend(cluster, any(cluster, dice), "full")
end

kinds.failed_writes = all_failing("refuse")
kinds.full_disks = all_failing("full")

function kinds.slow_disk(cluster, dice)
  local process = any(cluster, dice)
  if not process then return nil end
  cluster.controls[process.id]:set("delay_ms",
    dice:integer(DISK_MS_MIN, DISK_MS_MAX))
  return bend(cluster, process, "slow")
end

-- All disks are slow, and all nodes are killed with writes under way.
function kinds.blackout(cluster)
  for _, process in ipairs(cluster:running()) do
    cluster.controls[process.id]:set("delay_ms", DISK_MS_MAX)
  end
  local undo = all_failing("slow")(cluster)
  return undo and function()
    for _, process in ipairs(cluster:running()) do process:kill() end
    undo()
  end
end

--------------------------------------------------------------------- clock --

function kinds.clock_jump(cluster, dice)
  local process = any(cluster, dice)
  if not process then return nil end
  local control = cluster.controls[process.id]
  control:set("jump_ms", dice:integer(-JUMP_MS_MAX, JUMP_MS_MAX))
  return function() control:set("jump_ms", 0) end
end

---------------------------------------------------------------------- menu --

for name, kind in pairs(members.kinds(kill)) do kinds[name] = kind end
M.kinds = kinds

--- All names, in order.
M.names = {}
for name in pairs(kinds) do M.names[#M.names + 1] = name end
table.sort(M.names)

return M
