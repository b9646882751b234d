--- Frames between a client and a node, behind their greetings.
--
--   size u32 | crc u32 | kind u8 | id u64 | body
--
-- `size` is of the whole frame, `crc` of all behind it; `id` names a request on
-- its connection, and its answer.
local core = require "raft.core"

local M = {}

local HEAD <const> = "<I4I4"
local REST <const> = "<BI8"
local HEAD_BYTES <const> = string.packsize(HEAD)
local REST_BYTES <const> = string.packsize(REST)
local FRAME_BYTES <const> = HEAD_BYTES + REST_BYTES

local NUMBERS <const> = { head = 1, session = 2, query = 3, call = 4,
  cancel = 5, result = 16 }
local NAMES <const> = {}
for name, number in pairs(NUMBERS) do NAMES[number] = name end

M.FRAME_BYTES = FRAME_BYTES  -- without a body

--- @param kind head, session, query, call, cancel, result
function M.encode(kind, id, body)
  local rest = REST:pack(NUMBERS[kind], id) .. body
  return HEAD:pack(HEAD_BYTES + #rest, core.crc32c(rest)) .. rest
end

-- The frame of `size` bytes at the front of `bytes`: kind, id, body; or nil and
-- why it is none.
local function read(bytes, size)
  local rest = bytes:sub(HEAD_BYTES + 1, size)
  local _, crc = HEAD:unpack(bytes)
  if core.crc32c(rest) ~= crc then return nil, "a wrong checksum" end
  local number, id = REST:unpack(rest)
  if not NAMES[number] then return nil, "an unknown kind" end
  return NAMES[number], id, rest:sub(REST_BYTES + 1)
end

local Cutter = { __name = "raft.client.cutter" }
Cutter.__index = Cutter

--- Cuts what arrives on one connection into frames.
-- @param size_max of a frame, in bytes
function M.cutter(size_max)
  return setmetatable({ size_max = size_max, held = "" },
    Cutter)
end

-- How many bytes the frame at `at` has, or nil and why it is none; false: too
-- few are here to tell.
local function size_at(self, bytes, at)
  if #bytes - at + 1 < HEAD_BYTES then return false end
  local size = HEAD:unpack(bytes, at)
  if size < FRAME_BYTES then return nil, "a frame too short" end
  if size > self.size_max then return nil, "a frame too long" end
  return size
end

--- Takes a chunk; calls take(kind, id, body) for each frame, which may return
-- false to stop for good.
-- @return true, or nil and what is wrong with what arrived
function Cutter:feed(chunk, take)
  local bytes, at = self.held .. chunk, 1
  while true do
    local size, why = size_at(self, bytes, at)
    if size == nil then return nil, why end
    if not size or #bytes - at + 1 < size then break end
    local kind, id, body = read(bytes:sub(at, at + size - 1), size)
    if not kind then return nil, id end
    at = at + size
    if take(kind, id, body) == false then break end
  end
  self.held = bytes:sub(at)
  return true
end

return M
