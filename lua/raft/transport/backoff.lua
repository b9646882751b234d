--- How long to wait before the next try: doubling, with jitter.
-- Delays lie between half the step and the step, so that nodes which failed
-- together do not return together.

local Backoff = { __name = "raft.backoff" }
Backoff.__index = Backoff

local M = {}

--- @param min_ms the first step; @param max_ms the last one
function M.new(min_ms, max_ms)
  assert(0 < min_ms and min_ms <= max_ms, "a back-off needs two bounds")
  return setmetatable({
    min_ms = min_ms,
    max_ms = max_ms,
    step_ms = min_ms,  -- of the next try. Invariant: min <= step <= max
  }, Backoff)
end

--- The delay before the next try.
-- @param random a number of [0, 1)
function Backoff:next(random)
  local step_ms = self.step_ms
  self.step_ms = math.min(step_ms * 2, self.max_ms)
  return step_ms // 2 + step_ms * random // 2
end

--- It worked: the next failure starts from the beginning.
function Backoff:reset()
  self.step_ms = self.min_ms
end

return M
