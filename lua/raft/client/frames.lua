--- Frames between a client and a node, behind their greetings.
--
-- The header is that of all frames, drawn in csrc/wire.h, with kinds of their
-- own; so a ping may come between them.
--
--   size u32 | crc u32 | ver u8 | kind u8 | head u16 | group u32 | term u64
--   id u64 | number u64 | crc u32 of the body | body
--
-- `id` names a request on its connection, and its answer. `number` is what the
-- kind makes of it.
local core = require "raft.core"

local M = {}

local SIZE <const> = "<I4"
local CRC <const> = "<I4"
local REST <const> = "<BBI2I4I8I8I8I4"  -- from `ver` on
local REST_AT <const> = 9
local HEAD_BYTES <const> = 8 + string.packsize(REST)
local VERSION <const> = 1
local OPTIONAL <const> = 0x80  -- a kind with this bit may be dropped

local NUMBERS <const> = { head = 32, session = 33, query = 34, call = 35,
  result = 36 }
local NAMES <const> = {}
for name, number in pairs(NUMBERS) do NAMES[number] = name end

M.HEAD_BYTES = HEAD_BYTES

--- @param kind head, session, query, call, result
function M.encode(kind, id, number, body)
  local size = SIZE:pack(HEAD_BYTES + #body)
  local rest = REST:pack(VERSION, NUMBERS[kind], HEAD_BYTES, 0, 0, id, number,
    core.crc32c(body))
  return size .. CRC:pack(core.crc32c(size .. rest)) .. rest .. body
end

--- Reads a whole frame: kind, id, number, body; "other" for one that may be
-- dropped; or nil and what is wrong with it.
function M.decode(frame)
  if #frame < REST_AT + 1 then return nil, "it is too short" end
  local kind = frame:byte(REST_AT + 1)
  if kind & OPTIONAL ~= 0 then return "other" end
  if not NAMES[kind] then return nil, "an unknown kind" end
  if #frame < HEAD_BYTES then return nil, "it is too short" end
  local head = frame:sub(1, 4) .. frame:sub(REST_AT, HEAD_BYTES)
  if CRC:unpack(frame, 5) ~= core.crc32c(head) then
    return nil, "a wrong checksum"
  end
  local version, _, size, group, term, id, number, crc =
    REST:unpack(frame, REST_AT)
  if version ~= VERSION or size ~= HEAD_BYTES or group ~= 0 or term ~= 0 then
    return nil, "a header that is not known here"
  end
  local body = frame:sub(HEAD_BYTES + 1)
  if core.crc32c(body) ~= crc then return nil, "a wrong checksum" end
  return NAMES[kind], id, number, body
end

--- For @{raft.cutter}: how long the frame is that begins so.
-- @param max bytes of a body
function M.sizes(max)
  return function(bytes)
    local size = SIZE:unpack(bytes)
    if size < REST_AT + 1 then return nil, "corrupt" end
    if size > HEAD_BYTES + max then return nil, "too_large" end
    return size
  end
end

return M
