--- Says why a node waits, when that lasts: a user who has started one of three
-- sees nothing else. A line of the log and no event, for nothing is wrong yet.
--
-- It is looked at in turns that come anyway (peers are dialed again and again),
-- so it wakes nobody.
local M = {}

local FIRST_MS <const> = 3000  -- without a leader, until the first line
local MAX_MS <const> = 60000   -- between two lines; up to there it doubles

local Patience = { __name = "raft.patience" }
Patience.__index = Patience

--- @param driver gives now(), leader, logger, why_no_leader(), members(),
--   reaches(id), id, formed, membership
function M.new(driver)
  return setmetatable({
    driver = driver,
    next_at = false,     -- now() of the next line; false: nobody waits
    pause_ms = FIRST_MS, -- before that line
  }, Patience)
end

-- The members that cannot be reached, in words.
local function silent(driver)
  local ids = {}
  for id in pairs(driver:members()) do
    if id ~= driver.id and not driver:reaches(id) then ids[#ids + 1] = id end
  end
  table.sort(ids)
  return table.concat(ids, ", ")
end

-- What to do about it; "" where why_no_leader() says enough.
local function advice(driver)
  if driver.options.join and not driver.formed then
    return ": node:add on a member adds it"
  elseif not driver.formed then
    return ": a new cluster forms once all of its members run"
  end
  local ids = silent(driver)
  if ids == "" then return "" end
  return ": cannot reach " .. ids .. "; a majority must run"
end

--- Once a turn.
function Patience:look()
  local driver = self.driver
  if driver.leader or driver.membership.is_removed then
    self.next_at, self.pause_ms = false, FIRST_MS
    return
  end
  local now = driver:now()
  if not self.next_at then
    self.next_at = now + self.pause_ms
  elseif now >= self.next_at then
    self.pause_ms = math.min(2 * self.pause_ms, MAX_MS)
    self.next_at = now + self.pause_ms
    driver.logger:warn("still waiting: " .. driver:why_no_leader()
      .. advice(driver))
  end
end

return M
