--- The sessions of clients: replicated state, so that a command that is sent
-- again is not applied again. [Thesis 6.3] See docs/CLIENTS.md.
--
-- Promises. What happens follows from the entries alone, so it is the same on
-- every node: no clock, no order of a table. A command is run once at most,
-- and those of one session in the order of their sequences.
local codec = require "raft.codec"
local core = require "raft.core"
local errors = require "raft.errors"

local M = {}

local SESSIONS_MAX <const> = 4096
local ANSWERS_MAX <const> = 1024    -- kept for one session
local BYTES_MAX <const> = 64 << 20  -- of answers, of all sessions
local RESULT_BYTES <const> = 1000   -- of most results; it may have two parts
local ANSWER_WEIGHT <const> = 4096  -- no answer to such a one weighs more
local TTL_MIN_MS <const> = 1000
local TTL_MAX_MS <const> = 7 * 24 * 3600 * 1000

M.ANSWERS_MAX = ANSWERS_MAX
M.RESULT_BYTES = RESULT_BYTES

local Sessions = { __name = "raft.sessions" }
Sessions.__index = Sessions

--- @param limits sessions_max, answers_max, bytes_max: smaller ones, for tests
function M.new(limits)
  limits = limits or {}
  local ends = {}  -- of the ring of all sessions, in order of use
  ends.before, ends.after = ends, ends
  return setmetatable({
    limits = {
      sessions = limits.sessions_max or SESSIONS_MAX,
      answers = limits.answers_max or ANSWERS_MAX,
      bytes = limits.bytes_max or BYTES_MAX,
    },
    by_id = {},
    ends = ends,  -- ends.after was used longest ago
    count = 0,    -- Invariant: 0 <= count <= limits.sessions
    bytes = 0,    -- weight of all answers. Invariant: that of session.bytes
  }, Sessions)
end

---------------------------------------------------------- the order of use --

local function unlink(session)
  session.before.after, session.after.before = session.after, session.before
end

local function link_newest(self, session)
  local ends = self.ends
  session.before, session.after = ends.before, ends
  ends.before.after, ends.before = session, session
end

local function add(self, session)
  self.by_id[session.id] = session
  self.count = self.count + 1
  self.bytes = self.bytes + session.bytes
  link_newest(self, session)
end

local function remove(self, session)
  self.by_id[session.id] = nil
  self.count = self.count - 1
  self.bytes = self.bytes - session.bytes
  unlink(session)
  session.answers:drop()
end

local function is_over(session, time)
  return time - session.used_time >= session.ttl
end

-- Those that were used longest ago and are over, up to the first that is not.
local function expire(self, time)
  while self.count > 0 and is_over(self.ends.after, time) do
    remove(self, self.ends.after)
  end
end

-- Makes room; `kept` stays.
local function evict(self, kept)
  local limits = self.limits
  while self.count > limits.sessions or self.bytes > limits.bytes do
    local oldest = self.ends.after
    if oldest == kept then return end  -- one large answer, of the only one
    remove(self, oldest)
  end
end

------------------------------------------------------------------- answers --

-- Nobody waits for what is below this.
local function raise_floor(self, session, floor)
  local count, weight = session.answers:trim(floor)
  session.floor = floor
  session.answer_count = session.answer_count - count
  session.bytes, self.bytes = session.bytes - weight, self.bytes - weight
end

-- So many answers more are kept, up to this sequence.
local function note_kept(self, session, sequence, count, weight)
  session.last = sequence
  session.answer_count = session.answer_count + count
  session.bytes, self.bytes = session.bytes + weight, self.bytes + weight
end

--- Keeps the answer to a command that was new, as bytes.
-- @param session as admit gave it
function Sessions:answered(session, sequence, bytes)
  local weight = session.answers:add(sequence, bytes)
  note_kept(self, session, sequence, 1, weight)
  if self.bytes > self.limits.bytes then evict(self, session) end
end

---------------------------------------------------------------- operations --

local operations = {}  -- op -> function(self, index, time, request, run)

-- A time to live outside of the bounds is moved into them.
local function ttl_of(request)
  return math.max(TTL_MIN_MS, math.min(request.sequence, TTL_MAX_MS))
end

function operations.open(self, index, time, request)
  local session = { id = index, ttl = ttl_of(request), used_index = index,
    used_time = time, last = 0, floor = 1, answers = core.answers_kept(),
    answer_count = 0, bytes = 0 }
  add(self, session)
  evict(self, session)
  return "opened", index
end

-- The session of this id, in use now; or nil: it is gone.
local function used(self, index, time, id)
  local session = self.by_id[id]
  if not session then return nil end
  if is_over(session, time) then
    remove(self, session)
    return nil
  end
  session.used_index, session.used_time = index, time
  if session.after ~= self.ends then  -- mostly it is the newest already
    unlink(session)
    link_newest(self, session)
  end
  return session
end

--- What is to become of a command, from the numbers of its entry.
-- @return "new" and its session: it is run now, and then answered is called
--   with what it came to; "again" and the bytes of the answer; or why not
function Sessions:admit(index, time, id, sequence, floor)
  local oldest, limits = self.ends.after, self.limits
  if self.count > 0 and is_over(oldest, time) then expire(self, time) end
  local session = used(self, index, time, id)
  if not session then return "expired" end
  if floor > session.floor then raise_floor(self, session, floor) end
  local last = session.last
  if sequence < session.floor then
    return "late"
  elseif sequence <= last then
    return "again", session.answers:get(sequence)
  elseif sequence > last + 1 and sequence > session.floor then
    return "gap"
  elseif session.answer_count >= limits.answers
    or session.bytes >= limits.bytes then  -- of the only one, these
    return "full"
  end
  return "new", session
end

--- May so many commands of one session be run one after the other, and answered
-- then? Where none of them is refused, whatever they come to, as long as only
-- the last one comes to more than RESULT_BYTES. It is in use then, as if the
-- last one had been admitted.
-- @param sequence of the first; the others follow
-- @param span the most answers kept before one of them, for their floors
-- @return the session for answered_many; or nil, and nothing was done
function Sessions:admit_many(index, time, id, sequence, count, span)
  local session, limits = self.by_id[id], self.limits
  local is_next = session and sequence == session.last + 1
    and sequence >= session.floor
  if not is_next or is_over(session, time) or span >= limits.answers
    or self.bytes + count * ANSWER_WEIGHT > limits.bytes then
    return nil
  end
  used(self, index + count - 1, time, id)
  expire(self, time)  -- as before the second: this one is not the oldest now
  return session
end

--- The first so many of them were run.
-- @param floor the highest of their floors
-- @param keep function(kept, sequence, ...), with what comes behind it: keeps
--   the answers from this sequence on, and returns what they weigh
function Sessions:answered_many(session, count, floor, keep, ...)
  local before = session.last
  local weight = keep(session.answers, before + 1, ...)
  note_kept(self, session, before + count, count, weight)
  if floor > session.floor then raise_floor(self, session, floor) end
  if self.bytes > self.limits.bytes then evict(self, session) end
end

function operations.command(self, index, time, request, run)
  local what, kept = self:admit(index, time, request.session, request.sequence,
    request.floor)
  if what ~= "new" then return what, kept end
  local bytes = run(request.command)
  self:answered(kept, request.sequence, bytes)
  return "new", bytes
end

function operations.keep(self, index, time, request)
  local session = used(self, index, time, request.session)
  if not session then return "expired" end
  if request.floor > session.floor then
    raise_floor(self, session, request.floor)
  end
  return "kept"
end

function operations.close(self, _, _, request)
  local session = self.by_id[request.session]
  if not session then return "expired" end
  remove(self, session)
  return "closed"
end

--- Applies a SESSION entry.
-- @param request @{raft.session_entry}
-- @param run(command) runs a command for the first time: its answer, as bytes
-- @return what came of it: "opened" and the id, "new" or "again" and the
--   answer's bytes; or "late" (below the floor: nobody waits), "gap" (one
--   before it is missing), "full", "expired", "kept", "closed"
function Sessions:apply(index, time, request, run)
  expire(self, time)
  return operations[request.op](self, index, time, request, run)
end

----------------------------------------------------------------- snapshots --

local FIELDS <const> = { "id", "ttl", "used_index", "used_time", "last",
  "floor" }

--- They are of no use any more.
function Sessions:drop()
  while self.count > 0 do remove(self, self.ends.after) end
end

--- All sessions as bytes, the same on every node.
function Sessions:encode()
  local list, session = {}, self.ends.after
  while session ~= self.ends do
    local item = { answers = session.answers:all() }
    for _, name in ipairs(FIELDS) do item[name] = session[name] end
    list[#list + 1] = item
    session = session.after
  end
  return codec.encode(list)
end

-- Takes the answers, a list by their sequences; false: one is missing there.
local function take_answers(session)
  local list, first, count = session.answers, session.last + 1, 0
  while list[first - 1] do first = first - 1 end
  local kept = core.answers_kept()
  for sequence = first, session.last do kept:add(sequence, list[sequence]) end
  for _ in pairs(list) do count = count + 1 end
  session.answers = kept
  session.answer_count, session.bytes = kept:size()
  return session.answer_count == count
end

--- Sessions from bytes of encode: them, or nil and an error value.
function M.decode(bytes, limits)
  local list, err = codec.decode(bytes)
  if err then return nil, err end
  local self = M.new(limits)
  for _, session in ipairs(list) do
    if not take_answers(session) then
      return nil, errors.new("corrupt", ("an answer of session %d is missing")
        :format(session.id))
    end
    add(self, session)
  end
  return self
end

return M
