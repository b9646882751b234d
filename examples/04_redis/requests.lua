--- The requests of one connection that were not answered yet, in their order,
-- and which of them may go on together.
local batch = require "batch"
local commands = require "commands"

local M = {}

local SEGMENT_BYTES <const> = 256 << 10

local Requests = { __name = "redis.requests" }
Requests.__index = Requests

function M.new()
  return setmetatable({
    first = 1,       -- the oldest
    last = 0,        -- the newest
    arguments = {},  -- number -> arguments
    kinds = {},      -- number -> "write", "read", "scan", "here"
    sizes = {},      -- number -> bytes
    bytes = 0,       -- of all
  }, Requests)
end

-- What is no command on keys, or not said in so many words, is answered here.
local function kind_of(arguments)
  local command = commands.find_any(arguments[1])
  if not command or not commands.has_words(command.words, arguments) then
    return "here"
  end
  arguments[1] = command.name
  return command.kind
end

--- Takes a request.
function Requests:push(arguments, size)
  local n = self.last + 1
  self.last, self.bytes = n, self.bytes + size
  self.arguments[n], self.sizes[n] = arguments, size
  self.kinds[n] = kind_of(arguments)
end

--- Has it none?
function Requests:is_empty()
  return self.first > self.last
end

--- The oldest: its kind, and its arguments.
function Requests:peek()
  return self.kinds[self.first], self.arguments[self.first]
end

--- The oldest n are answered.
function Requests:drop(n)
  for i = self.first, self.first + n - 1 do
    self.bytes = self.bytes - self.sizes[i]
    self.arguments[i], self.kinds[i], self.sizes[i] = nil, nil, nil
  end
  self.first = self.first + n
  if self:is_empty() then self.first, self.last = 1, 0 end
end

-- Which may be in one segment. What is read behind a write goes with it: the
-- entry knows the answer when it is applied, and a barrier would come later.
local TOGETHER <const> = {
  write = { write = true, read = true },
  read = { read = true, scan = true },
}
TOGETHER.scan = TOGETHER.read

--- The oldest that may go on together.
-- @return "write" or "read", the segment, and how many it has
function Requests:segment()
  local first, kinds, arguments = self.first, self.kinds, self.arguments
  local fits = TOGETHER[kinds[first]]
  local pieces, bytes, i = {}, 0, first
  while fits[kinds[i]] and bytes < SEGMENT_BYTES do
    local piece = batch.command(arguments[i])
    i = i + 1
    pieces[i - first], bytes = piece, bytes + #piece
  end
  return kinds[first] == "write" and "write" or "read", table.concat(pieces),
    i - first
end

return M
