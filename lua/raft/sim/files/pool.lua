--- The thread pool of a simulated process: see raft.sim.files.

local M = {}

local THREADS <const> = 4
local SOON <const> = 16    -- a sync begins in this part of its time

local Request = { __name = "uv_fs" }

function Request.__tostring() return "uv_fs_t" end

function M.new()
  return {
    busy = 0,       -- threads at work
    queue = {},     -- operations that wait, at [head, tail]
    head = 1,
    tail = 0,
    active = {},    -- array of operations that threads are at
  }
end

local start

local function start_next(self)
  local pool = self.pool
  if pool.head > pool.tail then return end
  local op = pool.queue[pool.head]
  pool.queue[pool.head] = nil
  pool.head = pool.head + 1
  start(self, op)
end

local function take_out(list, item)
  for i = 1, #list do
    if list[i] == item then return table.remove(list, i) end
  end
end

local function deliver(self, op)
  self.loop.requests = self.loop.requests - 1
  if op.errno then return op.callback(self:words(op)) end
  op.callback(nil, op.result)
end

local function finish(self, op)
  if self:is_gone() then return end
  local world, disk = self.loop.world, self.disk
  if world.now < disk.stalled_until then
    world:at(disk.stalled_until, finish, self, op)
    return
  end
  if not self:finish(op) then return end
  take_out(self.pool.active, op)
  self.pool.busy = self.pool.busy - 1
  self.loop:ready(deliver, self, op)
  start_next(self)
end

local function begin(self, op)
  if self:is_gone() then return end
  self.pool.active[#self.pool.active + 1] = op
  if not self:begin(op) then return end
  local disk = self.disk
  if op.ticket and op.call.kind ~= "sync" then
    op.ends = op.ends + disk:draw_time("sync")
  end
  disk:draw_stall()
  self.loop.world:at(op.ends, finish, self, op)
end

-- When it acts, in ns from when a thread takes it up: some time before its end,
-- and a sync soon, for what is written later need not come with it.
local function draw_moment(self, op, took)
  if op.call.kind == "sync" then took = took // SOON end
  return took > 0 and self.disk.time:below(took) or 0
end

-- A thread takes it up.
function start(self, op)
  self.pool.busy = self.pool.busy + 1
  local took, from = self.disk:draw_time(op.call.kind), self.loop:time()
  op.ends = from + took
  self.loop.world:at(from + draw_moment(self, op, took), begin, self, op)
end

--- Hands an operation to the pool.
-- @return a request, as luv does
function M.submit(self, op)
  local request = setmetatable({}, Request)
  if self:is_gone() then return request end
  self.loop.requests = self.loop.requests + 1
  local pool = self.pool
  if pool.busy < THREADS then
    start(self, op)
  else
    pool.tail = pool.tail + 1
    pool.queue[pool.tail] = op
  end
  return request
end

--- The process is gone. A write that was at work may have come only part of
-- the way; what the drive was doing is not undone.
function M.stop(self)
  local random = self.disk.fate
  for _, op in ipairs(self.pool.active) do
    if op.undo and random:chance(0.5) then op.undo(random) end
  end
  self.pool = M.new()
end

return M
