--- The nemesis' cluster: real processes, real files, a network of proxies.
local Network = require "spec.nemesis.network"
local Process = require "spec.nemesis.process"
local core = require "raft.core"
local raft = require "raft"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"
local wait = require "spec.support.wait"

local M = {}

local ELECTION <const> = "150,300"
local PORT_MIN <const>, PORT_MAX <const> = 10000, 30000
local PORT_TRIES <const> = 1000
local START_MS <const> = 15000  -- until a process takes orders, or has ended
local ASK_MS <const> = 5000

local Cluster = { __name = "nemesis.cluster" }
Cluster.__index = Cluster

-- Not from the kernel: the ports it hands out are those of outgoing
-- connections too, and one of these could sit on the port of a killed node.
local function free_address(dice)
  for _ = 1, PORT_TRIES do
    local port = dice:integer(PORT_MIN, PORT_MAX)
    local tcp = assert(uv.new_tcp())
    local is_free = tcp:bind("127.0.0.1", port)
      and tcp:listen(1, function() end)
    tcp:close()
    if is_free then return ("127.0.0.1:%d"):format(port) end
  end
  error("no port is free")
end

--- @param options nodes, dice (for ports), lua, shim, answered (process.lua),
--   fault(text): something happened that nobody ordered
function M.new(options)
  core.host.ignore_sigpipe()  -- we write to processes that were just killed
  local self = setmetatable({
    options = options,
    dir = tmpdir.new(),
    ids = {},
    members = {},    -- id -> address
    controls = {},   -- id -> page of its disk and clock
    processes = {},  -- id -> the newest process
    held = {},       -- id -> how many faults hold it down
    bent = {},       -- id -> in what way its disk is bent
    fault = options.fault,
    starts = 0,      -- of processes
    network = false,
    retired = {},    -- processes of nodes that are gone for good
    joined = {},     -- id -> true: was not there at the beginning
    last_id = options.nodes,  -- the number of the newest
    initial = {},    -- ids of the beginning
    changing = false,  -- the change under way: see change()
    changes = 0,     -- done
    asks = 0,        -- how often one was asked for
    snapshots = { made = 0, received = 0 },
  }, Cluster)
  for i = 1, options.nodes do
    local id = "n" .. i
    self.ids[i], self.initial[i] = id, id
    self:found(id)
  end
  self.network = Network.new(self.ids, self.members)
  return self
end

-- A place for a node, and a page to bend it.
function Cluster:found(id)
  self.members[id] = free_address(self.options.dice)
  self.controls[id] = Process.control(self.dir:join(id .. ".faults"))
end

function Cluster:arguments(id)
  local args = { "spec/nemesis/child.lua", id, self.dir:join(id), ELECTION }
  for _, name in ipairs(self.joined[id] and {} or self.initial) do
    args[#args + 1] = name .. "=" .. self.members[name]
  end
  if self.joined[id] then args[#args + 1] = "join=" .. self.members[id] end
  local detours = self.network:detours(id, self.members)
  return table.move(detours, 1, #detours, #args + 1, args)
end

-- Who ends, and was not made to, has a defect. A failed disk ends a node with
-- status 1, a SIGTERM in order.
function Cluster:ended(process)
  local status = process.signal == 0 and process.status
  if process.why == "killed" or process:may_end() and status == 1 then
    return
  end
  local is_in_order = process.why == "asked"
    and (status == 0 or not process.last.started)
  if is_in_order then return end
  self.fault(("%s ended by itself: status %d, signal %d"):format(process.id,
    process.status, process.signal), process)
end

--- Starts a process; it may still be on its way when this returns.
function Cluster:start(id)
  local old = self.processes[id]
  assert(not old or old.has_ended, id .. " runs already")
  local process = Process.start {
    id = id, args = self:arguments(id), control = self.controls[id],
    lua = self.options.lua, shim = self.options.shim,
    answered = self.options.answered,
    heard = function(_, words) self:heard(words) end,
    ended = function(process) self:ended(process) end,
  }
  self.starts = self.starts + 1
  self.processes[id] = process
  return process
end

--- Starts those that do not run, and waits until each takes orders.
function Cluster:start_all()
  for _, id in ipairs(self.ids) do
    local process = self.processes[id]
    if not process or process.has_ended then self:start(id) end
  end
  for _, id in ipairs(self.ids) do
    local process = self.processes[id]
    wait.must(function()
      return process.has_ended or process:has_started()
    end, START_MS, id .. " to start")
  end
end

function Cluster:process(id) return self.processes[id] end

--- Those that take orders, in order of id.
function Cluster:running()
  local list = {}
  for _, id in ipairs(self.ids) do
    local process = self.processes[id]
    if process:has_started() and not process.why then
      list[#list + 1] = process
    end
  end
  return list
end

--- The process that leads in the newest term anybody has heard of, or nil.
function Cluster:leader()
  local found, newest = nil, 0
  for _, process in ipairs(self:running()) do
    if process:leads_in() > newest then
      found, newest = process, process:leads_in()
    end
  end
  return found
end

------------------------------------------------------------------- changes --

-- What a node says that is no answer to a client.
function Cluster:heard(words)
  if words[1] == "snapshot" then
    self.snapshots[words[2]] = self.snapshots[words[2]] + 1
  elseif words[1] == "changed" then
    self:answered(tonumber(words[2]), words[3])
  end
end

-- Another node, that waits to be added.
function Cluster:join()
  self.last_id = self.last_id + 1
  local id = "n" .. self.last_id
  self:found(id)
  self.joined[id] = true
  self.network:join(id, self.ids, self.members)
  for _, process in ipairs(self:running()) do
    process:send("detour " .. table.concat(self.network:detours(process.id,
      self.members), " "))
  end
  self.ids[#self.ids + 1] = id
  self:start(id)
  return id
end

-- A node that is no member any more: it counts nowhere.
function Cluster:retire(id)
  for i, each in ipairs(self.ids) do
    if each == id then table.remove(self.ids, i) end
  end
  self.processes[id]:kill()
  self.network:leave(id)
  self.retired[#self.retired + 1] = self.processes[id]
end

--- Begins a change: one member leaves, or a new one comes, or both. It goes on
-- in tend().
-- @param leaving the id of a member, or nil
-- @return false while another one is under way
function Cluster:change(leaving, has_new)
  if self.changing then return false end
  local new = has_new and self:join()
  local words = {}
  if leaving then words[#words + 1] = leaving .. "=-" end
  if new then words[#words + 1] = new .. "=" .. self.members[new] end
  self.changing = { words = table.concat(words, " "), leaving = leaving,
    new = new, number = false, asked = false, first = self.asks + 1 }
  return true
end

function Cluster:answered(number, code)
  local change = self.changing
  if not change or number < change.first then return end
  if code ~= "ok" then
    if number == change.number then change.number = false end
    return
  end
  self.changing, self.changes = false, self.changes + 1
  if change.leaving then self:retire(change.leaving) end
end

--- Asks for the change under way, again when nobody does it any more. Any node
-- that is to stay may be asked.
function Cluster:tend(dice)
  local change = self.changing
  if not change then return end
  local asked = change.number and change.asked
  if asked and not asked.why and not asked.has_ended then return end
  local list = {}
  for _, process in ipairs(self:running()) do
    local stays = process.id ~= change.leaving and process.id ~= change.new
    if stays and not process.is_stopped then list[#list + 1] = process end
  end
  if #list == 0 then return end
  self.asks = self.asks + 1
  change.number, change.asked = self.asks, dice:pick(list)
  change.asked:send(("change %d %s"):format(self.asks, change.words))
end

--- Ends every fault and starts what does not run.
function Cluster:heal()
  for _, id in ipairs(self.ids) do
    self.controls[id]:calm()
    local process = self.processes[id]
    if process.is_stopped then process:go_on() end
    if process.why then process:kill() end
  end
  self.network:heal()
  for _, id in ipairs(self.ids) do
    local process = self.processes[id]
    wait.must(function() return not process.why or process:is_over() end,
      START_MS, id .. " to end")
  end
  self:start_all()
end

--- Sends an order and waits for the line that begins with the same word.
function Cluster:ask(id, order)
  local process = self.processes[id]
  process.last[order] = nil
  process:send(order)
  return wait.must(function() return process.last[order] end, ASK_MS,
    id .. " to answer " .. order)
end

-- How often it was counted, where that is no mode.
local COUNTED <const> = { lies = "lies", direct = "direct_hits" }

--- Sums over the nodes: how often a mode has struck, "lies": a wrong time,
-- "direct": of these, a write past the page cache.
function Cluster:struck(mode)
  local sum = 0
  for _, control in pairs(self.controls) do  -- of those that left, too
    local name = COUNTED[mode]
    sum = sum + (name and control[name](control) or control:hits(mode))
  end
  return sum
end

function Cluster:end_of(process)
  process:kill()
  wait.must(function() return process:is_over() end, START_MS,
    process.id .. " to end")
end

--- Ends all. What they wrote is removed, unless it is to be looked at.
function Cluster:close(is_kept)
  for _, process in ipairs(self.retired) do
    self:end_of(process)
    self.controls[process.id]:close()
  end
  for _, id in ipairs(self.ids) do
    if self.processes[id] then self:end_of(self.processes[id]) end
    self.controls[id]:close()
  end
  self.network:close()
  raft.sleep(0)  -- the handles are closed in the next turn
  if not is_kept then self.dir:remove() end
end

return M
