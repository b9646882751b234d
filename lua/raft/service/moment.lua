--- What a function of a service knows of the entry for which it runs: its time,
-- its random numbers, and whom to tell.
--
-- One thing runs at a time, whatever node it belongs to, so it is kept here and
-- not handed around: the guarded functions are the same for all nodes.
local Chance = require "raft.service.chance"
local calendar = require "raft.service.calendar"
local ordered = require "raft.service.ordered"
local plain = require "raft.plain"

local M = {}

local current = false  -- the moment that is now; false: no service runs

--- A moment: of an entry, or of the newest that was applied.
-- @param entry index, term, time
-- @param version of the service's state that is in use
-- @param kind "command", "init", "upgrade" or "query"
function M.new(entry, version, kind)
  return {
    index = entry.index, term = entry.term, time = entry.time,
    version = version,
    kind = kind,
    events = {},     -- { event=, values= } of emit, in order
    entry = false,   -- the table that the user sees, made when asked for
    chance = false,  -- random numbers, when asked for
  }
end

--- Does a service run now?
function M.is_now()
  return current ~= false
end

-- Ends the moment, also when what ran has raised.
local Scope = setmetatable({}, { __close = function(scope)
  current = false
  scope.strings.__index = scope.methods
end })
Scope.strings = getmetatable("")

--- Calls fn(...) in this moment, with these as the methods of strings.
function M.run(moment, methods, fn, ...)
  assert(not current, "one thing runs at a time")
  ordered.forget()
  Scope.methods = Scope.strings.__index
  local _ <close> = Scope
  current = moment
  if Scope.methods == string then Scope.strings.__index = methods end
  return fn(...)
end

------------------------------------------------- what stands in the globals --

--- The entry, as the user sees it: a table of its own.
function M.entry()
  if not current.entry then
    current.entry = { index = current.index, term = current.term,
      time = current.time, version = current.version }
  end
  return current.entry
end

--- math.random: of the entry and the place in it.
function M.random(...)
  if current.kind == "query" then
    error("math.random: a query has no entry to draw from", 2)
  end
  current.chance = current.chance or Chance.new(current.index, current.term)
  local drawn = current.chance:random(...)
  return drawn  -- no tail call: whom Chance blames is counted from here
end

--- os.time: of the entry's stamp.
function M.time(t)
  local seconds = calendar.time(current.time, t)
  return seconds
end

--- os.date: of the entry's stamp.
function M.date(format, seconds)
  local text = calendar.date(current.time, format, seconds)
  return text
end

--- emit(event, ...): every node tells it, once the command has been applied.
function M.emit(event, ...)
  if type(event) ~= "string" then
    error(("bad argument #1 to 'emit' (string expected, got %s)"):format(
      type(event)), 2)
  elseif current.kind ~= "command" then
    error("emit: only a command tells something, not " .. current.kind, 2)
  end
  local values = table.pack(...)
  for i = 1, values.n do
    values[i] = plain.copy(values[i], ("emit(%q): value %d"):format(event, i))
  end
  current.events[#current.events + 1] = { event = event, values = values }
end

return M
