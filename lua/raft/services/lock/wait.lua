--- raft.services.lock.wait: acquires a lock that somebody else may hold.
--
-- It asks; where it is refused it waits for what is left of the lease, and
-- looks now and then whether the lock was released before that. Looking is a
-- query and leaves nothing in the log. To ask again does no harm: an owner that
-- holds the lock keeps its token. So it also goes on where an answer was lost.
--
-- Limits. Among those that wait there is no order.
local Machine = require "raft.machine"
local errors = require "raft.errors"
local scheduler = require "raft.scheduler"
local schema = require "raft.schema"
local waiting = require "raft.waiting"

local M = {}

local TTL_MS <const> = 10000
local POLL_MS <const> = 100   -- between two looks
local AGAIN_MS <const> = 50   -- after an answer that was lost
local NAME <const> = "raft.services.lock.wait"

local Wait = { __name = NAME }
Wait.__index = Wait

------------------------------------------------------------------ its answer --

local function finish(self, err, token)
  if self.is_over then return end
  self.is_over = true
  self.loop:release(self.held)
  if self.timer then self.loop:close(self.timer) end
  if self.deadline then self.loop:close(self.deadline) end
  self.answer(err, token)
end

-- It may have come to hold the lock unless the last word was no.
local function is_unknown(self)
  return self.is_asking or self.is_lost
end

local function too_late(self)
  local why = self.err and ": " .. self.err.message or ""
  finish(self, errors.new("timeout", ("lock %s: not acquired within %d ms%s")
    :format(errors.text(self.key), self.opts.timeout, why),
    { outcome = is_unknown(self) and "unknown" or "none",
      cause = self.err or nil }))
end

local function ended(self)
  finish(self, errors.new("closed", "the loop ended before the lock was "
    .. "acquired", { outcome = is_unknown(self) and "unknown" or "none" }))
end

---------------------------------------------------------------- its attempts --

local ask  -- function(self): the attempt

-- Nobody can say what became of it, or it did not happen: ask again.
local AGAIN <const> = { timeout = true, unknown = true,
  session_expired = true }

local function holder_of(err)
  return err.code == "refused" and type(err.value) == "table" and err.value
end

-- Calls fn(self) in ms, at the latest when the poll is due.
local function pause(self, ms, fn)
  ms = math.max(1, math.min(ms, self.opts.poll_ms))
  self.timer = self.loop:after(ms, function()
    self.timer = false
    self.left_ms = self.left_ms - ms
    if not self.is_over then fn(self) end
  end)
end

-- An error that is not the end: true when it was taken care of.
local function goes_on(self, err, fn)
  if not err.retry and not AGAIN[err.code] then return false end
  self.err = err
  pause(self, AGAIN_MS, fn)
  return true
end

-- Is the lock still held as we were told? A lease that is over ends with the
-- next command, and ours may be that.
local function look(self)
  if self.left_ms <= 0 then return ask(self) end
  self.proxy.get(self.key, function(err, holder)
    if self.is_over then return end
    if err then
      return goes_on(self, err, look) or finish(self, err)
    elseif not holder or holder.owner == self.opts.owner then
      return ask(self)
    end
    if holder.until_ms ~= self.until_ms then  -- renewed, or another's
      self.until_ms, self.left_ms = holder.until_ms, holder.left_ms
    end
    pause(self, self.left_ms, look)
  end)
end

local function refused(self, err)
  local holder = holder_of(err)
  if not holder then  -- the arguments, or no room
    return goes_on(self, err, ask) or finish(self, err)
  end
  self.err, self.is_lost = err, false
  self.until_ms, self.left_ms = holder.until_ms, holder.left_ms
  self.floor_ms = math.min(2 * self.floor_ms, self.opts.poll_ms)
  pause(self, math.max(self.left_ms, self.floor_ms), look)
end

function ask(self)
  self.is_asking = true
  self.proxy.acquire(self.key, self.opts.owner, self.opts.ttl_ms,
    function(err, token)
      self.is_asking = false
      if self.is_over then return end
      if not err then return finish(self, nil, token) end
      self.is_lost = self.is_lost or err.outcome == "unknown"
      refused(self, err)
    end)
end

-------------------------------------------------------------------- the call --

-- Level 4 is the user.
local function check(proxy, opts)
  if type(proxy) ~= "table" or type(proxy.acquire) ~= "function" then
    error(("%s: expected the proxy of a lock service, got %s"):format(NAME,
      schema.show(proxy)), 4)
  elseif not opts.owner then
    error(NAME .. ": owner: expected who wants the lock, got nil", 4)
  end
end

local function start(loop, opts, answer, proxy, key)
  check(proxy, opts)
  local self = setmetatable({
    loop = loop, opts = opts, answer = answer, proxy = proxy, key = key,
    err = false,       -- the last one
    until_ms = 0,      -- end of the lease that is in the way,
    left_ms = 0,       -- and how long that is from now
    floor_ms = 1,      -- between a refusal and the next acquire: the time of
                       -- the log may stand still for a while
    timer = false, deadline = false, held = false,
    is_asking = false,  -- is an acquire under way?
    is_lost = false,    -- was the answer of one lost?
    is_over = false,
  }, Wait)
  self.held = loop:hold(function() ended(self) end)
  if not self.held then return ended(self) end
  if opts.timeout then
    self.deadline = loop:after(opts.timeout, function() too_late(self) end)
  end
  ask(self)
end

local wait = waiting.method {
  name = NAME, args = 2, start = start,
  check = function() Machine.check_outside(NAME) end,
  options = {
    { "owner", schema.text },
    { "ttl_ms", schema.integer(1, 1 << 53, "ms"), default = TTL_MS },
    { "poll_ms", schema.integer(1, 3600000, "ms"), default = POLL_MS },
  },
}

--- Acquires a lock, and waits for it where somebody else holds it.
-- @param proxy of a lock service, over a node or a client
-- @param opts owner; ttl_ms, timeout, poll_ms
-- @return the token; or nil and an error: `timeout` where it was not to be had
function M.wait(proxy, key, ...)
  return wait(scheduler.current(), proxy, key, ...)
end

return M
