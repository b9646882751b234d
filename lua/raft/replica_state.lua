--- What every node keeps beside the user's state: what applying has come to,
-- and the sessions of clients. It follows from the log as the user's state
-- does, and stands in front of that in every snapshot.
--
--   digests of results, 24 bytes | size u32 | bytes of the sessions
--   | the user's state
local answers = require "raft.answers"
local errors = require "raft.errors"
local results = require "raft.results"
local session_entry = require "raft.session_entry"
local sessions = require "raft.sessions"

local M = {}

local SIZE_FORMAT <const> = "<I4"
local SIZE_BYTES <const> = string.packsize(SIZE_FORMAT)

local State = { __name = "raft.replica_state" }
State.__index = State

--- @param limits of @{raft.sessions}: for tests
function M.new(limits)
  return setmetatable({
    limits = limits or false,
    results = results.new(),
    sessions = sessions.new(limits),
  }, State)
end

------------------------------------------------------------------ applying --

-- What a session says, that is no result of a command: an error value.
local WORDS <const> = {
  expired = { "session_expired", "the session of this request is gone" },
  late = { "session_expired", "a request that its client had given up" },
  full = { "busy", "the session has too many requests without an answer" },
  gap = { "busy", "a request before this one has not arrived" },
}

local function refusal(what, index)
  local code, text = table.unpack(WORDS[what])
  return errors.new(code, text, { index = index, reason = what,
    outcome = what == "gap" and "none" or nil })
end

-- What most of them are: a command.
local function apply_command(self, index, time, run, id, sequence, floor,
    command)
  local all = self.sessions
  local what, kept = all:admit(index, time, id, sequence, floor)
  if what == "new" then
    local ok, value, why = run(command)
    all:answered(kept, sequence, answers.encode(ok, value, why))
    return ok, value, why
  elseif what == "again" then
    return answers.decode(kept)
  end
  return false, refusal(what, index)
end

--- Applies a SESSION entry.
-- @param run(command) applies a command of the user, for the first time:
--   ok, value, why, as @{raft.machine} has it
-- @return ok, value, why in the same way. An error that only this node had, of
--   which the node ends, is handed on and kept nowhere.
function State:apply(index, time, bytes, run)
  local id, sequence, floor, command = session_entry.read_command(bytes)
  if id then
    return apply_command(self, index, time, run, id, sequence, floor, command)
  end
  local request, broken = session_entry.decode(bytes)
  if not request then
    return false, errors.new("bad_value", "a session entry: " .. broken,
      { index = index, outcome = "none" })
  end
  local what, result = self.sessions:apply(index, time, request)
  if WORDS[what] then return false, refusal(what, index) end
  return true, result
end

--- May so many commands of one session be applied in a row, and their answers
-- be kept then? See @{raft.sessions}.
function State:admit_many(...)
  return self.sessions:admit_many(...)
end

-- Keeps the answers to the commands of a slice, from this sequence on: what
-- they weigh.
local function keep_slice(kept, sequence, slice)
  local weight, before = 0, sequence - 1
  answers.each_of(slice, 1, slice.count, function(i, last)
    local added, more = kept:add_many(before + i, slice.values, slice.whys, i,
      last)
    weight = weight + more
    return added
  end, function(i, bytes)
    weight = weight + kept:add(before + i, bytes)
  end)
  return weight
end

--- The first of them were applied, as @{raft.machine} says of a slice.
-- @param session as admit_many gave it
-- @param floor the highest of their floors
function State:applied_many(session, slice, floor)
  self.sessions:answered_many(session, slice.count, floor, keep_slice, slice)
  self.results:add_many(slice)
end

----------------------------------------------------------------- snapshots --

--- Says what is kept: add(piece).
function State:save(add)
  add(self.results:encode())
  local bytes = self.sessions:encode()
  add(SIZE_FORMAT:pack(#bytes))
  add(bytes)
end

-- The first `count` bytes of what read() gives, and what came behind them.
local function take(read, held, count)
  local pieces, size = { held }, #held
  while size < count do
    local piece = read()
    if not piece then
      error(errors.new("corrupt", "a snapshot ends before the state"), 0)
    end
    pieces[#pieces + 1], size = piece, size + #piece
  end
  local all = table.concat(pieces)
  return all:sub(1, count), all:sub(count + 1)
end

--- Takes over what read() -> piece begins with. Raises error values.
-- @return a function like read, of the user's state
function State:load(read)
  local digests, head, rest, bytes
  digests, rest = take(read, "", results.BYTES)
  head, rest = take(read, rest, SIZE_BYTES)
  bytes, rest = take(read, rest, (SIZE_FORMAT:unpack(head)))
  local kept, err = sessions.decode(bytes, self.limits or nil)
  if not kept then error(err, 0) end
  self.sessions:drop()
  self.sessions, self.results = kept, results.decode(digests)
  return function()
    if rest == "" then return read() end
    local piece = rest
    rest = ""
    return piece
  end
end

return M
