--- The frame of the labs of MIT 6.5840, on raft.sim, in virtual time: servers
-- that are cut off and come back, crash and start again, a network that loses
-- and delays, and one(): has everybody the command by now?
--
-- What the words of the labs mean here:
--
--   disconnect     all wires of a server are cut, both ways; the connections
--                  stay and are sent over again, as TCP does
--   crash          a power cut: what the disk had not synced is at risk
--   unreliable     each frame, be it a request or its answer, is lost with 10 %
--                  or comes up to 26 ms late, each for itself
--   reordering     two of three answers come 200 to 2200 ms late
--   start          propose with forward = false, on a server that leads
--   index          the place among the commands that were applied; entries of
--                  our own (configurations, the no-op of a term) do not count
--   an RPC         a frame that asks something of the other end's Raft. Pings
--                  belong to connections, greet them and keep them, which the
--                  network of the labs does for nothing: counted apart
--
-- Everything waits in virtual time, inside sim:run.
local network = require "spec.labs.network"
local sim = require "raft.sim"

local M = {}

M.ELECTION_MS = 1000              -- RaftElectionTimeout of the labs
local AGREE_MS <const> = 10000    -- for one(), tries and all
local RETRY_MS <const> = 2000     -- before one() submits again
local WAIT_POLLS <const> = 30     -- of wait()
local ENTRY_HEADER_BYTES <const> = 40

local Harness = { __name = "labs" }
Harness.__index = Harness
for name, method in pairs(network.methods) do Harness[name] = method end

--- Fails the test.
function M.fail(text, ...)
  error(text:format(...), 0)
end
local fail = M.fail

--- Fails it unless this is so.
function M.expect(is_so, text, ...)
  if not is_so then fail(text, ...) end
end
local expect = M.expect

------------------------------------------------------------------- servers --

-- What a server of the Raft labs applies to: a list of commands.
function Harness:recorder(id)
  local log = {}
  self.logs[id] = log
  return {
    apply = function(command)
      log[#log + 1] = command
      self:note_applied(id, #log, command)
      return #log
    end,
  }
end

-- The same command everywhere, and each command once.
function Harness:note_applied(id, index, command)
  local known = self.applied[index]
  if known and known ~= command then
    self.broken = ("%s has another command at index %d than others had")
      :format(id, index)
  end
  local place = self.places[command]
  if place and place ~= index then
    self.broken = ("%s has at index %d what was committed at %d"):format(id,
      index, place)
  end
  self.applied[index], self.places[command] = command, index
end

--- Bytes of the entries behind its newest snapshot, as they are encoded: what a
-- restart has to do again, and what the labs mean by the size of Raft's state.
-- (A tail before that stays on the disk for who was away for a moment.) Nil of
-- one that is not up.
function Harness:log_bytes(id)
  local driver = self:is_up(id) and self.s.members[id].driver
  if not driver or driver.is_closed or not driver.has_turns then return nil end
  local status, bytes = driver.core:status(), 0
  for index = status.snapshot + 1, status.last do
    local kind, _, _, command = driver.core:entry(index)
    expect(kind, "entry %d of %s is not in memory", index, id)
    bytes = bytes + ENTRY_HEADER_BYTES + #command
  end
  return bytes
end

--- Is the server's process there?
function Harness:is_up(id)
  return self.s.members[id]:is_up()
end

-- The status of a server that runs.
local function status_of(self, id)
  local status = self:is_up(id) and self.s:node(id):status()
  return status and status.state == "running" and status
end

--- Does it lead, as far as it knows?
function Harness:is_leader(id)
  local status = status_of(self, id)
  return status and status.role == "leader"
end

--- The server that is `steps` places after this one, around the ring.
function Harness:after(id, steps)
  local ids = self.s.ids
  for i, other in ipairs(ids) do
    if other == id then return ids[(i - 1 + steps) % #ids + 1] end
  end
end

function Harness:crash(...)
  for _, id in ipairs { ... } do
    self.is_connected[id] = false
    self.s:crash(id, "power")
  end
  self:wire()
end

--- Starts servers that are down, and connects them.
function Harness:restart(...)
  for _, id in ipairs { ... } do
    if not self:is_up(id) then self.s:restart(id) end
  end
  self:connect(...)
end

function Harness:each(fn)
  for _, id in ipairs(self.s.ids) do fn(id) end
end

--------------------------------------------------------------------- waiting --

function Harness:sleep(ms) self.s:sleep(ms) end

--- Starts fn beside: a task, for join.
function Harness:spawn(fn) return self.s:spawn(fn) end

--- Waits for tasks; what one of them raised is raised here.
function Harness.join(_, tasks)
  for _, task in ipairs(tasks) do
    local _, err = task:wait()
    if err then fail("%s", err.message) end
  end
end

--- The server that leads; those that are cut off do not count.
function Harness:check_one_leader()
  for _ = 1, 10 do
    self:sleep(self.random:between(450, 550))
    local leaders, newest = {}, 0
    self:each(function(id)
      local status = self.is_connected[id] and status_of(self, id)
      if not status or status.role ~= "leader" then return end
      local term = status.term
      expect(not leaders[term], "term %d has two leaders", term)
      leaders[term], newest = id, math.max(newest, term)
    end)
    if leaders[newest] then return leaders[newest] end
  end
  fail("expected one leader, got none")
end

function Harness:check_no_leader()
  self:each(function(id)
    expect(not (self.is_connected[id] and self:is_leader(id)),
      "expected no leader among those connected, but %s claims to be", id)
  end)
end

--- The term all connected servers agree on.
function Harness:check_terms()
  local term
  self:each(function(id)
    local status = self.is_connected[id] and status_of(self, id)
    if not status then return end
    term = term or status.term
    expect(term == status.term, "servers disagree on the term")
  end)
  return term
end

--- How many servers have applied something at this index, and what.
function Harness:committed(index)
  if self.broken then fail("%s", self.broken) end
  local count = 0
  self:each(function(id)
    if self:is_up(id) and self.logs[id][index] then count = count + 1 end
  end)
  return count, self.applied[index]
end

--- Waits until n servers have applied what is at this index: that; or nil
-- when the term has gone on meanwhile.
function Harness:wait(index, n, term)
  local pause_ms = 10
  for _ = 1, WAIT_POLLS do
    local count, command = self:committed(index)
    if count >= n then return command end
    self:sleep(pause_ms)
    pause_ms = math.min(2 * pause_ms, 1000)
    if term and self:newest_term() > term then return nil end
  end
  fail("only %d of %d servers have index %d", self:committed(index), n, index)
end

function Harness:newest_term()
  local newest = 0
  self:each(function(id)
    local status = status_of(self, id)
    if status then newest = math.max(newest, status.term) end
  end)
  return newest
end

-------------------------------------------------------------------- commands --

--- A command for the leader: a ticket { text, term, err, index, is_answered };
-- nil when this server does not lead.
function Harness:start(id, payload)
  local status = status_of(self, id)
  if not status or status.role ~= "leader" then return nil end
  self.serial = self.serial + 1
  local ticket = { text = ("%s #%d"):format(payload, self.serial),
    term = status.term, is_answered = false }
  self.s:node(id):propose(ticket.text, { forward = false, timeout = false },
    function(err, index)
      ticket.err, ticket.index, ticket.is_answered = err, index, true
    end)
  return ticket
end

-- Offers it to the connected servers in turn.
local function start_somewhere(self, payload)
  local ids = self.s.ids
  for _ = 1, #ids do
    self.turn = self.turn % #ids + 1
    local id = ids[self.turn]
    local ticket = self.is_connected[id] and self:start(id, payload)
    if ticket then return ticket end
  end
end

--- Has n servers agree on a command, within 10 s: its index.
-- @param may_retry submit it again where nothing came of it in 2 s
function Harness:one(payload, n, may_retry)
  local limit_ms = self.s:now() + AGREE_MS
  while self.s:now() < limit_ms do
    local ticket = start_somewhere(self, payload)
    local stop_ms = self.s:now() + (ticket and RETRY_MS or 0)
    while self.s:now() < stop_ms do
      local index = self.places[ticket.text]
      if index and self:committed(index) >= n then return index end
      self:sleep(20)
    end
    if ticket and not may_retry then break end
    self:sleep(50)
  end
  fail("no agreement of %d servers on a command", n)
end

---------------------------------------------------------------- construction --

--- A harness of so many servers, formed and wired.
-- @param options servers, node (function(t, id): what a server is), trace
function M.new(seed, options)
  local self = setmetatable({
    s = false, random = false,
    logs = {},             -- id -> commands that this life has applied
    applied = {},          -- index -> command
    places = {},           -- command -> index
    is_connected = {},     -- id -> boolean
    is_unreliable = false,
    rpcs = 0,              -- calls between servers so far
    pings = 0,             -- beside them
    serial = 0,            -- commands started so far; makes each one unique
    turn = 0,              -- the server that was offered a command last
    moments = 0,           -- calls and returns of clients so far
    history = {},          -- of clients, for the linearizability checker
    broken = false,        -- what did not hold, in words
  }, Harness)
  local node = options.node or Harness.recorder
  self.s = sim.new { seed = seed, nodes = options.servers,
    network = { delay = network.DELAY }, trace = options.trace,
    node = function(id) return node(self, id) end }
  self.random = self.s.world:random "labs"
  self:each(function(id) self.is_connected[id] = true end)
  network.count(self)
  return self
end

return M
