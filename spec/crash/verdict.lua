--- What a life was promised, held against what its directory holds.
local Storage = require "raft.storage"
local core = require "raft.core"
local uv = require "luv"
local wait = require "spec.support.wait"

local M = {}

local CLOSE_MS <const> = 5000
local HEADER <const> = "<I4I4i8i8i8I4"  -- crc, crc, index, term, time, size
local HEADER_BYTES <const> = 40

local Promises = { __name = "crash.promises" }
Promises.__index = Promises

--- Nothing promised yet.
function M.promises()
  return setmetatable({
    names = {},     -- of commands, in the order of their acknowledgement
    term = 0,       -- hard state that is durable
    vote = 0,       -- 0: none is known
    entries = {},   -- index -> term of an entry that is durable
    last = 0,
  }, Promises)
end

local hear = {}

function hear.ok(self, name)
  self.names[#self.names + 1] = name
end

function hear.term(self, term)
  self.term, self.vote = math.tointeger(tonumber(term)), 0
end

function hear.stored(self, index, index_term, term, vote)
  index = math.tointeger(tonumber(index))
  if index > 0 then
    self.entries[index] = math.tointeger(tonumber(index_term))
  end
  self.last = math.max(self.last, index)
  self.term = math.tointeger(tonumber(term))
  self.vote = math.tointeger(tonumber(vote))
end

function hear.direct() end  -- no promise: how it writes

--- Takes what a life has said. A line that was cut short promises nothing.
function Promises:hear(text)
  for line in text:gmatch("([^\n]*)\n") do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    hear[words[1]](self, table.unpack(words, 2))
  end
end

--- How many promises count something that can be lost.
function Promises:count()
  return #self.names + self.last
end

------------------------------------------------------------------- reading --

-- index -> { term=, payload= } of encoded entries.
local function decode(bytes)
  local entries, at = {}, 1
  while at <= #bytes do
    local _, _, index, term, _, size = string.unpack(HEADER, bytes, at)
    entries[index] = { term = term,
      payload = bytes:sub(at + HEADER_BYTES, at + HEADER_BYTES + size - 1) }
    at = at + HEADER_BYTES + size
  end
  return entries
end

--- Opens a directory as a start would, and gives it back.
-- @return what it holds: term, vote, last, entries; or nil and the error
function M.read(dir, kind)
  local storage, err = Storage.open { uv = uv, host = core.host, dir = dir,
    id = "n1", cluster = kind == "node" and "default" or "c" }
  if not storage then return nil, err end
  local found = storage.recovered:fields()
  found.entries = decode(found.tail)
  local is_closed = false
  storage:abort(function() is_closed = true end)
  wait.must(function() return is_closed end, CLOSE_MS, dir .. " to be closed")
  return found
end

------------------------------------------------------------------- judging --

local function check_hard_state(self, found, say)
  local is_older = found.term < self.term
  local is_changed = found.term == self.term and self.vote ~= 0
    and found.vote ~= self.vote
  if is_older or is_changed then
    say("term %d and vote %d were durable, found %d and %d", self.term,
      self.vote, found.term, found.vote)
  end
end

local function check_entries(self, found, say)
  for index, term in pairs(self.entries) do
    local entry = found.entries[index]
    local expected = entry and ("%d.%d;"):format(index, entry.term)
    if not entry or entry.term < term then
      say("entry %d of term %d was durable, found %s", index, term,
        entry and "term " .. entry.term or "none")
    elseif entry.payload:sub(1, #expected) ~= expected then
      say("entry %d holds something else", index)
    end
  end
end

-- Commands keep the order in which they were acknowledged, each there once.
local function check_names(self, found, say)
  local place = {}
  for index = 1, found.last do
    local name = found.entries[index].payload:match("^([%w.]+);")
    if name and place[name] then say("%s is there twice", name) end
    if name then place[name] = index end
  end
  local before = 0
  for _, name in ipairs(self.names) do
    if not place[name] then
      say("%s was acknowledged and is lost", name)
    elseif place[name] < before then
      say("%s has changed its place", name)
    else
      before = place[name]
    end
  end
end

--- Holds the promises against a directory that was read.
-- @return a list of complaints
function Promises:judge(found)
  local complaints = {}
  local function say(...)
    complaints[#complaints + 1] = string.format(...)
  end
  check_hard_state(self, found, say)
  check_entries(self, found, say)
  check_names(self, found, say)
  return complaints
end

return M
