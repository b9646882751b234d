--- What an error that a node has answered means for the request.
local M = {}

-- Codes that are an answer. All others are of a node, and another one may do
-- better.
local FINAL <const> = { apply_error = true, refused = true, bad_value = true,
  too_large = true, session_expired = true, reentrant = true,
  bad_membership = true, unsupported = true }

-- Codes of a node that will not do better soon.
local ELSEWHERE <const> = { not_leader = true, diverged = true, closed = true,
  failed = true }

--- Is this node of no use, and another one may be?
function M.is_elsewhere(err)
  return ELSEWHERE[err.code] or err.reason == "stateless"
end

--- @param kind of the request
-- @return "expired": the session of a command is gone; "answer": it is what the
--   client asked for; "again": it is asked for again
function M.of(kind, err)
  if err.reason == "expired" and kind == "command" then return "expired" end
  if M.is_elsewhere(err) then return "again" end
  local is_final = FINAL[err.code] or kind == "call" and not err.retry
  return is_final and "answer" or "again"
end

return M
