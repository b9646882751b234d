--- Frames between a client and a node, behind their greetings.
--
-- The header is that of all frames, drawn in csrc/wire.h, with kinds of their
-- own; so a ping may come between them.
--
--   size u32 | crc u32 | ver u8 | kind u8 | head u16 | group u32 | term u64
--   id u64 | number u64 | crc u32 of the body | body
--
-- `id` names a request on its connection, and its answer. `number` is what the
-- kind makes of it. The work is done in C (csrc/lua_client.c), for all frames
-- of a chunk or of a turn.
local core = require "raft.core"

local M = {}

M.HEAD_BYTES = 44

--- Kind -> its number, which readers and writers have in its place.
M.KINDS = { head = 32, session = 33, query = 34, call = 35, result = 36 }

--- One frame.
-- @param kind head, session, query, call, result
function M.encode(kind, id, number, body)
  return core.client_frame(M.KINDS[kind], id, number, body)
end

--- What reads the frames of one connection: reader:feed(chunk), then
-- reader:next() until there is no more: kind, id, number, body; nil: more must
-- come; or false and what is wrong: close the connection. Of a result that is
-- no error next_answer() says true, value, why in the place of the body.
-- @param max bytes of a body: more is refused before it is waited for
-- @function reader
M.reader = core.client_reader

--- What gathers frames: writer:frame(kind, id, number, body),
-- writer:command(id, number, session, sequence, floor, command) for a SESSION
-- frame, writer:take() for the bytes of all, nil where there are none. Whoever
-- ends a connection drops both: reader:drop(), writer:drop().
-- @function writer
M.writer = core.client_writer

return M
