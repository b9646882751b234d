--- What a snapshot of a small cluster says of itself.
local core = require "raft.core"

local M = {}

local CONFIG <const> = core.config_encode { election_min_ms = 500,
  members = { n1 = { address = "h:1", role = "voter" } } }

--- At this index, of term 1.
function M.meta(index)
  return { index = index, term = 1, time = 1700000000000 + index,
    config_index = 1, config = CONFIG }
end

return M
