--- What a client may have under way on one connection: both ends keep to it.
local M = {}

M.OPEN_MAX = 1024                -- requests
M.REQUEST_BYTES = 64             -- what one weighs here beside its body
M.OPEN_BYTES_MAX = 8 << 20       -- of their bodies; one may always be larger
M.SESSION_BYTES = 64             -- of a body, beside its command
M.UNREAD_BYTES_MAX = 64 << 20    -- of answers that the system has not taken
M.REQUEST_HEAD_BYTES = 64 << 10  -- of a body, beside a command
M.ANSWER_BYTES_MAX = 128 << 20   -- of a body
M.PING_MS = 1000                 -- until the node has said what it does
M.MAY_FORWARD = 1                -- of a session request: by who does not lead

return M
