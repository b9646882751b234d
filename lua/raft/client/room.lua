--- What may be sent on a connection: not too much at once, and nothing that is
-- larger than what a node takes, for it ends the connection of who sends that.
local errors = require "raft.errors"
local limits = require "raft.client.limits"

local M = {}

local OPEN_MAX <const> = limits.OPEN_MAX
local BYTES_MAX <const> = limits.OPEN_BYTES_MAX - limits.SESSION_BYTES

--- Is there room for this one beside those that are under way?
-- @param requests flying_count, flying_bytes
-- @param size of its body
function M.has(requests, size)
  local count = requests.flying_count
  return count == 0 or count < OPEN_MAX
    and requests.flying_bytes + size <= BYTES_MAX
end

--- The error `too_large`, or nil.
-- @param head of the node: max_command_bytes, false in one that does not say
function M.refusal(head, request)
  local max = head.max_command_bytes
  local size = #(request.command or request.body)
  if not max or size <= max then return nil end
  if not request.command then max = max + limits.REQUEST_HEAD_BYTES end
  if size <= max then return nil end
  return errors.new("too_large", ("a request of %d bytes is over the %d that a "
    .. "node takes (its max_command_bytes)"):format(size, max),
    { size = size, max = max,
      outcome = request.sends > 0 and "unknown" or "none" })
end

return M
