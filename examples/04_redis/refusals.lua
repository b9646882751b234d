--- What a client is told when Raft says no. The first word, as Redis has it, is
-- what a program may go by:
--
--   TRYAGAIN     nothing was done and never will be; send it again
--   CLUSTERDOWN  no answer in time. A write may have been done, or be done yet;
--                nobody here can say. Nothing was read.
--   LOADING      this node has no state to answer from yet
--   MISCONF      the leader's disk is full; nothing was done
--   ERR          anything else; nothing was done
local M = {}

local AGAIN <const> = { busy = true, lost = true, not_leader = true }

local function word_of(err, is_loading)
  if is_loading then return "LOADING" end
  if err.code == "no_space" then return "MISCONF" end
  if AGAIN[err.code] and err.retry then return "TRYAGAIN" end
  if err.outcome == "unknown" then return "CLUSTERDOWN" end
  return "ERR"
end

--- The text of an error that raft has answered.
-- @param is_write was it on its way into the log?
-- @param state that of the node
function M.text(err, is_write, state)
  local is_open = is_write and err.outcome == "unknown"
  local is_loading = state == "restoring" and not is_open
  return ("%s %s; %s"):format(word_of(err, is_loading), err.message,
    is_open and "it may have been done" or "nothing was done")
end

return M
