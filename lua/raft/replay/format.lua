--- The bytes of a recording: a head, then records; each holds the events of
-- one turn. See docs/FORMATS.md. Written by node/recorder.lua, read by
-- replay/source.lua.
local codec = require "raft.codec"
local core = require "raft.core"
local errors = require "raft.errors"

local M = {}

M.VERSION = 1
M.HEAD_BYTES = 64
M.RECORD_HEAD_BYTES = 12

local MAGIC <const> = "raftrec\0"
local HEAD <const> = "<c8I4I4c48"      -- magic, crc, version, library
local HEAD_REST <const> = "<I4c48"     -- what the crc covers
local RECORD <const> = "<I4I4I4"       -- head crc, body crc, size
local RECORD_REST <const> = "<I4I4"    -- what the head crc covers
local COMMAND <const> = "<s4"

-- Name, format and field names of each kind of event, in order of their
-- numbers. In front of the fields stand the number and the core's answer.
local EVENTS <const> = {
  { "new", "s4", "options" },               -- raft.codec
  { "start", "i8s4s4", "now", "recovery", "snapshot" },  -- raft.codec of both
  { "wall", "i8", "wall" },
  { "reader", "s1i8", "peer", "incarnation" },
  { "tick", "i8", "now" },
  { "receive", "i8I4s4", "now", "reader", "bytes" },
  { "stored", "i8i8", "now", "seq" },
  { "applied", "i8i8", "now", "index" },
  { "loaded", "i8s1i8s4", "now", "peer", "first", "entries" },
  { "propose", "i8s4", "now", "commands" },
  { "forward", "i8i8s4", "now", "token", "commands" },
  { "read", "i8i8", "now", "token" },
  { "form", "i8s4", "now", "config" },      -- as in an entry
  { "unreachable", "i8s1", "now", "peer" },
  { "space", "i8B", "now", "has_space" },
  { "transfer", "i8s1i8", "now", "to", "token" },
  { "take", "i8", "deadline" },             -- -1: never
  { "digest", "s1", "digest" },
  { "finish", "s1", "digest" },
  { "read_lease", "i8i8", "now", "token" },
  { "avoid", "i8B", "now", "is_avoiding" },
  { "snapshot_made", "i8s4", "now", "snapshot" },  -- raft.codec of its fields
  { "snapshot_received", "i8s4", "now", "snapshot" },
  { "compacted", "i8i8", "now", "index" },
  { "shipped", "i8s1i8B", "now", "peer", "index", "is_done" },
  { "change", "i8i8s4i8B", "now", "token", "config", "based_on", "is_forced" },
  { "propose_session", "i8s4", "now", "commands" },
  { "forward_session", "i8i8s4", "now", "token", "commands" },
  { "results", "i8i8i8", "now", "index", "digest" },
}

local PREFIX <const> = "<Bs1"
local FORMAT, NUMBER, FIELDS = {}, {}, {}
for number, event in ipairs(EVENTS) do
  local name = event[1]
  FORMAT[name], NUMBER[name] = PREFIX .. event[2], number
  FIELDS[name] = table.move(event, 3, #event, 1, {})
end

-------------------------------------------------------------------- events --

--- The bytes of an event.
-- @param answer as M.answer makes it
function M.pack(name, answer, ...)
  return FORMAT[name]:pack(NUMBER[name], answer, ...)
end

--- The event at `at`: { kind=, answer=, and its fields by name; the fields in
-- order as an array }, and where the next one begins. Raises what it cannot
-- read.
function M.unpack(bytes, at)
  local event = EVENTS[bytes:byte(at)]
  if not event then error("an event of an unknown kind", 0) end
  local name = event[1]
  local values = table.pack(FORMAT[name]:unpack(bytes, at))
  local result = { kind = name, answer = values[2] }
  for i, field in ipairs(FIELDS[name]) do
    result[i], result[field] = values[i + 2], values[i + 2]
  end
  return result, values[values.n]
end

--- What the core answered, as text: "" for true and for nothing.
function M.answer(result, code)
  if code then return code end
  return math.type(result) and tostring(result) or ""
end

--- Commands as one string: each of them, or a list and how many of it. And back
-- as a list.
function M.join(first, ...)
  local list, count = first, ...
  if type(first) == "string" then
    if select("#", ...) == 0 then return COMMAND:pack(first) end
    list, count = { first, ... }, 1 + select("#", ...)
  end
  local parts = {}
  for i = 1, count do parts[i] = COMMAND:pack(list[i]) end
  return table.concat(parts)
end

function M.split(bytes)
  local commands, at = {}, 1
  while at <= #bytes do
    commands[#commands + 1], at = COMMAND:unpack(bytes, at)
  end
  return commands
end

--- What a core is told of a snapshot, as bytes; "" of none.
function M.snapshot(t)
  if not t then return "" end
  return codec.encode({ index = t.index, term = t.term, time = t.time,
    config_index = t.config_index, config = t.config,
    is_bare = t.is_bare or false })
end

------------------------------------------------------------ head and records --

--- The head of a file.
-- @param library the version of the library that writes it
function M.head(library)
  local rest = HEAD_REST:pack(M.VERSION, library)
  return HEAD:pack(MAGIC, core.crc32c(rest), M.VERSION, library)
end

local function refuse(path, offset, why)
  error(errors.new("corrupt", ("%s at byte %d: %s"):format(path, offset, why),
    { file = path, offset = offset }), 0)
end

--- The library's version that a head names; raises an error value.
function M.check_head(bytes, path)
  if #bytes < M.HEAD_BYTES then refuse(path, 0, "no recording: too short") end
  local magic, crc, version, library = HEAD:unpack(bytes)
  if magic ~= MAGIC then refuse(path, 0, "no recording") end
  if crc ~= core.crc32c(HEAD_REST:pack(version, library)) then
    refuse(path, 0, "its head is damaged")
  end
  if version ~= M.VERSION then
    error(errors.new("format_version", ("%s has format %d, this version reads "
      .. "%d"):format(path, version, M.VERSION), { file = path,
      found = version, supported = M.VERSION }), 0)
  end
  return (library:gsub("\0+$", ""))
end

--- The head of a record with this body.
function M.record_head(body)
  local rest = RECORD_REST:pack(core.crc32c(body), #body)
  return RECORD:pack(core.crc32c(rest), core.crc32c(body), #body)
end

--- Size and checksum of the body that a record's head announces; raises an
-- error value.
function M.check_record_head(head, path, offset)
  local crc, body_crc, size = RECORD:unpack(head)
  if crc ~= core.crc32c(RECORD_REST:pack(body_crc, size)) then
    refuse(path, offset, "the head of a record is damaged")
  end
  return size, body_crc
end

--- Raises an error value unless the body is what its head announced.
function M.check_body(body, body_crc, path, offset)
  if core.crc32c(body) ~= body_crc then
    refuse(path, offset, "a record is damaged")
  end
end

return M
