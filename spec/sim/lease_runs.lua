--- Runs in which a leader that was just replaced is asked for a read: one for
-- each rule of leases (docs/MEMBERSHIP.md). With the rule each is linearizable;
-- the museum takes the rules out and shows that each is not, without it.
--
--   runs.sending(seed)   raises what is wrong: the checker's words, or others
local linearizable = require "raft.sim.linearizable"
local models = require "raft.sim.models"
local sim = require "raft.sim"

local M = {}

local SOON <const> = { 500, 510 }    -- so that it is known when one comes
local USUAL <const> = { 500, 1000 }
local READS_MS <const> = 1000          -- how long the old leader is asked
local READ_EVERY_MS <const> = 2

-- A counter: commands are numbers to add, a query asks for the sum.
local function counter(election)
  return function()
    local total = 0
    return {
      leases = true, election_timeout = election,
      apply = function(command)
        total = total + math.tointeger(tonumber(command))
        return total
      end,
      query = function() return total end,
    }
  end
end

-- What clients saw, as the checker takes it.
local function history_of(s)
  local list = {}
  for i, o in ipairs(s:history()) do
    list[i] = { client = o.client, call = o.call, back = o.back,
      output = o.output, outcome = o.outcome,
      input = o.kind == "query" and { op = "get" }
        or { op = "add", by = math.tointeger(tonumber(o.input)) } }
  end
  return list
end

local function check(s)
  local verdict, info = linearizable.check(history_of(s), models.counter())
  if verdict ~= "ok" then error(verdict .. ": " .. info.text, 0) end
end

local function must(s, what, ms, predicate)
  local value = s:wait(predicate, ms)
  if not value then error(("no %s within %d ms"):format(what, ms), 0) end
  return value
end

-- Asks a node for reads, again and again, and does not wait for the answers.
local function keep_reading(s, id)
  local count = 0
  s:spawn(function()
    local until_ms = s:now() + READS_MS
    while s:now() < until_ms do
      count = count + 1
      s:spawn(function()
        s:node(id):query("total", { consistency = "lease", timeout = 50 })
      end)
      s:sleep(READ_EVERY_MS)
    end
  end)
end

-- Another one leads than `old`; adds 1 there, and has it acknowledged.
local function write_elsewhere(s, old)
  local new = must(s, "new leader", 10000, function()
    local leader
    for _, id in ipairs(s.ids) do
      local is_new = id ~= old and s.members[id]:is_up()
        and s:node(id):is_leader()
      leader = leader or (is_new and id)
    end
    return leader
  end)
  s:spawn(function() s:node(new):propose("1", { timeout = 5000 }) end)
  return new
end

-- story(s, leader, others) runs on a cluster that is well.
local function on_cluster(seed, options, story)
  options.seed = seed
  options.node = options.node or counter(SOON)
  local s <close> = sim.new(options)
  s:run(function()
    must(s, "leader", 20000, function() return s:is_formed() and s:leader() end)
    local leader = s:leader()
    assert(s:node(leader):propose("1"))
    local others = {}
    for _, id in ipairs(s.ids) do
      if id ~= leader then others[#others + 1] = id end
    end
    s:sleep(1000)
    assert(s:node(leader):status().has_lease, "no lease to begin with")
    story(s, leader, others)
    s:sleep(READS_MS + 500)
    check(s)
  end)
  assert(s:check())
end

--- Rule 1, from the sending: answers lie in the leader's socket while it stands
-- still, and it reads them when it is none any more.
function M.sending(seed)
  on_cluster(seed, { network = { delay = { 40, 60 } }, node = counter(USUAL) },
    function(s, leader, others)
      s:pause(leader)
      s:sleep(150)
      s:partition({ leader }, others)
      local new = write_elsewhere(s, leader)
      must(s, "write", 2000, function()
        return s:node(new):status().applied > s:node(new):status().first + 1
          and s:node(new):status().commit == s:node(new):status().last
      end)
      s:sleep(200)
      s:resume(leader)
      keep_reading(s, leader)
    end)
end

--- Rule 2, a quorum: the leader has one of five on its side.
function M.quorum(seed)
  on_cluster(seed, { nodes = 5 }, function(s, leader, others)
    s:partition({ leader, others[1] }, { table.unpack(others, 2) })
    keep_reading(s, leader)
    write_elsewhere(s, leader)
  end)
end

--- Rule 3, handed over: the heir leads, and who told it so has not heard.
function M.transfer(seed)
  on_cluster(seed, {}, function(s, leader, others)
    s:cut(others[1], leader, false)
    s:cut(others[2], leader, false)
    keep_reading(s, leader)
    s:spawn(function()
      s:node(leader):transfer(others[1], { timeout = 100 })
    end)
    write_elsewhere(s, leader)
  end)
end

-- ms until the time-out of this node, as its own clock has it.
local function ms_to_time_out(s, id)
  local driver = s.members[id].driver
  local due = driver.core:deadline()
  return due and due - driver:now() or math.huge
end

--- Rule 4, restarts: who kept the lease up is killed and back at once, while
-- another one that does not hear the leader is about to ask for votes.
function M.restart(seed)
  on_cluster(seed, {}, function(s, leader, others)
    local keeper, rival = others[1], others[2]
    s:cut(leader, rival)
    s:sleep(2000)  -- it has given the leader up
    must(s, "time-out", 5000, function()
      local left = ms_to_time_out(s, rival)
      return left > 50 and left < 150
    end)
    keep_reading(s, leader)
    s:crash(keeper, "process")
    s:cut(leader, keeper)
    s:restart(keeper)
    write_elsewhere(s, leader)
  end)
end

--- Nine tenths, for clocks: the leader's goes as slowly as may be, the others'
-- as fast. So long as they do not differ by more than a tenth.
function M.clocks(seed)
  on_cluster(seed, { node = counter { 500, 502 } }, function(s, leader, others)
    s.members[leader].loop:set_rate(-50000)
    for _, id in ipairs(others) do s.members[id].loop:set_rate(50000) end
    s:sleep(2000)
    s:partition({ leader }, others)
    keep_reading(s, leader)
    write_elsewhere(s, leader)
  end)
end

--- Check-quorum's other half: who hears the leader does not help another one
-- that does not. [Thesis 4.2.3]
function M.stickiness(seed)
  on_cluster(seed, { node = counter(USUAL) }, function(s, leader, others)
    s:cut(leader, others[1])
    s:wait(function() return s:node(others[1]):is_leader() end, 1500)
    s:partition({ leader }, others)
    keep_reading(s, leader)
    write_elsewhere(s, leader)
  end)
end

return M
