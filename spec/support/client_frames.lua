--- The frames of clients read in Lua, from the drawing in
-- lua/raft/client/frames.lua: what the reader in C is compared with.
local core = require "raft.core"
local frames = require "raft.client.frames"

local M = {}

local REST <const> = "<BBI2I4I8I8I8I4"  -- from `ver` on
local REST_AT <const> = 9
local OPTIONAL <const> = 0x80  -- a kind with this bit may be dropped

local NAMES <const> = {}
for name, number in pairs(frames.KINDS) do NAMES[number] = name end

--- Reads a whole frame: kind, id, number, body; "other" for one that may be
-- dropped; or nil and what is wrong with it.
function M.decode(frame)
  if #frame < REST_AT + 1 then return nil, "it is too short" end
  local kind = frame:byte(REST_AT + 1)
  if kind & OPTIONAL ~= 0 then return "other" end
  if not NAMES[kind] then return nil, "an unknown kind" end
  if #frame < frames.HEAD_BYTES then return nil, "it is too short" end
  local head = frame:sub(1, 4) .. frame:sub(REST_AT, frames.HEAD_BYTES)
  if ("<I4"):unpack(frame, 5) ~= core.crc32c(head) then
    return nil, "a wrong checksum"
  end
  local version, _, size, group, term, id, number, crc =
    REST:unpack(frame, REST_AT)
  if version ~= 1 or size ~= frames.HEAD_BYTES or group ~= 0 or term ~= 0 then
    return nil, "a header that is not known here"
  end
  local body = frame:sub(frames.HEAD_BYTES + 1)
  if core.crc32c(body) ~= crc then return nil, "a wrong checksum" end
  return NAMES[kind], id, number, body
end

--- For @{raft.cutter}: how long the frame is that begins so.
-- @param max bytes of a body
function M.sizes(max)
  return function(bytes)
    local size = ("<I4"):unpack(bytes)
    if size < REST_AT + 1 then return nil, "corrupt" end
    if size > frames.HEAD_BYTES + max then return nil, "too_large" end
    return size
  end
end

return M
