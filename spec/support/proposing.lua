--- Proposals and what sends them, with a driver and a core made for it.
local errors = require "raft.errors"
local proposals = require "raft.node.proposals"
local session_entry = require "raft.session_entry"

local M = {}

M.SESSION = 7  -- the session of the node

local Core = {}
Core.__index = Core

function Core:propose(_, command, count)
  if self.refuses then return nil, self.refuses end
  if type(command) == "table" then
    table.move(command, 1, count, #self.log + 1, self.log)
    return self.first + #self.log - count
  end
  self.log[#self.log + 1] = command
  return self.first + #self.log - 1
end

-- A session entry in words: "a", or "open".
local function words(request)
  local entry = assert(session_entry.decode(request))
  return entry.op == "command" and entry.command or entry.op
end

function Core:propose_session(_, request, count)
  if type(request) == "table" then
    local list = {}
    for i = 1, count do list[i] = words(request[i]) end
    return self:propose(0, list, count)
  end
  local index, why = self:propose(0, words(request))
  if index then self.requests[#self.requests + 1] = request end
  return index, why
end

function Core:forward_session(_, token, ...)
  if self.refuses then return nil, self.refuses end
  local forward = { token = token, requests = { ... } }
  for i, request in ipairs(forward.requests) do forward[i] = words(request) end
  self.forwards[#self.forwards + 1] = forward
  return true
end

function Core:term_at() return self.applied_term end

function Core:status() return { pending_bytes = self.pending } end

--- A driver: `n2` leads, a link with it is up, and a session is open.
function M.driver()
  local driver = {
    id = "n1",
    options = { max_pending_bytes = 1000, max_command_bytes = 600,
      heartbeat = 10,
      election_timeout = { min = 50, max = 100 } },
    core = setmetatable({ log = {}, first = 1, requests = {}, forwards = {},
      pending = 0, refuses = false, applied_term = 5 }, Core),
    role = "follower", term = 5, leader = "n2", applied = 0,
    links = { n2 = true, n3 = true },
    time = 0, acknowledged = 0, flushes = 0, events = {}, reports = {},
  }
  function driver.now() return driver.time end
  function driver.reaches(_, id) return driver.links[id] or false end
  function driver.leader_error() return errors.new("not_leader", "n2") end
  function driver.report(_, err) driver.reports[#driver.reports + 1] = err end
  function driver.acknowledge(_, index) driver.acknowledged = index end
  function driver.wants_flush() driver.flushes = driver.flushes + 1 end
  function driver.emit(_, name)
    driver.events[#driver.events + 1] = name
  end
  function driver.why_no_leader() return "no leader is known" end
  function driver.tell_wall() end
  driver.deferred = {}
  function driver.defer(_, fn) driver.deferred[#driver.deferred + 1] = fn end
  driver.node = driver
  driver.proposals = proposals.new(driver)
  driver.outbox = driver.proposals.outbox
  driver.forwarding = driver.outbox.forwarding
  driver.forwarding.session:opening()
  driver.forwarding.session:opened(M.SESSION)
  return driver
end

--- Proposes; the answer is noted under the command: "ok 7", "lost", "unknown".
function M.propose(driver, answers, command, options)
  local waiter = {
    command = command, can_forward = true, can_wait = false, deadline = false,
    answer = function(err, result)
      assert(answers[command] == nil, "answered twice")
      answers[command] = err and err.code or "ok " .. tostring(result)
    end,
  }
  for name, value in pairs(options or {}) do waiter[name] = value end
  driver.proposals:submit(waiter)
end

--- An entry is applied: with this result, or an error value.
function M.apply(driver, index, term, result)
  driver.applied = index
  local is_error = errors.is_error(result)
  driver.proposals:applied(index, term, not is_error, result)
end

--- The commands of forward `i`, as words.
function M.sent(driver, i)
  local forward = driver.core.forwards[i]
  return forward and table.concat(forward, " ") or "none"
end

return M
