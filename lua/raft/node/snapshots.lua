--- When a snapshot is taken, how, and what may go then.
--
--   due or asked for -> written (here, or by a child) -> published (durable,
--   read back) -> SNAPSHOT_MADE -> its mark is durable: it counts, those before
--   it go -> COMPACT: old segments go, but for a tail
--
-- Promises. One at a time, of the state as applied. Whatever goes wrong, the
-- snapshot before and the log stay, it is told, and tried again after a pause
-- that grows. Each waiter is answered once.
local Growth = require "raft.node.growth"
local errors = require "raft.errors"
local view = require "raft.node.view"

local M = {}

local Snapshots = { __name = "raft.node.snapshots" }
Snapshots.__index = Snapshots

local BLOCKED_MS_MAX <const> = 50  -- inline; then a child does it, on "auto"
local PAUSE_MS_MIN <const> = 1000  -- after a failure; doubles
local PAUSE_MS_MAX <const> = 300000
local BUSY_MS <const> = 20       -- until the core is asked again
-- Of the log before it a part of snapshot_bytes stays, so that a follower that
-- was away for a moment needs no snapshot.
local TAIL_PART <const> = 4

--- @param driver gives core, storage, machine, options, logger, now(),
--   step(), warn(), emit(), wants_flush(), about_to_block(ms)
function M.new(driver)
  return setmetatable({
    driver = driver,
    waiters = {},        -- { answer=, deadline=, attempt= that serves it }
    asked = false,       -- is one wanted, whatever the log's size?
    attempt = false,     -- the one under way: { meta=, info=, mode=, ... }
    growth = Growth.new(driver),
    pause_ms = PAUSE_MS_MIN,
    not_before = 0,      -- now() before which nothing is tried
    blocked_ms = 0,      -- how long the last one inline took
    prefers_inline = false,  -- has a child just failed?
    mark = false,        -- { seq=, index=, term= }: the newest in a store
    soonest = false,     -- when to look again; false: no need to
  }, Snapshots)
end

------------------------------------------------------------------- when --

local function note_time(self, at)
  if at and (not self.soonest or at < self.soonest) then self.soonest = at end
end

-- A witness has no state, and needs nobody who says it. A state that is not
-- the others' shall not outlive this process.
local function can_take(driver)
  if driver.diverged then return false end
  return driver.machine:has_snapshots() or driver.lacks_commands
end

--- Once a turn, when nothing is half done: begins one that is due.
function Snapshots:look()
  local driver = self.driver
  local is_open = driver.state == "running" or driver.state == "stopping"
  if self.attempt or not is_open or not can_take(driver) then return end
  self.asked = self.asked or self.growth:is_enough()
  if not self.asked or driver:now() < self.not_before then return end
  self:begin()
end

--- When to look again; false: nothing waits.
function Snapshots:next_time()
  return self.soonest
end

--- It is later: answers those whose time is over.
function Snapshots:sweep(now)
  if not self.soonest or now < self.soonest then return end
  self.soonest = false
  local kept = {}
  for _, waiter in ipairs(self.waiters) do
    if waiter.deadline and waiter.deadline <= now then
      waiter.answer(errors.new("timeout", "the snapshot was not ready in time"))
    else
      kept[#kept + 1] = waiter
      note_time(self, waiter.deadline)
    end
  end
  self.waiters = kept
  if self.asked and not self.attempt and self.not_before > now then
    note_time(self, self.not_before)
  end
end

--- One now: { answer=, deadline= }.
function Snapshots:submit(waiter)
  if self.driver.diverged then
    return waiter.answer(view.diverged_error(self.driver, false))
  elseif not can_take(self.driver) then
    return waiter.answer(errors.new("unsupported", "this node has no snapshot "
      .. "function: give raft.node snapshot and restore, or save and load"))
  end
  waiter.attempt = false
  self.waiters[#self.waiters + 1] = waiter
  self.asked, self.not_before = true, 0  -- who asks does not wait for a pause
  note_time(self, waiter.deadline)
  self.driver:wants_flush()
end

--- Answers all. make_error() says what.
function Snapshots:finish(make_error)
  local all = self.waiters
  self.waiters, self.soonest = {}, false
  for _, waiter in ipairs(all) do waiter.answer(make_error()) end
end

----------------------------------------------------------------- taking --

-- The core cannot say now, or leadership is handed over first.
local function later(self)
  self.not_before = self.driver:now() + BUSY_MS
  note_time(self, self.not_before)
end

local function mode_of(self)
  local driver = self.driver
  local is_quick = driver.lacks_commands
  if is_quick or not driver.storage.snapshots:can_fork() then
    return "inline"
  end
  local mode = driver.options.snapshot_mode
  if mode ~= "auto" then return mode end
  local is_slow = self.blocked_ms > BLOCKED_MS_MAX
  return is_slow and not self.prefers_inline and "fork" or "inline"
end

function Snapshots:begin()
  local driver = self.driver
  local meta = driver.core:snapshot_meta()
  if not meta then return later(self) end
  local newest = driver.storage.snapshots.newest
  if newest and newest.index >= meta.index then
    self.asked = false
    return self:answer(false, nil, newest)  -- it is there already
  end
  local mode = mode_of(self)
  if mode == "inline" and not driver:about_to_block(self.blocked_ms) then
    return later(self)
  end
  self.asked = false
  self.growth:taken()
  self.attempt = { meta = meta, mode = mode, info = false, blocked_ms = 0 }
  for _, waiter in ipairs(self.waiters) do waiter.attempt = self.attempt end
  self[mode](self, self.attempt)
end

local function saver(driver)
  return function(add)
    driver.kept:save(add)
    local ok, err = driver.machine:save(add)
    if not ok then error(err, 0) end
  end
end

function Snapshots:inline(attempt)
  local driver = self.driver
  local from = driver:now()
  local ok, err = driver.storage.snapshots:write(attempt.meta, saver(driver))
  attempt.blocked_ms = driver:now() - from
  self.blocked_ms = attempt.blocked_ms
  driver:has_blocked()
  if not ok then return self:failed(attempt, err) end
  self.prefers_inline = false
  self:publish(attempt)
end

function Snapshots:fork(attempt)
  local driver = self.driver
  local from = driver:now()
  driver.storage.snapshots:fork(attempt.meta, saver(driver),
    driver:guard(function(err)
      if not err then return self:publish(attempt) end
      self.prefers_inline = true
      self:failed(attempt, err)
    end))
  attempt.blocked_ms = driver:now() - from
end

function Snapshots:publish(attempt)
  local driver = self.driver
  driver.storage.snapshots:publish(attempt.meta, driver:guard(
    function(err, info)
      if err then return self:failed(attempt, err) end
      self:published(attempt, info)
    end))
end

-- The core marks it in the log, unless a newer one came in meanwhile.
function Snapshots:published(attempt, info)
  local driver = self.driver
  attempt.info = info
  local ok, code = driver:step(driver.core:snapshot_made(driver:now(), info))
  if driver.is_closed then return end
  if not ok then
    return self:failed(attempt, errors.new("failed",
      "the core does not take the snapshot: " .. tostring(code)))
  end
  driver:wants_flush()
  if driver.core:status().snapshot > info.index then self:done(attempt) end
end

--- A store is on its way to the disk, perhaps with the mark of a snapshot.
function Snapshots:storing(seq, bytes, _, _, _, mark_index, mark_term)
  self.growth:stored(#bytes)
  if mark_index == 0 then return end
  self.mark = { seq = seq, index = mark_index, term = mark_term }
end

--- All batches up to `seq` are durable.
function Snapshots:stored(seq)
  local mark, attempt = self.mark, self.attempt
  if not mark or mark.seq > seq then return end
  self.mark = false
  local snapshots = self.driver.storage.snapshots
  local info = snapshots:find(mark.index, mark.term)
  if info then snapshots:settled(info) end
  local is_ours = attempt and attempt.info
    and attempt.info.index <= mark.index
  if is_ours then self:done(attempt) end
end

-- What users hear of it.
local function told(info, attempt)
  return { index = info.index, term = info.term, time = info.time,
    size = info.size, path = info.path, mode = attempt and attempt.mode or nil,
    blocked_ms = attempt and attempt.blocked_ms or nil }
end

-- Answers those whom this attempt serves.
function Snapshots:answer(attempt, err, info)
  local kept = {}
  for _, waiter in ipairs(self.waiters) do
    if waiter.attempt == attempt then
      waiter.answer(err, info and told(info, attempt))
    else
      kept[#kept + 1] = waiter
    end
  end
  self.waiters = kept
end

function Snapshots:done(attempt)
  local info = attempt.info
  self.attempt, self.pause_ms = false, PAUSE_MS_MIN
  self.growth:settled()
  self.driver.logger:info("took a snapshot", { index = info.index,
    bytes = info.size, mode = attempt.mode, ms = attempt.blocked_ms })
  self.driver:emit("snapshot", told(info, attempt))
  self:answer(attempt, nil, info)
end

-- What was before stays. It is tried again after a pause.
function Snapshots:failed(attempt, err)
  local driver = self.driver
  self.attempt = false
  self.not_before = driver:now() + self.pause_ms
  self.pause_ms = math.min(2 * self.pause_ms, PAUSE_MS_MAX)
  self.asked = true
  note_time(self, self.not_before)
  driver:warn(err)
  self:answer(attempt, err)
end

--- One that was received is the state now.
function Snapshots:installed(info)
  self.asked = #self.waiters > 0
  self.growth:taken()
  self.growth:settled()
  self.driver:emit("snapshot", told(info))
end

--------------------------------------------------------------- letting go --

--- Entries up to `index` are in a snapshot and nobody waits for them.
function Snapshots:compact(index)
  local driver = self.driver
  local tail = driver.options.snapshot_bytes // TAIL_PART
  local upto = math.min(index, driver.storage:index_before(tail))
  if upto < driver.core:status().first then return end
  if not driver:step(driver.core:compacted(driver:now(), upto)) then return end
  driver.storage:remove_before(upto, driver:guard(function(err)
    if err then driver:warn(err) end
  end))
end

return M
