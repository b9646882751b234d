--- What a transport tells of its troubles: counters, and lines in the logger.
-- A stranger may knock a thousand times a second: it gets one line in a while.
local Throttle = require "raft.transport.throttle"

local Report = { __name = "raft.report" }
Report.__index = Report

local M = {}

local COUNTERS <const> = {
  "accept_failed",    -- the system could not accept
  "bad_frame",        -- no greeting, or a damaged one
  "dial_failed",      -- nobody there
  "dropped",          -- strings not sent: no link, or its queue is full
  "duplicates",       -- links closed in favour of another with the same peer
  "misdirected",      -- greetings for somebody else
  "peer_timeout",     -- no greeting in time, or a link gone silent
  "pending_dropped",  -- too many that have not greeted: the oldest
  "refused",          -- peers that our judge refused
  "refused_by_peer",  -- peers that refused us
}

--- The guard of an owner that has none: what raises is told, and that is all.
function M.guard(logger)
  return function(fn)
    return function(...)
      local ok, what = xpcall(fn, debug.traceback, ...)
      if not ok then logger:error("transport raised", { what = what }) end
    end
  end
end

--- @param logger @{raft.logger}; @param now function() -> ms
-- @param complain_ms one line per address and text in that time
function M.new(logger, now, complain_ms)
  local counters = {}
  for _, name in ipairs(COUNTERS) do counters[name] = 0 end
  return setmetatable({
    logger = logger,
    now = now,
    throttle = Throttle.new(complain_ms),
    counters = counters,
  }, Report)
end

function Report:count(name)
  self.counters[name] = self.counters[name] + 1
end

--- A warning, at most one in a while for each host and text.
function Report:complain(address, text, fields)
  local host = address:match("^(.*):%d+$") or address
  local held = self.throttle:passes(host .. " " .. text, self.now())
  if not held then return end
  fields = fields or {}
  fields.address = address
  if held > 0 then fields.held_back = held end
  self.logger:warn(text, fields)
end

--- A line about a link, for those who want to know: not a trouble.
function Report:note(text, link, reason)
  self.logger:info(text, { peer = link.id, address = link.address,
    dialed = link.is_dialed, reason = reason })
end

return M
