--- Records what goes into a core, so that raft.replay can run it again.
--
-- A stand-in has the methods of the core: what is asked goes through, what is
-- told is written down as well, with the answer. Once a turn the events are
-- written to the file, at once and not synced: so a process that is killed
-- leaves whole turns, and nothing of the recording outlives the node's stop.
-- From time to time a digest of the core goes along.
--
-- Promises. Recording changes nothing of what the node does. What goes wrong
-- with the file ends the recording, is told once, and that is all.
local Files = require "raft.storage.files"
local codec = require "raft.codec"
local errors = require "raft.errors"
local format = require "raft.replay.format"
local raft_core = require "raft.core"

local M = {}

-- A digest reads the log in memory, a gigabyte a second or more. So one follows
-- when this many bytes were recorded, and a share of those that lie there.
local DIGEST_BYTES <const> = 64 << 10
local DIGEST_SHARE <const> = 4

local Recorder = { __name = "raft.recorder" }
Recorder.__index = Recorder

------------------------------------------------------------------ the file --

-- The recording of the life before is kept: it may tell why that ended.
local function open_file(files, path, head)
  if files:size_of(path) then files:rename(path, path .. ".old") end
  local fd = files:open(path, "scratch")
  files:write(fd, head, 0)
  return fd
end

--- A recorder; after an error one that records nothing.
-- @param options uv, host, path, library (its version), complain(err): told
--   once when the recording ends early
function M.open(options)
  local self = setmetatable({
    files = Files.new(options.uv, options.host),
    path = options.path,
    complain = options.complain,
    fd = false,            -- of the file, while open
    core = false,
    events = {},           -- packed, of this turn
    count = 0,             -- of these
    bytes = 0,             -- of these
    offset = format.HEAD_BYTES,
    digest_bytes = 0,      -- recorded since the last digest
    readers = setmetatable({}, { __mode = "k" }),  -- reader -> its number
    reader_count = 0,
    wall = false,          -- as the core was told last
    status = {},           -- filled anew each time
  }, Recorder)
  local ok, result = pcall(open_file, self.files, self.path,
    format.head(options.library))
  if ok then
    self.fd = result
  else
    self:give_up(result)
  end
  return self
end

-- The recording ends here. A file that could not be written may not be closed
-- either, and that would be nothing new.
function Recorder:give_up(err)
  if not errors.is_error(err) then error(err, 0) end
  local fd = self.fd
  self.fd, self.events, self.count, self.bytes = false, {}, 0, 0
  if fd then pcall(self.files.close, self.files, fd) end
  self.complain(errors.new(err.code, "the recording ends here: "
    .. err.message, { file = self.path }))
end

-- Runs an operation on the file; what it raises ends the recording.
function Recorder:attempt(name, ...)
  local ok, err = pcall(self.files[name], self.files, self.fd, ...)
  if not ok then self:give_up(err) end
  return ok
end

--- Takes an event.
function Recorder:note(name, answer, ...)
  if not self.fd then return end
  local packed = format.pack(name, answer, ...)
  self.count, self.bytes = self.count + 1, self.bytes + #packed
  self.events[self.count] = packed
end

function Recorder:note_digest(name)
  self.digest_bytes = 0
  self:note(name, "", self.core:digest())
end

local function is_digest_due(self)
  if self.digest_bytes + self.bytes < DIGEST_BYTES then return false end
  local memory_bytes = self.core:status(self.status).memory_bytes
  return self.digest_bytes + self.bytes
    >= DIGEST_BYTES + memory_bytes // DIGEST_SHARE
end

--- Writes the events of this turn.
function Recorder:flush()
  if self.count == 0 then return end
  if is_digest_due(self) then self:note_digest("digest") end
  local body = table.concat(self.events, "", 1, self.count)
  local bytes = format.record_head(body) .. body
  self.events, self.count, self.bytes = {}, 0, 0
  self.digest_bytes = self.digest_bytes + #bytes
  if self:attempt("write", bytes, self.offset) then
    self.offset = self.offset + #bytes
  end
end

--- The last digest, and the end of the file. Again: nothing.
function Recorder:finish()
  if not self.fd then return end
  if self.core then self:note_digest("finish") end
  self:flush()
  if not self.fd then return end
  local fd = self.fd
  self.fd = false
  local ok, err = pcall(self.files.close, self.files, fd)
  if not ok then self:give_up(err) end
end

--------------------------------------------------------------- the stand-in --

local StandIn = { __name = "raft.core (recorded)" }
StandIn.__index = StandIn

for _, name in ipairs { "deadline", "entry", "run", "requests", "term_at",
  "config", "status", "digest", "check", "close", "snapshot_meta" } do
  StandIn[name] = function(self, ...) return self.core[name](self.core, ...) end
end

local function as_is(...) return ... end

-- A method that tells the core something.
-- @param fields function(...) -> the arguments as fields of the event
local function telling(name, fields)
  return function(self, ...)
    local result, code = self.core[name](self.core, ...)
    local recorder = self.recorder
    if code == "no_memory" then
      -- A replay has memory, so it cannot go on as this node does.
      if recorder.fd then
        recorder:give_up(errors.new("failed", "out of memory in the core"))
      end
    else
      recorder:note(name, format.answer(result, code), fields(...))
    end
    return result, code
  end
end

for _, name in ipairs { "tick", "stored", "applied", "read", "read_lease",
  "unreachable", "compacted" } do
  StandIn[name] = telling(name, as_is)
end

StandIn.start = telling("start", function(now, recovery, snapshot)
  return now, recovery and codec.encode(recovery:fields()) or "",
    format.snapshot(snapshot)
end)

for _, name in ipairs { "snapshot_made", "snapshot_received" } do
  StandIn[name] = telling(name, function(now, snapshot)
    return now, format.snapshot(snapshot)
  end)
end

StandIn.shipped = telling("shipped", function(now, peer, index, is_done)
  return now, peer, index, is_done and 1 or 0
end)

StandIn.loaded = telling("loaded", function(now, peer, first, entries)
  return now, peer or "", first, entries
end)

StandIn.propose = telling("propose", function(now, ...)
  return now, format.join(...)
end)

StandIn.forward = telling("forward", function(now, token, ...)
  return now, token, format.join(...)
end)

StandIn.propose_session = telling("propose_session", function(now, ...)
  return now, format.join(...)
end)

StandIn.forward_session = telling("forward_session", function(now, token, ...)
  return now, token, format.join(...)
end)

StandIn.form = telling("form", function(now, config)
  return now, raft_core.config_encode(config)
end)

-- What breaks a rule has no bytes, and changes nothing.
function StandIn:change(now, token, config, based_on, is_forced)
  local index, code, missing =
    self.core:change(now, token, config, based_on, is_forced)
  if code == "no_memory" and self.recorder.fd then
    self.recorder:give_up(errors.new("failed", "out of memory in the core"))
  elseif code ~= "no_memory" and code ~= "bad_config" then
    self.recorder:note("change", format.answer(index, code), now, token,
      raft_core.config_encode(config), based_on, is_forced and 1 or 0)
  end
  return index, code, missing
end

StandIn.space = telling("space", function(now, has_space)
  return now, has_space and 1 or 0
end)

StandIn.avoid = telling("avoid", function(now, is_avoiding)
  return now, is_avoiding and 1 or 0
end)

StandIn.results = telling("results", as_is)

StandIn.transfer = telling("transfer", function(now, to, token)
  return now, to or "", token or 0
end)

function StandIn:wall(ms)
  self.core:wall(ms)
  if ms == self.recorder.wall then return end
  self.recorder.wall = ms
  self.recorder:note("wall", "", ms)
end

function StandIn:reader(peer, incarnation)
  local recorder, reader = self.recorder, self.core:reader(peer, incarnation)
  recorder.reader_count = recorder.reader_count + 1
  recorder.readers[reader] = recorder.reader_count
  recorder:note("reader", "", peer, incarnation)
  return reader
end

function StandIn:receive(now, reader, bytes)
  local result, code = self.core:receive(now, reader, bytes)
  self.recorder:note("receive", format.answer(result, code), now,
    self.recorder.readers[reader], bytes)
  return result, code
end

function StandIn:effects()
  local next_effect, core = self.core:effects()
  self.recorder:note("take", "", core:deadline() or -1)
  return next_effect, core
end

--- What is to be used in place of this new core.
-- @param options what it was made of
function Recorder:stand_before(core, options)
  self.core = core
  self:note("new", "", codec.encode(options))
  return setmetatable({ core = core, recorder = self }, StandIn)
end

return M
