-- Requests of clients that are applied in slices come to what they come to one
-- by one: the same commands in the same order, answers, reports, digests of
-- results, and bytes in a snapshot.
local Machine = require "raft.machine"
local answers = require "raft.answers"
local applying = require "raft.node.applying"
local dice = require "spec.support.dice"
local errors = require "raft.errors"
local helper = require "spec.support.helper"
local raft = require "raft.core"
local replica_state = require "raft.replica_state"
local session_entry = require "raft.session_entry"

local TTL_MS <const> = 1000  -- the shortest there is
local ROUNDS <const> = 150
local LIMITS <const> = {
  {}, { sessions_max = 2 }, { answers_max = 6 }, { bytes_max = 9000 },
  { bytes_max = 40000 }, { sessions_max = 3, answers_max = 20,
    bytes_max = 120000 },
}

local function leader()
  local core = raft.new { id = "n1", incarnation = 100, seed = 1,
    election_min_ms = 100, election_max_ms = 200, heartbeat_ms = 20,
    command_bytes_max = 100000, pending_bytes_max = 64 << 20,
    message_bytes_max = 1 << 20, inflight_bytes_max = 1 << 20,
    memory_bytes_max = 64 << 20 }
  core:start(1000)
  core:form(1000, { election_min_ms = 100,
    members = { n1 = { address = "h:1" } } })
  for _ = 1, 4 do
    core:tick(2000)
    for kind, _, seq in core:effects() do
      if kind == "store" then core:stored(2000, seq) end
    end
  end
  return core
end

---------------------------------------------------------------- the machine --

-- First letter of a command -> what it comes to.
local RESULTS <const> = {
  n = function(count) return count end,
  f = function(count) return count / 3 end,
  s = function(_, command) return command end,
  l = function(count) return ("l"):rep(900 + count % 300) end,
  b = function(count) return ("b"):rep(5000 + count) end,
  t = function(_, _, state) return state end,  -- which goes on to change
  z = function() end,
  x = function() return false end,
  w = function() return nil, "not now" end,
  W = function(_, _, state) return nil, state end,
  v = function(count) return "a value", ("why"):rep(count % 500) end,
  V = function(_, _, state) return "a value", state end,
  F = function() return print end,
  e = function(count) error("boom " .. count) end,
  E = function(_, _, state) error(state) end,
}
local KINDS <const> = { "n", "n", "n", "n", "n", "s", "s", "s", "s", "f", "l",
  "b", "t", "z", "x", "w", "W", "v", "V", "F", "e", "E" }

local function new_machine(ran)
  local state = { count = 0 }
  return Machine.new { apply = function(command, entry)
    state.count = state.count + 1
    ran[#ran + 1] = ("%s %d %d %d"):format(command, entry.index, entry.term,
      entry.time)
    return RESULTS[command:sub(1, 1)](state.count, command, state)
  end }
end

-- A driver over this core. One by one: it is told of no requests in a row.
local function new_driver(core, limits, is_one_by_one)
  local log = { ran = {}, answers = {}, reports = {}, digests = {},
    slices = 0 }
  local driver = { log = log, applied = 0, apply_last = 0, void_upto = 0,
    is_closed = false, lacks_commands = false, is_replaying = false,
    options = { compare_every = 7 }, kept = replica_state.new(limits),
    machine = new_machine(log.ran), reads = { applied = function() end } }
  driver.core = {
    run = function(_, ...) return core:run(...) end,
    requests = function(_, ...)
      if not is_one_by_one then return core:requests(...) end
    end,
    results = function(_, _, index, digest)
      log.digests[#log.digests + 1] = ("%d: %x"):format(index, digest)
      return true
    end,
    applied = function() return true end,
  }
  driver.proposals = {
    are_waiting = function() return true end,
    group_at = function() end,
    applied = function(_, index, term, ok, value, why)
      assert(driver.applied >= index)
      log.answers[#log.answers + 1] = ("%d/%d: %s"):format(index, term,
        answers.encode(ok, value, why))
    end,
  }
  local apply_many = driver.machine.apply_many
  function driver.machine.apply_many(...)
    local slice = apply_many(...)
    log.slices = log.slices + (slice.count > 1 and 1 or 0)
    return slice
  end
  function driver.now() return 0 end
  function driver.step(_, ok) return ok end
  function driver.emit() end
  function driver.report(_, err)
    log.reports[#log.reports + 1] = errors.text(err)
  end
  return driver
end

------------------------------------------------------------------- traffic --

-- Somebody who has a session, or thinks so.
local function new_caller(id)
  return { id = id, last = 0, floor = 1 }
end

local function command(d, caller, sequence, floor)
  return session_entry.encode { op = "command", session = caller.id,
    sequence = sequence, floor = floor,
    command = d:pick(KINDS) .. caller.id .. "/" .. sequence }
end

local MOVES <const> = {}

-- Some in a row, and the floor follows more or less closely.
function MOVES.go(d, caller, list)
  for _ = 1, d:integer(1, 30) do
    caller.last = caller.last + 1
    if d:once_in(2) then
      caller.floor = math.max(caller.floor, caller.last - d:integer(0, 8))
    end
    list[#list + 1] = command(d, caller, caller.last, caller.floor)
  end
end

-- What was sent is sent again, with what comes behind it.
function MOVES.again(d, caller, list)
  local from = math.max(1, caller.last - d:integer(0, 6))
  local to = caller.last + d:integer(0, 4)
  for sequence = from, to do
    list[#list + 1] = command(d, caller, sequence,
      math.min(caller.floor, sequence))
  end
  caller.last = math.max(caller.last, to)
end

-- What was given up is passed over; or was not, and is missing.
function MOVES.skip(d, caller, list)
  caller.last = caller.last + d:integer(1, 3)
  if d:once_in(2) then caller.floor = caller.last + 1 end
  MOVES.go(d, caller, list)
end

function MOVES.keep(d, caller, list)
  caller.floor = math.max(caller.floor, caller.last + d:integer(-3, 2))
  list[#list + 1] = session_entry.encode { op = "keep", session = caller.id,
    sequence = 0, floor = caller.floor, command = "" }
end

function MOVES.close(d, caller, list)
  if not d:once_in(5) then return end
  list[#list + 1] = session_entry.encode { op = "close", session = caller.id,
    sequence = 0, floor = 0, command = "" }
end

function MOVES.garbage(d, _, list)
  list[#list + 1] = ("\2"):rep(d:integer(0, 40))
end

local WHAT <const> = { "go", "go", "go", "go", "again", "skip", "keep", "close",
  "garbage" }

-- Appends what happens in one turn.
local function extend(d, core, world)
  world.time = world.time + d:pick { 0, 1, 5, 50,
    d:once_in(4) and d:integer(0, 3 * TTL_MS) or 9 }
  core:wall(world.time)
  if #world.callers == 0 or d:once_in(6) then
    local index = core:propose_session(2000, session_entry.encode { op = "open",
      session = 0, sequence = TTL_MS * d:integer(1, 3), floor = 0,
      command = "" })
    world.callers[#world.callers + 1] = new_caller(index)
  end
  for _ = 1, d:integer(1, 3) do
    local list, newest = {}, #world.callers
    local caller = world.callers[d:integer(math.max(1, newest - 2), newest)]
    MOVES[d:pick(WHAT)](d, caller, list)
    if #list > 0 then assert(core:propose_session(2000, list, #list)) end
    if d:once_in(6) then core:propose(2000, "n", "s") end
  end
end

local function snapshot_of(driver)
  local pieces = {}
  driver.kept:save(function(piece) pieces[#pieces + 1] = piece end)
  return table.concat(pieces)
end

-- Takes over what it has said itself, as after a restart.
local function reload(driver, limits)
  local bytes = snapshot_of(driver)
  local kept = replica_state.new(limits)
  kept:load(function()
    local piece = bytes
    bytes = nil
    return piece
  end)
  driver.kept = kept
end

-- The same table goes on.
local function clear(list)
  for i = #list, 1, -1 do list[i] = nil end
end

local function compare(one, many)
  assert.equal(one.applied, many.applied)
  assert.equal(snapshot_of(one), snapshot_of(many))
  for _, what in ipairs { "ran", "answers", "reports", "digests" } do
    assert.same(one.log[what], many.log[what])
    clear(one.log[what])
    clear(many.log[what])
  end
  local a, b = one.kept.sessions, many.kept.sessions
  assert.same({ a.count, a.bytes }, { b.count, b.bytes })
end

local function run(seed, limits)
  local d, core = dice.new(seed, 1), leader()
  local one = new_driver(core, limits, true)
  local many = new_driver(core, limits, false)
  local world = { time = 5000, callers = {} }
  for round = 1, ROUNDS do
    extend(d, core, world)
    local last = core:status().last
    local upto = d:integer(many.applied, last)
    for _, driver in ipairs { one, many } do
      driver.apply_last = upto
      applying.apply_some(driver, true)
      local log = driver.log
      log.total = (log.total or 0) + #log.ran
    end
    compare(one, many)
    if round % 20 == 0 then reload(many, limits) end
  end
  return many.log
end

describe("requests in slices", function()
  for i, limits in ipairs(LIMITS) do
    it("come to the same as one by one, with limits " .. i, function()
      local seed = helper.seed()
      local slices = 0
      for round = 1, 4 do
        local log = run(seed + round, limits)
        slices = slices + log.slices
        assert.is_true(log.total > 200, log.total .. " applied")
      end
      assert.is_true(slices > 20, slices .. " slices")
    end)
  end
end)
