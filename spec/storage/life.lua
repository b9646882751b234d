--- Lives of a storage on a virtual disk, and what must be true of them.
--
-- A life stores, votes, overwrites, marks snapshots, begins its log anew behind
-- one, lets old segments go, adopts an identity, closes, is killed, and loses
-- power, all from one seed. It knows what it has asked for and what was
-- reported, so it can say what a start must find: the state after the last
-- store that was reported, or after one of those under way; nothing else.
local Storage = require "raft.storage"
local core = require "raft.core"
local errors = require "raft.errors"
local made = require "spec.storage.entries"
local samples = require "spec.storage.snapshot_meta"
local virtual = require "spec.support.virtual"

local M = {}

local DIR <const> = "/data/n1"
local SEGMENT_BYTES <const> = 1 << 15  -- the smallest: life is full of changes

local Life = { __name = "spec.life" }
Life.__index = Life

local EMPTY <const> = { log = {}, term = 0, vote = 0, commit = 0,
  base = 0,     -- the log begins behind this entry, or later: see `compacted`
  last = 0,
  marked = 0 }  -- newest snapshot

--- @param bend function(uv) that changes what calls do, if wanted
function M.new(seed, bend)
  local computer = virtual.new(seed)
  computer.bend = bend or false
  return setmetatable({
    computer = computer,
    disk = computer.disk,
    random = computer.world:random("life"),
    storage = false,
    states = { [0] = EMPTY },  -- store -> what it leads to, as EMPTY is
    compacted = 0,       -- newest index up to which entries were to go
    asked = 0,           -- newest store
    reported = 0,        -- newest that was reported
    failure = false,     -- the error the storage failed with
    has_space = true,
    was_full = false,    -- was there ever no space?
    is_killed = false,   -- from outside
    refusals = {},       -- array of errors of opens, and of snapshots
    settling = {},       -- store -> the snapshot whose mark it holds
    starts = 0,          -- of the newest open that returned
    starts_asked = 0,    -- of the newest that was begun
    incarnation = false, -- as the first open told
    identity = false,    -- what was adopted
    adopting = nil,      -- and what is being adopted
  }, Life)
end

--- The directory.
M.DIR = DIR

----------------------------------------------------------------- the oracle --

--- What a start may find just now; a plain table, so that it can be kept.
function Life:expectation()
  return {
    states = self.states,
    from = self.reported,
    to = self.asked,
    compacted = self.compacted,
    starts = self.starts,
    starts_to = self.starts_asked,
    incarnation = self.incarnation,
    identity = self.identity,
    adopting = self.adopting,
  }
end

local function fits(state, found, bytes, compacted)
  return state.last == found.last and state.term == found.term
    and state.vote == found.vote and state.commit == found.commit
    and found.base_index >= state.base
    and found.base_index <= math.max(state.base, compacted)
    and table.concat(state.log, "", found.base_index + 1, found.last) == bytes
end

-- The same where damage has taken the end of the log: what is left is its
-- beginning, the rest is known to have been there, and the vote is as it was.
local function fits_short(state, found, bytes)
  return found.last < state.last and found.lost_last == state.last
    and state.term == found.term and state.vote == found.vote
    and found.commit == math.min(state.commit, found.last)
    and table.concat(state.log, "", found.base_index + 1, found.last) == bytes
end

local function check_identity(storage, expected)
  if expected.incarnation then
    assert(storage.incarnation == expected.incarnation,
      "the directory has another incarnation")
    assert(not storage.is_new, "the directory is new")
  end
  assert(storage.identity == expected.identity
    or expected.adopting and storage.identity == expected.adopting,
    "another identity of the cluster")
  assert(storage.starts > expected.starts, "starts went back")
  assert(storage.starts <= expected.starts_to + 1, "starts leapt")
end

-- All entries [first, last] of an open storage; raises.
local function read_all(storage, first, last)
  local pieces, next_index = {}, first
  while next_index <= last do
    local bytes, err = storage:read_now(next_index, last, 1 << 40)
    if not bytes then error(err, 0) end
    if bytes == "" then break end  -- what is missing, the caller sees
    pieces[#pieces + 1] = bytes
    next_index = select(2, core.wal_span(bytes)) + 1
  end
  return table.concat(pieces)
end

--- Which of the expected states an open storage has found; raises when it is
-- none of them.
function M.judge(storage, expected)
  check_identity(storage, expected)
  local found = storage.recovered:fields()
  local bytes = read_all(storage, found.base_index + 1, found.last)
  local is_so = found.lost_last and fits_short or fits
  for i = expected.to, expected.from, -1 do
    if is_so(expected.states[i], found, bytes, expected.compacted) then
      return i
    end
  end
  error(("found %d entries, term %d, vote %d, commit %d, which is none of "
    .. "the states %d to %d"):format(found.last, found.term, found.vote,
    found.commit, expected.from, expected.to), 0)
end

------------------------------------------------------------------ its course --

local function settings(computer)
  return { uv = computer.uv, host = computer.host, dir = DIR, id = "n1",
    cluster = "c", segment_bytes = SEGMENT_BYTES, mark_ms = 50 }
end

--- Opens the directory on a new process of this computer.
-- @return as Storage.open
function M.open(computer)
  computer:boot()
  return Storage.open(settings(computer))
end

function Life:listen()
  self.storage:handlers {
    stored = function(i)
      assert(i > self.reported, "reported twice, or out of order")
      assert(not self.failure, "reported after the failure")
      self.reported = i
      self:settle_snapshots()
    end,
    failed = function(err)
      assert(not self.failure, "failed twice")
      self.failure = err
    end,
    space = function(is_there)
      self.has_space = is_there
      self.was_full = self.was_full or not is_there
    end,
  }
end

-- The disk did not let it start, or read what it had found.
function Life:refused(err)
  self.refusals[#self.refusals + 1] = err
  self.computer:crash("process")
  return nil, err
end

--- Opens it, and holds what is found against what must be.
-- @return true, or nil and an error value
function Life:open()
  local expected = self:expectation()
  self.starts_asked = self.starts_asked + 1
  self.failure, self.has_space = false, true
  local storage, err = M.open(self.computer)
  if self.computer.loop.is_dead then return nil, "killed" end
  if not storage then return self:refused(err) end
  local ok, found = pcall(M.judge, storage, expected)
  if self.computer.loop.is_dead then return nil, "killed while it was read" end
  if not ok and errors.is_error(found) then return self:refused(found) end
  if not ok then error(found, 0) end
  self.storage, self.starts, self.settling = storage, storage.starts, {}
  self.starts_asked = storage.starts
  self.incarnation, self.identity = storage.incarnation, storage.identity
  self.adopting = nil
  self.asked, self.reported = found, found  -- what was found is durable
  self:listen()
  return true
end

-- Queues one store, and notes the state that it leads to.
-- @param mark { index=, term=, is_reset= }, if wanted
function Life:store(first, entries, term, vote, mark)
  local old = self.states[self.asked]
  local base = mark and mark.is_reset and mark.index or old.base
  local log = table.move(old.log, base + 1, first - 1, base + 1, {})
  table.move(entries, 1, #entries, first, log)
  local commit = math.max(old.commit, first - 1)
  self.asked = self.asked + 1
  self.states[self.asked] = { log = log, term = term, vote = vote,
    commit = commit, base = base, last = first - 1 + #entries,
    marked = mark and mark.index or old.marked }
  self.storage:store(self.asked, table.concat(entries), term, vote, commit,
    mark and mark.index or 0, mark and mark.term or 0,
    mark and mark.is_reset or false)
end

local does = {}  -- what it may do: name -> function(life)

function Life:draw_entries(first, term)
  local entries, random = {}, self.random
  for i = 1, random:between(1, 3) do
    local size = random:chance(0.2) and random:below(4000) or random:below(200)
    entries[i] = made.entries(first + i - 1, first + i - 1, term, size)
  end
  return entries
end

function does.append(self)
  local state = self.states[self.asked]
  local term = math.max(1, state.term)
  self:store(state.last + 1, self:draw_entries(state.last + 1, term), term,
    state.vote)
end

function does.overwrite(self)
  local state = self.states[self.asked]
  local first = math.max(1, state.last - self.random:below(3))
  local term = state.term + 1
  first = math.max(first, state.commit + 1)
  self:store(first, self:draw_entries(first, term), term, 0)
end

function does.vote(self)
  local state = self.states[self.asked]
  self:store(state.last + 1, {}, state.term + 1, self.random:between(1, 5))
end

local function term_of(entry)
  return (("<i8"):unpack(entry, 17))
end

-- Snapshots whose marks are durable: those before them may go.
function Life:settle_snapshots()
  for store, info in pairs(self.settling) do
    if store <= self.reported then
      self.settling[store] = nil
      self.storage.snapshots:settled(info)
    end
  end
end

-- Makes the file of a snapshot: its info, or nil when that did not work or the
-- process has died.
function Life:publish(index, term)
  local meta, snapshots = samples.meta(index), self.storage.snapshots
  meta.term = term
  local ok, err = snapshots:write(meta, function(add) add "state" end)
  if self.computer.loop.is_dead then return nil end
  local info, is_over = nil, not ok
  if ok then
    snapshots:publish(meta, function(...)
      err, info = ...
      is_over = true
    end)
  end
  self:wait(function() return is_over end, "a snapshot")
  if err then self.refusals[#self.refusals + 1] = err end
  return self:is_up() and info or nil
end

-- A snapshot of what is committed and in the log.
function does.snapshot(self)
  local state = self.states[self.asked]
  local index = state.commit - self.random:below(3)
  if index <= math.max(state.base, state.marked) then return end
  local entries, first = {}, state.last + 1
  if self.random:chance(0.3) then
    entries = self:draw_entries(first, state.term)
  end
  local term = term_of(state.log[index])
  local info = self:publish(index, term)
  if not info then return end
  self.settling[self.asked + 1] = info
  self:store(first, entries, state.term, state.vote, { index = index,
    term = term, is_reset = false })
end

-- A snapshot of another log, somewhere behind what is committed.
function does.reset(self)
  local state = self.states[self.asked]
  local index = state.commit + self.random:between(1, 8)
  local term = state.term + 1
  local entries = self.random:chance(0.5) and self:draw_entries(index + 1, term)
    or {}
  local info = self:publish(index, term)
  if not info then return end
  self.settling[self.asked + 1] = info
  self:store(index + 1, entries, term, 0, { index = index, term = term,
    is_reset = true })
end

-- Up to a snapshot whose mark is durable.
function does.compact(self)
  local index = self.states[self.reported].marked - self.random:below(4)
  if index <= 0 then return end
  self.compacted = math.max(self.compacted, index)
  self.storage:remove_before(index, function() end)
end

-- It blocks, so it is done when this returns, or the process is dead.
function does.adopt(self)
  self.adopting = self.random:bytes(16)
  if self.storage:adopt(self.adopting) and not self.computer.loop.is_dead then
    self.identity, self.adopting = self.adopting, nil
  end
end

function does.rest(self)
  self.computer:run_for(self.random:below(100))
end

function does.burst(self)
  for _ = 1, self.random:between(2, 6) do
    does[self.random:chance(0.8) and "append" or "overwrite"](self)
  end
end

-- Ends of the process: each is followed by another start.
function does.close(self)
  local is_closed = false
  self.storage:close(function() is_closed = true end)
  self:wait(function() return is_closed end, "closing")
  self.disk:detach(self.computer.loop)
  self.storage = false
end

function does.kill(self)
  self.computer:crash("process")
  self.storage = false
end

function does.power(self)
  self.computer:crash("power")
  self.storage = false
end

local OFTEN <const> = { "append", "append", "append", "append", "overwrite",
  "vote", "rest", "burst", "adopt", "snapshot", "compact" }
local ENDS <const> = { "close", "kill", "power" }

--- Waits, but not for what will never come.
function Life:wait(predicate, what)
  self.computer:run_until(predicate, what)
end

--- All that was stored is reported, or will never be.
function Life:settle()
  self:wait(function()
    return self.reported == self.asked or self.failure or not self.has_space
  end, "reports")
end

--- Is there a process that works?
function Life:is_up()
  return self.storage and not self.computer.loop.is_dead and not self.failure
end

--- Does one thing.
function Life:step()
  if not self.storage then return self:open() end
  local name = self.random:pick(self.random:chance(0.06) and ENDS or OFTEN)
  if self.random:chance(0.02) then name = "reset" end
  does[name](self)
  if self:is_up() and self.random:chance(0.5) then self:settle() end
end

--- Opens it, which must succeed.
function Life:must_open()
  local ok, err = self:open()
  if not ok then error(tostring(err), 0) end
end

--- Stores one entry and waits for its report.
function Life:append()
  does.append(self)
  self:settle()
end

--- Marks a snapshot and lets all go that it covers: the log begins later.
function Life:let_go()
  local marked = self.states[self.asked].marked
  repeat
    self:append()
    does.snapshot(self)
    self:settle()
  until self.states[self.asked].marked > marked
  self:settle_snapshots()
  self.compacted = self.states[self.asked].marked
  local is_gone = false
  self.storage:remove_before(self.compacted, function() is_gone = true end)
  self:wait(function() return is_gone end, "the removal")
end

--- Closes it in order.
function Life:close()
  self:settle()
  does.close(self)
end

--- Does `count` things, or fewer when its storage fails, or when somebody else
-- kills its process; true when it came to its end.
function Life:run(count)
  for _ = 1, count do
    self:step()
    if self.is_killed or self.failure then return false end
  end
  return true
end

--- The process dies at the n-th operation of the disk from now on.
-- @param how as of Disk:crash
function Life:kill_at(n, how)
  local left = n
  self.disk.on_operation = function()
    left = left - 1
    if left > 0 then return end
    self.disk.on_operation = false
    self.is_killed = true
    self.computer:crash(how)
  end
end

--- It was killed, or has failed: its process is gone, and the disk is well.
-- @param how as of Disk:crash
function Life:ended(how)
  self.disk.on_operation = false
  self.disk:mend()
  if not self.computer.loop.is_dead then self.computer:crash(how) end
  self.storage, self.is_killed, self.failure = false, false, false
end

--- A life that goes on from an image of the disk, with what must be found.
function M.from(seed, image, expected, bend)
  local life = M.new(seed, bend)
  life.disk:restore(image)
  for i = 0, expected.to do life.states[i] = expected.states[i] end
  life.asked, life.reported = expected.to, expected.from
  life.compacted = expected.compacted
  life.starts, life.starts_asked = expected.starts, expected.starts_to
  life.incarnation, life.identity = expected.incarnation, expected.identity
  life.adopting = expected.adopting
  return life
end

return M
