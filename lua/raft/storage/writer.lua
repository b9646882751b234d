--- The end of the log that grows: joins what waits, one write in flight.
--
-- While a write is on its way, stores queue up; the next write takes them all,
-- up to a bound, as one batch. A full segment is left for the spare. A write
-- that fails is the last: nothing is ever written to that file again, for
-- nobody can say what of it is on the disk.
local Spare = require "raft.storage.spare"
local core = require "raft.core"
local identity = require "raft.storage.identity"
local segments = require "raft.storage.segments"

local M = {}

local Writer = { __name = "raft.storage.writer" }
Writer.__index = Writer

local JOIN_MAX <const> = 64           -- stores in one batch
local JOIN_BYTES_MAX <const> = 1 << 20  -- of entries in one batch
local SMOOTHING <const> = 8           -- disk_ms follows one in 8
local MARK <const> = 2                -- kind of a batch that is a mark
local MARK_BYTES <const> = core.WAL_MARK_BYTES  -- of a snapshot, in a batch

--- @param state what segments.recover returned
-- @param events stored(seq), failed(err), space(is_there, err)
function M.new(files, dir, state, owner, options, events)
  local self = setmetatable({
    files = files,
    dir = dir,
    wal = state.wal,
    fd = state.fd,         -- of the current segment
    identity = owner,
    segment_bytes = options.segment_bytes,
    mark_ms = options.mark_ms,
    events = events,
    term = state.term,     -- hard state of the newest batch
    vote = state.vote,
    commit = state.commit,
    queue = {},            -- stores that wait, at [head, tail]
    head = 1,
    tail = 0,
    waiting_bytes = 0,     -- of entries in the queue
    is_busy = false,       -- is a write or a change of segment under way?
    is_stopped = false,    -- failed or closed: nothing is written any more
    when_quiet = false,    -- called once nothing can be written any more
    disk_ms = 0,           -- smoothed time of one durable write
    write_from = false,    -- hrtime() at which the one under way began
    mark_timer = assert(files.uv.new_timer()),
    spare = false,
  }, Writer)
  self.spare = Spare.new(files, dir, {
    ready = function() self:pump() end,
    space = events.space,
    failed = function(err) self:fail(err) end,
  })
  return self
end

-- Bytes of the segment after this one.
local function next_size(self)
  local _, _, size = self.wal:position()
  return segments.next_size(size, self.segment_bytes, 0)
end

--- Looks whether an earlier start left a spare. Raises error values.
function Writer:find_spare()
  self.spare:find(next_size(self))
end

--- Begins: makes the spare, and marks the end of what was found.
function Writer:start()
  self.files:take_direct(self.fd)
  self.spare:make(next_size(self))
  self:rest()
end

--- Queues one store. Its answer is events.stored, from the loop.
function Writer:store(seq, entries, term, vote, commit, mark_index, mark_term,
    is_reset)
  self.tail = self.tail + 1
  self.queue[self.tail] = { seq = seq, entries = entries, term = term,
    vote = vote, commit = commit, mark_index = mark_index or 0,
    mark_term = mark_term or 0, is_reset = is_reset or false }
  self.waiting_bytes = self.waiting_bytes + #entries
  self:pump()
end

--------------------------------------------------------------------- joining --

-- How many of the waiting stores one batch takes, and their bytes. Where
-- there is no room for entries, votes at the front go alone. The mark of a
-- snapshot comes before the entries of its batch, so its store begins one.
function Writer:gather(is_votes_only)
  local count, bytes = 0, 0
  for i = self.head, math.min(self.tail, self.head + JOIN_MAX - 1) do
    local store = self.queue[i]
    local size = #store.entries
    if is_votes_only and size > 0 then break end
    if store.mark_index > 0 and count > 0 then break end
    if store.mark_index > 0 then size = size + MARK_BYTES end
    if count > 0 and bytes + size > JOIN_BYTES_MAX then break end
    count, bytes = count + 1, bytes + size
  end
  return count, bytes
end

-- Is there room in the segment? Entries leave the reserve alone.
function Writer:has_room(bytes)
  local _, _, size = self.wal:position()
  local reserve = bytes > 0 and segments.reserve(size) or 0
  return self.wal:fits(bytes, reserve)
end

--- Goes on with whatever can be done.
function Writer:pump()
  if self.is_busy or self.is_stopped then return end
  local count, bytes = self:gather(false)
  if count == 0 then return self:rest() end
  if self:has_room(bytes) then return self:write(count) end
  if self:change_segment(bytes) then return end
  count = self:gather(true)
  if count > 0 and self:has_room(0) then return self:write(count) end
  self:quiet()  -- it waits for space
end

-- Takes `count` stores off the queue: their entries, the last of them, and the
-- first.
function Writer:take(count)
  local list, last = {}, nil
  local first = self.queue[self.head]
  for i = self.head, self.head + count - 1 do
    last = self.queue[i]
    self.queue[i] = nil
    list[#list + 1] = last.entries
    self.waiting_bytes = self.waiting_bytes - #last.entries
  end
  self.head = self.head + count
  return list, last, first
end

--------------------------------------------------------------------- writing --

function Writer:write(count)
  local list, last, first = self:take(count)
  self.term, self.vote, self.commit = last.term, last.vote, last.commit
  self:put("data", list, function() self.events.stored(last.seq) end,
    first.mark_index, first.mark_term, first.is_reset)
end

-- One batch: done() once it is durable. What waits is written first, so that
-- the disk works while the core does.
function Writer:put(kind, list, done, mark_index, mark_term, is_reset)
  self.is_busy = true
  local bytes, offset = self.wal:batch(kind, self.term, self.vote, self.commit,
    list, mark_index or 0, mark_term or 0, is_reset or false)
  local from = self.files.uv.hrtime()
  self.write_from = from
  self.files:write_later(self.fd, bytes, offset, function(err)
    self.write_from = false
    if self.is_stopped then return end
    if err then return self:fail(err) end
    self:measure((self.files.uv.hrtime() - from) / 1e6)
    assert(self.wal:stored(bytes))
    self.is_busy = false
    self:pump()
    done()
  end)
end

--- For how many ms the write under way has lasted; 0: there is none.
function Writer:write_age()
  if not self.write_from then return 0 end
  return (self.files.uv.hrtime() - self.write_from) // 1e6 | 0
end

function Writer:measure(ms)
  if self.disk_ms == 0 then self.disk_ms = ms end
  self.disk_ms = self.disk_ms + (ms - self.disk_ms) / SMOOTHING
end

-- Nothing waits: a mark follows in a while, if there is none yet.
function Writer:rest()
  if self.when_quiet then return self:quiet() end
  if self:is_marked() then return end
  assert(self.mark_timer:start(self.mark_ms, 0, self.files.guard(function()
    self:mark()
  end)))
end

function Writer:is_marked()
  local _, _, _, _, kind = self.wal:position()
  return kind == MARK or kind == 0
end

-- Says that the batch before was durable. Not worth a segment of its own.
function Writer:mark()
  if self.is_busy or self.is_stopped or self:is_marked() then return false end
  if not self.wal:fits(0, 0) then return false end
  self:put("mark", {}, function() end)
  return true
end

------------------------------------------------------------ the next segment --

-- Runs steps one after the other: step(next), next(err); done(err).
local function in_turn(steps, done)
  local function run(i, err)
    if err or i > #steps then return done(err) end
    steps[i](function(step_err) run(i + 1, step_err) end)
  end
  run(1)
end

--- Leaves the segment for the spare, one with room for `bytes` of entries.
-- False when there is none yet: then it is made. The segment counts, and takes
-- batches, once its head, its name and the identity file are durable.
function Writer:change_segment(bytes)
  local _, _, size = self.wal:position()
  local need = segments.next_size(size, self.segment_bytes, bytes)
  if not self.spare:is_ready(need) then
    self.spare:make(need)
    return false
  end
  self.is_busy = true
  self.write_from = self.files.uv.hrtime()
  local from, spare_size = self.spare:take()
  local head = self.wal:segment(identity.random(self.files.uv), spare_size)
  local number = self.wal:position()
  in_turn(self:steps_to(number, from, head), function(err)
    self.write_from = false
    if self.is_stopped then return end
    if err then return self:fail(err) end
    self.is_busy = false
    self.spare:make(segments.next_size(spare_size, self.segment_bytes, 0))
    self:pump()
  end)
  return true
end

function Writer:steps_to(number, from, head)
  local files, old = self.files, self.fd
  return {
    function(next) files:close_later(old, next) end,
    function(next)
      files:open_later(from, "durable", function(err, fd)
        self.fd = fd or false
        if fd then files:take_direct(fd) end
        next(err)
      end)
    end,
    function(next) files:write_later(self.fd, head, 0, next) end,
    function(next)
      local path = segments.path(self.dir, number)
      files.open_fds[self.fd] = path
      files:rename_later(from, path, next)
    end,
    function(next) files:sync_dir_later(self.dir, next) end,
    function(next)
      self.identity.fields.last_segment = number
      self.identity:save_later(next)
    end,
  }
end

------------------------------------------------------------------------- end --

--- A failed write: the end, told once.
function Writer:fail(err)
  if self.is_stopped then return end
  self:stop()
  self.events.failed(err)
end

function Writer:quiet()
  local fn = self.when_quiet
  self.when_quiet = false
  if fn then fn() end
end

--- Calls fn once all that can be written is, and the end is marked.
function Writer:finish(fn)
  self.when_quiet = function()
    self.when_quiet = fn
    if self.is_stopped or not self:mark() then self:quiet() end
  end
  if self.is_stopped then return self:quiet() end
  if not self.is_busy then self:pump() end
end

--- Writes no more.
function Writer:stop()
  self.is_stopped = true
  if not self.mark_timer:is_closing() then self.mark_timer:close() end
  self.spare:stop()
  self:quiet()
end

return M
