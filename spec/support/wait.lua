--- Waiting, for programs that run in raft.run.
local raft = require "raft"
local uv = require "luv"

local M = {}

local POLL_MS <const> = 2

--- Waits until predicate() is true and returns what it returned; after ms
-- false, and a text that says what was waited for.
function M.try(predicate, ms, what)
  local from_ns = uv.hrtime()
  while true do
    local value = predicate()
    if value then return value end
    if (uv.hrtime() - from_ns) / 1e6 > ms then
      return false, ("waited %d ms in vain for %s"):format(ms, what)
    end
    raft.sleep(POLL_MS)
  end
end

--- The same, but raises where try returns false.
function M.must(predicate, ms, what)
  local value, text = M.try(predicate, ms, what)
  if not value then error(text, 2) end
  return value
end

return M
