--- Runs again what a node's core was told, as the option `record` wrote it
-- down: offline, event by event, to the same digest.
--
-- Promises. What the core answers, when it wants to be woken, and the digests
-- along the way are compared with what was recorded: the first difference ends
-- the replay and names the event. A recording that was cut off is run to its
-- last whole record, and the result says so.
local codec = require "raft.codec"
local errors = require "raft.errors"
local format = require "raft.replay.format"
local raft_core = require "raft.core"
local scheduler = require "raft.scheduler"
local schema = require "raft.schema"
local source = require "raft.replay.source"
local words = require "raft.replay.words"

local M = {}

local NEVER <const> = -1  -- a deadline

local Player = { __name = "raft.replay" }
Player.__index = Player

local function new_player(trace)
  return setmetatable({
    core = false,
    id = false,         -- of the node
    events = 0,         -- run so far
    readers = {},       -- in the order of their making
    words = trace and words.new(trace),
    has_ended = false,  -- did it end in order?
  }, Player)
end

-------------------------------------------------------------------- events --

local function decoded(bytes)
  local value, err = codec.decode(bytes)
  if err then error(errors.text(err), 0) end
  return value
end

-- Kind -> function(player, event) -> what the core answers.
local play = {}

function play.new(player, event)
  local options = decoded(event.options)
  player.id = options.id
  player.core = raft_core.new(options)
end

function play.start(player, event)
  local recovery
  if event.recovery ~= "" then
    recovery = raft_core.recovery(decoded(event.recovery))
  end
  local snapshot = event.snapshot ~= "" and decoded(event.snapshot) or nil
  return player.core:start(event.now, recovery, snapshot)
end

for _, kind in ipairs { "snapshot_made", "snapshot_received" } do
  play[kind] = function(player, event)
    return player.core[kind](player.core, event.now, decoded(event.snapshot))
  end
end

function play.shipped(player, event)
  return player.core:shipped(event.now, event.peer, event.index,
    event.is_done == 1)
end

function play.wall(player, event)
  player.core:wall(event.wall)
end

function play.reader(player, event)
  player.readers[#player.readers + 1] =
    player.core:reader(event.peer, event.incarnation)
end

function play.receive(player, event)
  return player.core:receive(event.now, player.readers[event.reader],
    event.bytes)
end

for _, kind in ipairs { "tick", "stored", "applied", "read", "read_lease",
  "unreachable", "compacted" } do
  play[kind] = function(player, event)
    return player.core[kind](player.core, table.unpack(event))
  end
end

function play.loaded(player, event)
  return player.core:loaded(event.now, event.peer ~= "" and event.peer,
    event.first, event.entries)
end

function play.propose(player, event)
  local commands = format.split(event.commands)
  return player.core:propose(event.now, commands, #commands)
end

function play.forward(player, event)
  local commands = format.split(event.commands)
  return player.core:forward(event.now, event.token, commands, #commands)
end

function play.propose_session(player, event)
  local commands = format.split(event.commands)
  return player.core:propose_session(event.now, commands, #commands)
end

function play.forward_session(player, event)
  local commands = format.split(event.commands)
  return player.core:forward_session(event.now, event.token, commands,
    #commands)
end

function play.form(player, event)
  return player.core:form(event.now,
    assert(raft_core.config_decode(event.config)))
end

function play.change(player, event)
  return player.core:change(event.now, event.token,
    assert(raft_core.config_decode(event.config)), event.based_on,
    event.is_forced == 1)
end

function play.space(player, event)
  return player.core:space(event.now, event.has_space == 1)
end

function play.results(player, event)
  return player.core:results(event.now, event.index, event.digest)
end

function play.avoid(player, event)
  return player.core:avoid(event.now, event.is_avoiding == 1)
end

function play.transfer(player, event)
  return player.core:transfer(event.now, event.to ~= "" and event.to,
    event.token)
end

--------------------------------------------------------------- differences --

local function differ(player, event, what, expected, got)
  error(errors.new("diverged", ("event %d (%s): %s was %s, and is %s now")
    :format(player.events, event.kind, what, expected, got),
    { event = player.events, kind = event.kind, expected = expected,
      got = got }), 0)
end

local function compare(player, event, what, expected, got)
  if expected ~= got then differ(player, event, what, expected, got) end
end

-- All effects are run through, or the core would hand them out again.
function play.take(player, event)
  local tell = player.words
  for kind, after, a, b, c, d, e, f, g, h in player.core:effects() do
    if tell then tell:effect(kind, after, a, b, c, d, e, f, g, h) end
  end
  compare(player, event, "the deadline", event.deadline,
    player.core:deadline() or NEVER)
end

function play.digest(player, event)
  compare(player, event, "the digest", event.digest, player.core:digest())
end

function play.finish(player, event)
  play.digest(player, event)
  player.has_ended = true
end

-- Runs one event. A record that is whole can still hold what no recorder
-- writes; what that raises says so.
function Player:run_event(event)
  if not self.core and event.kind ~= "new" then
    error("a recording begins with the making of a core", 0)
  end
  if self.words then self.words:event(self.events, event) end
  local answer = format.answer(play[event.kind](self, event))
  compare(self, event, "the answer", event.answer, answer)
end

function Player:run_record(body, path)
  local at = 1
  while at <= #body do
    self.events = self.events + 1
    local ok, what, next_at = pcall(function()
      local event, after = format.unpack(body, at)
      self:run_event(event)
      return true, after
    end)
    if not ok then
      if errors.is_error(what) then error(what, 0) end
      error(errors.new("corrupt", ("%s: event %d: %s"):format(path,
        self.events, errors.text(what)), { file = path,
        event = self.events }), 0)
    end
    at = next_at
  end
end

---------------------------------------------------------------------- face --

local function run(path, opts)
  local recording <close> = source.open(opts.uv or scheduler.uv(), path)
  local player = new_player(opts.trace)
  local body, cut_bytes = recording:next()
  while body do
    player:run_record(body, path)
    body, cut_bytes = recording:next()
  end
  if not player.core then
    error(errors.new("corrupt", path .. ": a recording without an event",
      { file = path }), 0)
  end
  local core <close> = player.core
  return {
    id = player.id, events = player.events, digest = core:digest(),
    status = core:status(), has_ended = player.has_ended,
    cut_bytes = cut_bytes, version = recording.library,
  }
end

local check_options = schema.fields {
  { "trace", schema.callable },
  { "uv", schema.any_table },
}

--- Replays a recording.
-- @param opts trace = function(line): told each event and effect in words;
--   uv = the luv to read the file with
-- @return { id=, events=, digest=, status=, has_ended=, cut_bytes=,
--   version= }; or nil and an error: corrupt, format_version, io_error, or
--   diverged with `event`, the number of the event that went otherwise
function M.run(path, opts)
  if type(path) ~= "string" then
    error("raft.replay: expected the path of a recording, got " .. type(path),
      2)
  end
  local checked = schema.check("raft.replay", 3, check_options, opts or {})
  local ok, result = pcall(run, path, checked)
  if ok then return result end
  if not errors.is_error(result) then error(result, 0) end
  return nil, result
end

return M
