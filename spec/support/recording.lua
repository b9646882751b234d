--- Recordings for specs: taken apart into events, changed, written anew.
local format = require "raft.replay.format"

local M = {}

function M.read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return assert(file:read("a"))
end

function M.write_file(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
end

-- The bodies of the records of a file, taken apart here and not by the reader.
function M.bodies_of(bytes)
  local bodies, at = {}, 65
  while at <= #bytes do
    local size = ("<I4"):unpack(bytes, at + 8)
    bodies[#bodies + 1] = bytes:sub(at + 12, at + 11 + size)
    at = at + 12 + size
  end
  return bodies
end

function M.events_of(bytes)
  local events = {}
  for _, body in ipairs(M.bodies_of(bytes)) do
    local at = 1
    while at <= #body do
      events[#events + 1], at = format.unpack(body, at)
    end
  end
  return events
end

-- A file of these events, one record each.
function M.write_events(path, events)
  local parts = { format.head("test") }
  for _, event in ipairs(events) do
    local body = format.pack(event.kind, event.answer, table.unpack(event))
    parts[#parts + 1] = format.record_head(body) .. body
  end
  M.write_file(path, table.concat(parts))
end

function M.write_bodies(path, ...)
  local parts = { format.head("test") }
  for _, body in ipairs { ... } do
    parts[#parts + 1] = format.record_head(body) .. body
  end
  M.write_file(path, table.concat(parts))
end

function M.find_event(events, kind, from)
  for i = from or 1, #events do
    if events[i].kind == kind then return i, events[i] end
  end
  error("no event of kind " .. kind)
end

return M
