--- A recording in words: a line for each event and each effect that a person
-- wants to know of. What recurs without a meaning of its own (ticks, the wall
-- clock, the taking of effects) has none.
--
--   #12 t=1270 n1 <- n2: grants the vote in term 2 (own term 1)
--
-- #12 is the number of the event; t are ms since the start.
local codec = require "raft.codec"
local core = require "raft.core"
local format = require "raft.replay.format"
local frames = require "raft.replay.frames"

local M = {}

local Words = { __name = "raft.replay.words" }
Words.__index = Words

--- @param write takes a line
function M.new(write)
  return setmetatable({
    write = write,
    id = "?",         -- of the node
    started = false,  -- now at the start, ms
    now = 0,
    number = 0,       -- of the event
    names = {},       -- the core's id of a node -> its name
    links = {},       -- reader -> { peer =, bytes =: the beginning of a frame }
    answer = "",      -- of the core to the event, until it is told
    refused = false,  -- what was refused last, if nothing was told since
  }, Words)
end

-- The answer belongs to the first line of an event. Who asks again and again,
-- and is refused each time, is told of once.
function Words:say(text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  local answer, was_refused = self.answer, self.refused
  self.answer, self.refused = "", false
  if math.tointeger(answer) then
    text = text .. ", from " .. answer .. " on"
  elseif answer ~= "" then
    text = text .. ": refused, " .. answer
    self.refused = text
    if text == was_refused then return end
  end
  self.write(("#%d t=%d %s"):format(self.number,
    self.started and self.now - self.started or 0, text))
end

function Words:learn(name)
  self.names[core.id_of(name)] = name
end

local function plural(count, word)
  return count == 1 and "a " .. word or count .. " " .. word .. "s"
end

-------------------------------------------------------------------- events --

local events = {}

-- What is said of a node in one line, and the fields that are in it.
local LINES <const> = {
  stored = { "%s has batch %d on disk", "seq" },
  applied = { "%s has applied all up to %d", "index" },
  read = { "%s is asked for a read (%d)", "token" },
  read_lease = { "%s is asked for a read, by a lease if it has one (%d)",
    "token" },
  unreachable = { "%s cannot reach %s", "peer" },
  compacted = { "%s lets go of all up to %d", "index" },
  results = { "%s has come to %016x at %d", "digest", "index" },
}

for name, line in pairs(LINES) do
  local text, first, second = table.unpack(line)
  events[name] = function(self, event)
    self:say(text, self.id, event[first], event[second])
  end
end

function events.new(self, event)
  local options = codec.decode(event.options)
  self.id = options.id
  self:learn(options.id)
  self:say("%s is made: election %d to %d ms, heartbeat %d ms, seed %d",
    self.id, options.election_min_ms, options.election_max_ms,
    options.heartbeat_ms, options.seed)
end

function events.start(self, event)
  self.started = event.now
  local found = event.recovery ~= "" and codec.decode(event.recovery)
  if not found or found.term == 0 then
    return self:say("%s starts with nothing", self.id)
  end
  self:say("%s starts in term %d with %d entries, %d of them committed",
    self.id, found.term, found.last, found.commit)
end

function events.reader(self, event)
  self:learn(event.peer)
  self.links[#self.links + 1] = { peer = event.peer, bytes = "" }
  self:say("%s has a link with %s", self.id, event.peer)
end

function events.receive(self, event)
  local link = self.links[event.reader]
  local whole
  whole, link.bytes = frames.split(link.bytes .. event.bytes)
  for _, frame in ipairs(whole) do
    local words = frames.words(frame)
    if words then self:say("%s <- %s: %s", self.id, link.peer, words) end
  end
end

function events.loaded(self, event)
  self:say("%s reads entries %s for %s", self.id,
    frames.entry_words(frames.entries(event.entries)),
    event.peer == "" and "itself" or event.peer)
end

-- What kind of command -> who is given them, or forwards them.
for what, suffix in pairs { command = "", ["client command"] = "_session" } do
  local function commands(event)
    return plural(#format.split(event.commands), what)
  end
  events["propose" .. suffix] = function(self, event)
    self:say("%s is given %s", self.id, commands(event))
  end
  events["forward" .. suffix] = function(self, event)
    self:say("%s forwards %s (%d)", self.id, commands(event), event.token)
  end
end

function events.form(self, event)
  local config = core.config_decode(event.config)
  local names = {}
  for name in pairs(config.members) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do self:learn(name) end
  self:say("%s forms the cluster of %s", self.id, table.concat(names, ", "))
end

function events.change(self, event)
  local config = core.config_decode(event.config)
  local names = {}
  for name, member in pairs(config.members) do
    if member.goal then names[#names + 1] = name end
  end
  table.sort(names)
  self:say("%s is asked for a cluster of %s%s (%d)", self.id,
    table.concat(names, ", "), event.is_forced == 1 and ", by force" or "",
    event.token)
end

function events.space(self, event)
  self:say("%s has %s", self.id,
    event.has_space == 1 and "room on its disk again" or "a full disk")
end

local function place(t)
  return ("%d/t%d"):format(t.index, t.term)
end

function events.snapshot_made(self, event)
  self:say("%s has made a snapshot of %s", self.id,
    place(codec.decode(event.snapshot)))
end

function events.snapshot_received(self, event)
  local takes = math.tointeger(self.answer)  -- or it changes nothing
  if takes then self.answer = "" end
  self:say("%s has received a snapshot of %s%s", self.id,
    place(codec.decode(event.snapshot)), takes and ", and takes it" or "")
end

function events.shipped(self, event)
  self:say("%s has shipped its snapshot of %d to %s: %s", self.id, event.index,
    event.peer, event.is_done == 1 and "done" or "failed")
end

function events.avoid(self, event)
  self:say("%s %s", self.id, event.is_avoiding == 1
    and "is no heir from now on" or "may be an heir again")
end

function events.transfer(self, event)
  self:say("%s is asked to hand over to %s", self.id,
    event.to == "" and "the best placed" or event.to)
end

function events.finish(self, event)
  self:say("the recording ends, digest %s", event.digest)
end

------------------------------------------------------------------- effects --

local effects = {}

function effects.store(self, _, seq, bytes, term, vote, _, mark_index,
    mark_term, is_reset)
  local what = {}
  if mark_index > 0 then
    what[1] = ("a snapshot of %d/t%d is %s"):format(mark_index, mark_term,
      is_reset and "all it has" or "there")
  end
  local entries = frames.entries(bytes)
  if entries[1] then
    what[#what + 1] = "entries " .. frames.entry_words(entries)
  end
  what[#what + 1] = "term " .. term
  if vote ~= 0 then
    what[#what + 1] = "vote for " .. (self.names[vote] or "somebody")
  end
  self:say("%s writes batch %d: %s", self.id, seq, table.concat(what, ", "))
end

function effects.send(self, after, peer, bytes)
  local suffix = after > 0 and " (once batch " .. after .. " is on disk)" or ""
  for _, frame in ipairs((frames.split(bytes))) do
    self:say("%s -> %s: %s%s", self.id, peer, frames.words(frame) or "?",
      suffix)
  end
end

function effects.load(self, _, peer, first, last)
  self:say("%s wants entries %d to %d for %s", self.id, first, last,
    peer or "itself")
end

function effects.apply(self, _, first, last)
  self:say("%s applies %d to %d", self.id, first, last)
end

function effects.read(self, _, token, index)
  self:say("%s may serve read %d once %d is applied", self.id, token, index)
end

function effects.role(self, _, role, term, leader)
  self:say("%s is %s in term %d, leader %s", self.id, role, term,
    leader or "nobody")
end

function effects.config(self, _, index)
  self:say("%s follows the configuration at %d", self.id, index)
end

function effects.ship(self, _, peer, index, is_bare)
  self:say("%s ships its snapshot of %d to %s%s", self.id, index, peer,
    is_bare and ", without the state" or "")
end

function effects.install(self, after, index, term)
  self:say("%s installs the snapshot of %d/t%d (once batch %d is on disk)",
    self.id, index, term, after)
end

function effects.compact(self, _, index)
  self:say("%s may let go of all up to %d", self.id, index)
end

function effects.diverged(self, _, index, id, agreed)
  self:say("%s hears that results differ at %d, not before %d: %s", self.id,
    index, agreed + 1, id and "those of " .. id or "no majority")
end

function effects.forwarded(self, _, token, verdict, index, term)
  if verdict == true then
    return self:say("%s hears that the commands (%d) stand at %d/t%d", self.id,
      token, index, term)
  end
  self:say("%s hears that the commands (%d) were refused: %s", self.id, token,
    verdict)
end

---------------------------------------------------------------------- face --

--- Tells of an event, before it is run again.
function Words:event(number, event)
  self.number, self.now = number, event.now or self.now
  self.answer = event.answer
  local tell = events[event.kind]
  if tell then tell(self, event) end
  if self.answer ~= "" then self:say("%s: %s", self.id, event.kind) end
end

--- Tells of an effect that an event led to.
function Words:effect(kind, after, ...)
  local tell = effects[kind]
  if tell then tell(self, after, ...) end
end

return M
