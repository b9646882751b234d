--- sim.explore: many seeds, each a swarm of faults; what fails is shrunk.
--
-- A seed's run has three parts. First the workload, under faults. Then a
-- quorum is healed, and only that: it must have a leader within ten election
-- time-outs and take a write within twenty. Then all is healed, and all logs
-- and machines must become equal. The invariants are looked at all the time.
local configuration = require "raft.configuration"
local copies = require "raft.sim.copies"
local errors = require "raft.errors"
local faults = require "raft.sim.faults"
local plans = require "raft.sim.plan"
local schema = require "raft.schema"
local shrink = require "raft.sim.shrink"
local swarm = require "raft.sim.swarm"
local Random = require "raft.sim.random"
local Marks = require "raft.sim.marks"

local M = {}

local ELECTION_MS <const> = 1000  -- longest, of raft.node's default
local DURATION_MS <const> = 20000
local NODES <const> = 5
local SETTLE_MS <const> = 60000
local LOOK_MS <const> = 5000       -- until who is down is started again
local YOUNG <const> = 0.2          -- share of seeds
local TAIL <const> = 8  -- operations that a failure shows

------------------------------------------------------------------- one seed --

-- What is to be run: everything that a seed decides, so that it can be shrunk.
local function draw_case(given, seed)
  local random = Random.new(seed):derive("case")
  local on = given.faults and {} or swarm.draw(random:derive("classes"))
  local case = {
    seed = seed,
    nodes = given.nodes,
    options = swarm.options(on, random:derive("options"), ELECTION_MS),
    plan = false,
    is_young = random:chance(YOUNG),  -- faults before it has formed?
    trace = given.trace,
  }
  local clock = case.options.clock
  clock.rate_ppm = math.min(clock.rate_ppm, given.rate_ppm_max)
  case.snapshots = swarm.snapshots(on, random:derive("snapshots"))
  case.initial = swarm.initial(on, random:derive("initial"), given.nodes)
  local ids = {}
  for i = 1, given.nodes do ids[i] = "n" .. i end
  if not given.faults then
    case.plan = swarm.plan(on, random:derive("plan"), ids, given.duration_ms)
  end
  return case
end

-- Just enough, of those that are whole.
local function quorum(s)
  return copies.quorum(s, s.world:random("quorum"):shuffled(s.ids))
end

-- Only these live, and hear each other.
local function keep_only(s, ids)
  local kept = {}
  for _, id in ipairs(ids) do kept[id] = true end
  s:calm()
  for _, id in ipairs(s.ids) do
    local member = s.members[id]
    local is_well = member:is_up() and not member:is_elsewhere()
    if not kept[id] then s:crash(id)
    elseif not is_well then s:restart(id) end
  end
end

local function demand(s, what, ms, predicate)
  if s:wait(predicate, ms) then return end
  error(errors.new("failed", ("liveness: %s within %d ms"):format(what, ms)), 0)
end

-- A write that had failed, on a disk that hung, may still end one of them: it
-- is started again. False.
local function revive(s, ids)
  for _, id in ipairs(ids) do
    if s.members[id].state == "failed" then s:restart(id) end
  end
  return false
end

local function demand_leader(s, ids, ms)
  demand(s, "no leader of a healed quorum", ms,
    function() return revive(s, ids) or s:leader() end)
end

local function demand_write(s, given, ids, ms)
  local client <close> = s:client("liveness")
  local is_done, is_over, last = false, false, nil
  s:spawn(function()
    repeat
      local _, err = client:propose(given.probe, { timeout = 500 })
      last = err
      is_done = err == nil or err.code == "apply_error" or err.code == "refused"
    until is_done or is_over
  end)
  s:wait(function() return revive(s, ids) or is_done end, ms)
  is_over = true
  if is_done then return end
  error(errors.new("failed", ("liveness: no write within %d ms: %s"):format(ms,
    errors.text(last or "no answer"))), 0)
end

-- Who is at the wrong address stays so only until it is started again.
local function start_all(s)
  for _, id in ipairs(s.ids) do
    local member = s.members[id]
    if member:is_up() and member:is_elsewhere() then s:restart(id) end
    faults.start_again(s, id)
  end
end

-- Has a change that has begun come to its end, and is everybody equal?
local function is_over(s)
  local config = s.operator:config()
  local is_settled = not config or configuration.is_settled(config)
  return is_settled and #s.operator:broken() == 0 and s:is_settled()
end

-- What is not well yet: a change, a member whose directory is lost, or logs.
local function what_is_left(s)
  local broken, config = s.operator:broken(), s.operator:config()
  if #broken > 0 then
    return table.concat(broken, " ") .. " cannot come in again"
  elseif config and not configuration.is_settled(config) then
    return "a change does not come to its end"
  end
  return "logs and machines are not equal"
end

-- Those whose directories are lost come in again, as the documents say; who
-- had to stop is started again.
local function demand_equal(s)
  local limit = s:now() + SETTLE_MS
  local function is_late() return s:now() > limit end
  repeat
    start_all(s)
    for _, id in ipairs(s.operator:broken()) do s.operator:mend(id, is_late) end
    if s:wait(function() return is_over(s) end, LOOK_MS) then return end
  until is_late()
  demand(s, what_is_left(s), SETTLE_MS, function() return is_over(s) end)
end

-- The workload and the faults, these to their end. What comes back waits for
-- the workload: what it asks for while all is down takes its time.
local function trouble(s, given, case)
  local problem
  local work = s:spawn(function()
    local ok, value = xpcall(given.workload, debug.traceback, s,
      s.world:random("workload"))
    if not ok then problem = value end
  end)
  if case.plan then
    s.is_planned = true
    plans.schedule(s, case.plan)
  else
    local watched
    watched, case.recorded = plans.recording(s, faults.methods)
    s:spawn(function() given.faults(watched, s.world:random("faults")) end)
  end
  s:sleep(given.duration_ms)
  return function()
    local _, err = work:wait { timeout = given.duration_ms + SETTLE_MS }
    if problem or err then error(problem or err, 0) end
  end
end

local function scenario(s, given, case)
  if not case.is_young then
    demand(s, "the cluster has not formed", SETTLE_MS,
      function() return s:is_formed() end)
  end
  s:disturb(case.options)
  local finish = trouble(s, given, case)
  local kept = quorum(s)
  keep_only(s, kept)
  demand_leader(s, kept, 10 * ELECTION_MS + SETTLE_MS)
  demand_write(s, given, kept, 20 * ELECTION_MS)
  finish()
  demand_equal(s)
  if given.check then
    local ok, err = given.check(s)
    if ok == false or (ok == nil and err ~= nil) then
      error(errors.new("failed", errors.text(err or "check said no")), 0)
    end
  end
  assert(s:check())
end

local function text_of(err)
  return errors.is_error(err) and err.message or tostring(err)
end

--- Runs a case: true, nothing, and the simulation; or false and what failed.
function M.run_case(given, case)
  local s <close> = given.new {
    seed = case.seed, nodes = case.nodes, node = given.node,
    clock = case.options.clock, may_fail = case.options.may_fail,
    snapshots = case.snapshots, initial = math.min(case.initial, case.nodes),
    trace = case.trace,
  }
  local ok, err = pcall(s.run, s, function() scenario(s, given, case) end)
  case.digest, case.tail = s:digest(), s.operations:tail(TAIL)
  if ok then return true, nil, s end
  return false, text_of(err)
end

---------------------------------------------------------------- many seeds --

local function seeds_of(value, path)
  if type(value) == "number" then
    schema.integer(1, math.maxinteger, "seeds")(value, path)
    local first = tonumber(os.getenv "SEED")
    if first then return { first, first } end
    return { 1, value }
  end
  schema.any_table(value, path)
  return value
end

local function any_string(value, path)
  if type(value) ~= "string" then schema.refuse(path, "a command", value) end
  return value
end

local fields = schema.fields {
  { "seeds", seeds_of, required = "how many seeds" },
  { "nodes", schema.integer(1, 32, "nodes"), default = NODES },
  { "node", schema.callable, required = "a function(id, ctx)" },
  { "workload", schema.callable, required = "a function(s, random)" },
  { "faults", schema.callable },
  { "check", schema.callable },
  { "duration_ms", schema.integer(1, 3600000, "ms"), default = DURATION_MS },
  { "probe", any_string, default = "0" },
  { "marks", schema.any_table },
  { "rate_ppm_max", schema.integer(0, 1000000, "ppm"), default = 1000000 },
  { "trace", schema.callable },
  { "shrink", schema.boolean, default = true },
  { "say", schema.callable, default = print },
}

local function failure(given, case, what)
  local lines = { ("seed %d: %s"):format(case.seed, what) }
  if case.plan then
    lines[#lines + 1] = ("with %d nodes and %s"):format(case.nodes,
      #case.plan > 0 and "these faults:" or "no fault at all")
  end
  if case.plan and #case.plan > 0 then
    lines[#lines + 1] = plans.words(case.plan)
  end
  lines[#lines + 1] = "what clients saw last:\n" .. case.tail
  local script = arg and table.concat(arg, " ", 0) or "script.lua"
  lines[#lines + 1] = ("again: SEED=%d lua5.4 %s"):format(case.seed, script)
  local text = table.concat(lines, "\n")
  given.say(text)
  return nil, errors.new("failed", text, { seed = case.seed, broken = what,
    plan = case.plan, nodes = case.nodes, digest = case.digest })
end

-- The case, made smaller where that is wanted.
local function smallest(given, case, what)
  if not given.shrink then return case, what end
  case.trace, case.plan = false, case.plan or case.recorded
  return shrink.shrink(case, what, function(smaller)
    return M.run_case(given, smaller)
  end)
end

--- Runs many seeds. The first that fails is shrunk and told.
-- @param options see docs/SIMULATION.md
-- @return { seeds =, marks =, ms =, digest = }, or nil and an error
function M.explore(options, new)
  local given = schema.check("raft.sim.explore", 4, function(t)
    return fields(t, "")
  end, options)
  given.new = new
  local report = { seeds = 0, marks = Marks.new(), ms = 0 }
  for seed = given.seeds[1], given.seeds[2] do
    local case = draw_case(given, seed)
    local ok, what, s = M.run_case(given, case)
    if not ok then
      return failure(given, smallest(given, case, what))
    end
    report.seeds, report.ms = report.seeds + 1, report.ms + s:now()
    report.marks:add(s.marks)
    report.digest = case.digest
  end
  local missing = given.marks and report.marks:missing(given.marks) or {}
  if #missing > 0 then
    return nil, errors.new("failed", "too dull: never met "
      .. table.concat(missing, ", "), { missing = missing })
  end
  return report
end

return M
