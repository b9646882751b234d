--- The storage of a volatile node: the same methods, and nothing survives.
-- Everything is kept in memory, as a log on disk would keep it.
local core = require "raft.core"
local identity = require "raft.storage.identity"
local memory_snapshots = require "raft.storage.memory_snapshots"

local M = {}

local Memory = { __name = "raft.storage.memory" }
Memory.__index = Memory

--- @param options uv, and guard(fn) -> fn that never raises, if wanted
function M.open(options)
  local wal = core.wal_new(1, 0, 0)
  local recovered = wal:recovery()
  local uv = options.uv
  local self = setmetatable({
    uv = uv,
    guard = options.guard or function(fn) return fn end,
    recovered = recovered,                -- nothing, in the core's shape
    incarnation = identity.random(uv),
    nonce = identity.random(uv),
    seed = identity.random(uv),
    starts = 1,
    identity = false,                     -- of the cluster
    is_new = true,
    report = { truncated_bytes = 0, file = false, offset = 0, damaged = false,
      repairing = false },
    on = { stored = false, failed = false, space = false },
    runs = {},           -- { first=, last=, bytes= }, ascending, no overlap
    timers = {},         -- callbacks under way
    newest = false,      -- the newest seq that was stored and not reported
    snapshots = false,
    is_closed = false,
  }, Memory)
  self.snapshots = memory_snapshots.new(function(fn)
    if not self.is_closed then self:soon(fn) end
  end)
  return self
end

-- From the loop, soon; never after close.
function Memory:soon(fn)
  local timer = assert(self.uv.new_timer())
  self.timers[timer] = true
  assert(timer:start(0, 0, self.guard(function()
    self.timers[timer] = nil
    timer:close()
    fn()
  end)))
end

function Memory:handlers(handlers)
  for name, fn in pairs(handlers) do
    assert(self.on[name] ~= nil, "no such handler")
    self.on[name] = fn
  end
end

function Memory:keep(bytes)
  local first, last = core.wal_span(bytes)
  if not first then return end
  local runs = self.runs
  while runs[1] and runs[#runs].first >= first do runs[#runs] = nil end
  local before = runs[#runs]
  if before then before.last = math.min(before.last, first - 1) end
  runs[#runs + 1] = { first = first, last = last, bytes = bytes }
end

function Memory:store(seq, bytes, _, _, _, _, _, is_reset)
  if self.is_closed then return end
  if is_reset then self.runs = {} end
  self:keep(bytes)
  local is_under_way = self.newest ~= false
  self.newest = seq
  if is_under_way then return end
  self:soon(function()
    local newest = self.newest
    self.newest = false
    if self.on.stored then self.on.stored(newest) end
  end)
end

--- See Storage.
function Memory:remove_before(index, done)
  if self.is_closed then return end
  local kept = {}
  for _, run in ipairs(self.runs) do
    if run.last > index then kept[#kept + 1] = run end
  end
  self.runs = kept
  if done then self:soon(done) end
end

--- See Storage.
function Memory:index_before(bytes)
  local behind = 0
  for i = #self.runs, 1, -1 do
    behind = behind + #self.runs[i].bytes
    if behind >= bytes then return self.runs[i].first - 1 end
  end
  return 0
end

-- The run that holds entry `index`.
function Memory:find(index)
  local low, high = 1, #self.runs
  while low <= high do
    local middle = (low + high) // 2
    local run = self.runs[middle]
    if index < run.first then
      high = middle - 1
    elseif index > run.last then
      low = middle + 1
    else
      return run
    end
  end
end

function Memory:collect(first, last, bytes_max)
  local pieces, room = {}, bytes_max
  local run = self:find(first)
  while run and first <= last do
    local entries, cut_last = core.wal_cut(run.bytes, run.first, 0, #run.bytes,
      first, math.min(last, run.last), room)
    assert(entries, "what is kept in memory is damaged")
    if #entries > room and pieces[1] then break end
    pieces[#pieces + 1] = entries
    first, room = cut_last + 1, room - #entries
    if room <= 0 then break end
    run = self:find(first)
  end
  return table.concat(pieces)
end

function Memory:read(first, last, bytes_max, done)
  self:soon(function() done(nil, self:collect(first, last, bytes_max)) end)
end

function Memory:adopt(bytes)
  assert(#bytes == 16, "an identity has 16 bytes")
  self.identity = bytes
  return true
end

--- No write of it hangs.
function Memory:write_age() return 0 end

function Memory:status()
  return { disk_ms = 0, segment = 0, waiting_bytes = 0, truncated_bytes = 0,
    has_space = true }
end

--- The same as Storage:close; callbacks under way are dropped.
function Memory:close(done)
  local was_closed = self.is_closed
  self.is_closed = true
  for timer in pairs(self.timers) do
    if not timer:is_closing() then timer:close() end
  end
  self.timers = {}
  self.runs = was_closed and self.runs or {}
  if done then self:soon(done) end
end

Memory.abort = Memory.close

return M
