--- Commands as bytes: what stands in the log, and what a query is asked.
--
--   command   count I4 | argument s4 ...        argument 1 is the name
--   segment   commands of one connection, in their order
--   batch     segment s4 ...                    an entry, or a query
local M = {}

local COUNT_BYTES <const> = 4
local FORMATS_KNOWN <const> = 16

local formats = {}  -- count -> how so many arguments are packed
for count = 1, FORMATS_KNOWN do formats[count] = "<" .. ("s4"):rep(count) end

-- More than fit on the stack at once.
local function pack_long(arguments)
  local pieces = { ("<I4"):pack(#arguments) }
  for i, argument in ipairs(arguments) do
    pieces[i + 1] = ("<s4"):pack(argument)
  end
  return table.concat(pieces)
end

--- One command.
function M.command(arguments)
  local count = #arguments
  if count > FORMATS_KNOWN then return pack_long(arguments) end
  return ("<I4"):pack(count)
    .. formats[count]:pack(table.unpack(arguments, 1, count))
end

local function unpack_long(bytes, at, count)
  local arguments = {}
  for i = 1, count do
    arguments[i], at = ("<s4"):unpack(bytes, at)
  end
  return arguments, at
end

--- The command at `at`: its arguments, and what is behind it.
function M.command_at(bytes, at)
  local count = ("<I4"):unpack(bytes, at)
  at = at + COUNT_BYTES
  if count > FORMATS_KNOWN then return unpack_long(bytes, at, count) end
  local arguments = { formats[count]:unpack(bytes, at) }
  local behind = arguments[count + 1]
  arguments[count + 1] = nil
  return arguments, behind
end

--- A batch of segments.
function M.pack(segments)
  local pieces = {}
  for i, segment in ipairs(segments) do pieces[i] = ("<s4"):pack(segment) end
  return table.concat(pieces)
end

--- The segments of a batch.
function M.unpack(bytes)
  local segments, at = {}, 1
  while at <= #bytes do
    segments[#segments + 1], at = ("<s4"):unpack(bytes, at)
  end
  return segments
end

return M
