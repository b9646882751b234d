--- The bytes of a SESSION entry: what a client asks for, once.
--
--   op u8 | session u64 | sequence u64 | floor u64 | command
--
-- RAFT_SESSION_HEAD_BYTES of csrc/raft.h: what stands in front of the command.
local core = require "raft.core"

local M = {}

local FORMAT <const> = "<BI8I8I8"
local HEADER_BYTES <const> = string.packsize(FORMAT)

local NAMES <const> = { "open", "command", "keep", "close" }
local OPS <const> = {}
for op, name in ipairs(NAMES) do OPS[name] = op end

local COMMAND <const> = OPS.command

M.HEADER_BYTES = HEADER_BYTES

--- @param request op ("open", "command", "keep", "close"), session, sequence
--   (of "open": the time to live in ms), floor, command
function M.encode(request)
  return FORMAT:pack(OPS[request.op], request.session, request.sequence,
    request.floor) .. request.command
end

-- Why no client sends this, or nil.
local function fault(request)
  local is_command = request.op == "command"
  local has_sequence = is_command or request.op == "open"
  if not request.op then
    return "an unknown operation"
  elseif request.session < 0 or request.sequence < 0 or request.floor < 0 then
    return "a number too large"
  elseif (request.op == "open") ~= (request.session == 0) then
    return "no session, or one too many"
  elseif has_sequence ~= (request.sequence > 0) then
    return "no sequence, or one too many"
  elseif is_command and request.floor > request.sequence then
    return "it waits for nothing up to itself"
  end
end

--- Of a command, which most are: session, sequence, floor, command. Nothing
-- where it is another one, or broken: decode tells.
function M.read_command(bytes)
  local op, session, sequence, floor, command = core.session_decode(bytes)
  local is_good = op == COMMAND and session > 0 and sequence > 0
    and floor <= sequence
  if is_good then return session, sequence, floor, command end
end

--- The request of these bytes; or nil and what is wrong with them.
function M.decode(bytes)
  if #bytes < HEADER_BYTES then return nil, "the end comes too early" end
  local op, session, sequence, floor, at = FORMAT:unpack(bytes)
  local request = { op = NAMES[op], session = session, sequence = sequence,
    floor = floor, command = bytes:sub(at) }
  local why = fault(request)
  if why then return nil, why end
  return request
end

return M
