--- Lets one line per key pass in a while, and counts those it held back.
-- Keys are what strangers choose (their addresses), so their number is
-- bounded: when the table is full, it starts afresh.

local Throttle = { __name = "raft.throttle" }
Throttle.__index = Throttle

local M = {}

local KEYS_MAX <const> = 256

function M.new(period_ms)
  return setmetatable({
    period_ms = period_ms,  -- one line per key and period
    seen = {},              -- key -> { since_ms, held }
    key_count = 0,          -- Invariant: 0 <= key_count <= KEYS_MAX
  }, Throttle)
end

function Throttle:entry(key, now_ms)
  if self.seen[key] then return self.seen[key] end
  if self.key_count == KEYS_MAX then self.seen, self.key_count = {}, 0 end
  local entry = { since_ms = now_ms - self.period_ms, held = 0 }
  self.seen[key], self.key_count = entry, self.key_count + 1
  return entry
end

--- May a line for this key be written now?
-- @return the number of lines held back since the last one, or false
function Throttle:passes(key, now_ms)
  local entry = self:entry(key, now_ms)
  if now_ms - entry.since_ms < self.period_ms then
    entry.held = entry.held + 1
    return false
  end
  local held = entry.held
  entry.since_ms, entry.held = now_ms, 0
  return held
end

return M
