--- The rounds of a transport: no link greets for ever, none is silent for ever.
-- Time is counted in rounds of one timer, not by a clock. Each round is
-- followed by a poll for input, so a process that was stopped or blocked does
-- not take its own silence for that of its peers.
local core = require "raft.core"

local Watch = { __name = "raft.watch" }
Watch.__index = Watch

local M = {}

--- @param sockets @{raft.transport.sockets}; @param limits the transport's
-- @param connections the links to watch; @param report where troubles go
function M.new(sockets, limits, connections, report)
  return setmetatable({
    sockets = sockets,
    limits = limits,
    connections = connections,
    report = report,
    timer = false,
  }, Watch)
end

--- Begins; again: nothing.
function Watch:start()
  if self.timer then return end
  self.timer = self.sockets:timer()
  local round_ms = self.limits.round_ms
  self.sockets:start(self.timer, round_ms, round_ms,
    function() self:round() end)
end

function Watch:close()
  self.sockets:close(self.timer)
end

function Watch:round()
  for _, link in ipairs(self.connections:all()) do
    link:count_round()
    if link.phase == "open" then
      self:look_at_open(link)
    elseif link.phase ~= "closed" then
      self:look_at_greeting(link)
    end
  end
end

-- The round under way has only begun: it does not count as time that passed.
function Watch:is_over(rounds, limit_ms)
  return (rounds - 1) * self.limits.round_ms >= limit_ms
end

function Watch:give_up(link, why)
  self.report:count("peer_timeout")
  self.report:complain(link.address, why, { peer = link.id or nil })
  link:close(why)
end

function Watch:look_at_greeting(link)
  if self:is_over(link.rounds, self.limits.hello_ms) then
    self:give_up(link, "no greeting in time")
  end
end

-- Who is no node has a time-out of its own.
local function silence_of(self, link)
  local is_client = link.purpose == "client"
  return self.limits[is_client and "client_silence_ms" or "silence_ms"]
end

function Watch:look_at_open(link)
  if self:is_over(link.rounds_heard, silence_of(self, link)) then
    return self:give_up(link, "link is silent")
  end
  local quiet_ms = link.rounds_sent * self.limits.round_ms
  if quiet_ms >= self.limits.ping_ms and link:queued() == 0 then
    link:write(core.ping())
  end
end

return M
