--- The requests of a client: what they are, what they weigh, and how they go
-- out on a connection.
local codec = require "raft.codec"
local core = require "raft.core"
local frames = require "raft.client.frames"
local limits = require "raft.client.limits"
local room = require "raft.client.room"
local session_entry = require "raft.session_entry"

local M = {}

local REQUEST_BYTES <const> = limits.REQUEST_BYTES
local MARGIN_MS <const> = 5      -- a node is given less time than we have
local HEAD_BYTES <const> = session_entry.HEADER_BYTES

local NUMBERS <const> = frames.KINDS
local SESSION <const> = NUMBERS.session
local KINDS <const> = { session = SESSION, query = NUMBERS.query,
  question = NUMBERS.call, call = NUMBERS.call }

--- The request for a command, for add of @{raft.client.requests}.
function M.command(command)
  return { kind = "command", command = command, answer = false,
    deadline = false, order = false, sends = 0, session = false,
    sequence = false }
end

-- What a node is told of these options: it has less time than we.
local function encode_opts(opts)
  return codec.encode {
    timeout = opts.timeout and math.max(1, opts.timeout - MARGIN_MS),
    consistency = opts.consistency, at_least = opts.at_least or nil }
end

-- Those of the last query, and their bytes: mostly the next one has the same.
local last = { timeout = "", consistency = "", at_least = "", bytes = "" }

local function bytes_of(opts)
  local timeout, consistency, at_least = opts.timeout, opts.consistency,
    opts.at_least
  local is_same = timeout == last.timeout and consistency == last.consistency
    and at_least == last.at_least
  if is_same then return last.bytes end
  last = { timeout = timeout, consistency = consistency, at_least = at_least,
    bytes = encode_opts(opts) }
  return last.bytes
end

--- The request for what only reads.
-- @param what what the node is asked: any plain value
-- @raise bad_value where it is none
function M.query(what, opts)
  local bytes = bytes_of(opts)
  local body = core.query_encode(bytes, what)
    or codec.encode { request = what, opts = codec.decode(bytes) }
  return { kind = "query", body = body, answer = false, deadline = false,
    is_anywhere = opts.consistency == "stale", order = false, sends = 0 }
end

--- Bytes of its body on the wire.
function M.size(request)
  local command = request.command
  return command and HEAD_BYTES + #command or #request.body
end

--- What it counts for max_pending_bytes.
function M.weight(request)
  return REQUEST_BYTES + #(request.command or request.body)
end

-- Is it larger than what a node takes? Then it is answered with that.
local function is_refused(self, head, request)
  local refusal = room.refusal(head, request)
  if refusal then self:answer(request, refusal) end
  return refusal ~= nil
end

--- Sends a request, with all others of this turn: connection:flush().
-- @param self @{raft.client.requests}
-- @param size of its body
function M.send(self, connection, request, size)
  local head, id = connection.head, self.last_id + 1
  local max = head.max_command_bytes
  if max and size > max and is_refused(self, head, request) then return end
  local number = head.leader ~= head.id and limits.MAY_FORWARD or 0
  request.sends = request.sends + 1
  self.last_id, self.flying[id] = id, request
  self.flying_count = self.flying_count + 1
  self.flying_bytes = self.flying_bytes + size
  local body = request.body
  if body then
    local kind = KINDS[request.kind]
    if kind == SESSION then self.is_used = true end
    return connection.writer:frame(kind, id, number, body)
  end
  self.is_used = true
  local floor = self.session:place(request)
  connection.writer:command(id, number, request.session, request.sequence,
    floor, request.command)
end

--- Sends a new one, if nothing is before it and nothing in its way; else false.
function M.at_once(self, request)
  if self.queue.count > 0 or self.resume_at then return false end
  local kind, connection = request.kind, self.client.search:usable()
  local can_go = connection and (kind == "query"
    or kind == "command" and self.session.id)
  if not can_go then return false end
  local size = M.size(request)
  if not room.has(self, size) then return false end
  M.send(self, connection, request, size)
  return true
end

return M
