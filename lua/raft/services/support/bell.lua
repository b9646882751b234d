--- One coroutine that waits until somebody rings, or so many ms are over.
-- A ring that comes while nobody waits is kept for the next who does.
local scheduler = require "raft.scheduler"
local waiting = require "raft.waiting"

local M = {}

local Bell = { __name = "raft.services.support.bell" }
Bell.__index = Bell

--- A bell on the loop that is the current one.
function M.new()
  return setmetatable({
    loop = scheduler.current(),
    is_rung = false,  -- since it was waited for last?
    finish = false,   -- ends the wait; false: nobody waits
  }, Bell)
end

-- For raft.waiting.
function Bell:defer(fn) self.loop:defer(fn) end
function Bell:report(err) self.loop:report(err) end

--- Wakes who waits, from the loop. From anywhere.
function Bell:ring()
  self.is_rung = true
  if self.finish then self.loop:defer(self.finish) end
end

local function start(self, _, answer, ms)
  if self.is_rung then
    self.is_rung = false
    return answer(nil, true)
  end
  local loop, timer, token = self.loop, false, false
  local function finish()
    if self.finish ~= finish then return end  -- both the ring and the time
    self.finish, self.is_rung = false, false
    loop:close(timer)
    loop:release(token)
    answer(nil, true)
  end
  token = loop:hold(finish)
  if not token then return answer(nil, true) end  -- everything ends just now
  self.finish, timer = finish, loop:after(ms, finish)
end

--- Waits.
-- @function Bell:wait
Bell.wait = waiting.method {
  name = "bell:wait", args = 1, timeout = false, start = start,
}

return M
