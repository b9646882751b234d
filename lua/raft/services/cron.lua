--- Jobs that are due at times, once in the whole cluster, as a service.
--
--   local cron = require "raft.services.cron"
--   node = raft.node { service = cron {}, ... }
--   node.cron.set("report", { at = "30 4 * * *" })
--   cron.run(node, { jobs = { report = function(tick) ... end } })
--
-- Promises. A job has one tick for each time that it is due, whoever asks for
-- ticks and however often: the time up to which they were given stands in the
-- state, and goes on by the stamps of entries only. A tick is an event at every
-- node, and leaves a run in the state. Whoever claims the run does it; a claim
-- ends by the stamps, too, and then another one may claim it. The runs of one
-- job go one after the other.
--
-- Limits. Nothing is due before somebody asks for ticks: cron.run does. What is
-- done outside of the log is done at least once, or at most once, never exactly
-- once. See docs/services/cron.md.
local arguments = require "raft.services.support.arguments"
local codec = require "raft.codec"
local refusing = require "raft.services.refusing"
local runs = require "raft.services.cron.runs"
local schedule = require "raft.services.cron.schedule"
local schema = require "raft.schema"
local service = require "raft.service"
local worker = require "raft.services.cron.worker"

local NAME_BYTES_MAX <const> = 256
local PAYLOAD_BYTES_MAX <const> = 64 << 10
local EVERY_MS_MIN <const> = 10
local EVERY_MS_MAX <const> = 1 << 40    -- some 35 years
local LATE_MS <const> = 10000           -- of a job that skips what was missed
local ATTEMPTS <const> = 10             -- at one run
local RUNS_MAX <const> = 16             -- of one job that wait, by default
local RUNS_LIMIT <const> = 100
local TICKS_MAX <const> = 256           -- by one command; the rest comes next

local option_rule = schema.fields {
  { "name", schema.name, default = "cron" },
  { "version", schema.integer(1, 1 << 53), default = 1 },
  { "older", schema.any_table },
  { "max_jobs", schema.integer(1, 1 << 16, "jobs"), default = 1000 },
}

------------------------------------------------------------------- the state --

-- jobs:    name -> { spec =, due_ms = of the next tick, runs = oldest first }
-- due_ms:  the earliest of them; false: there is no job
-- token:   of the newest claim
-- limits:  the options of the node whose first state it was. In the state they
--          are the same on every node.
local function init_with(limits)
  return function()
    return { jobs = {}, count = 0, due_ms = false, token = 0, limits = limits }
  end
end

local function find_due(s)
  s.due_ms = false
  for _, job in pairs(s.jobs) do
    if not s.due_ms or job.due_ms < s.due_ms then s.due_ms = job.due_ms end
  end
end

----------------------------------------------------------------------- ticks --

-- The times that tick now, oldest first. All but the newest were missed: the
-- next one had come before they did. That one was missed if it comes late.
local function ticks_of(job, now)
  local spec, newest = job.spec, schedule.before(job.spec, now)
  if spec.missed == "skip" and now - newest > spec.late_ms then return {} end
  if spec.missed ~= "all" then return { newest } end
  local list, due_ms = {}, newest
  while due_ms and due_ms >= job.due_ms and #list < RUNS_LIMIT do
    table.insert(list, 1, due_ms)
    due_ms = schedule.before(spec, due_ms - 1)
  end
  return list
end

local function fire(name, job)
  local list = ticks_of(job, entry.time)
  for _, due_ms in ipairs(list) do
    emit("tick", name, due_ms, job.spec.payload)
    runs.add(name, job, due_ms)
  end
  job.due_ms = schedule.after(job.spec, entry.time)
  return #list
end

------------------------------------------------------------------------ jobs --

local SPEC <const> = { "every", "at", "missed", "late_ms", "retry", "attempts",
  "max_runs", "payload" }
local MISSED <const> = { "skip", "once", "all" }

local function wrong_schedule(spec)
  if spec.at == nil then
    return refusing.integer("cron.set: every", spec.every, EVERY_MS_MIN,
      EVERY_MS_MAX)
  elseif spec.every ~= nil then
    return "cron.set: every: there is an at already: give one of the two"
  end
  local why = schedule.wrong_at(spec.at)
  return why and "cron.set: at: " .. why
end

local function wrong_spec(spec)
  return refusing.fields("cron.set: job", spec, SPEC)
    or wrong_schedule(spec)
    or refusing.one_of("cron.set: missed", spec.missed or "once", MISSED)
    or refusing.integer("cron.set: late_ms", spec.late_ms or 0, 0, EVERY_MS_MAX)
    or refusing.boolean("cron.set: retry", spec.retry)
    or refusing.integer("cron.set: attempts", spec.attempts or 1, 1, 1 << 30)
    or refusing.integer("cron.set: max_runs", spec.max_runs or 1, 1, RUNS_LIMIT)
    or arguments.is_deep(spec.payload)
      and "cron.set: payload: expected " .. arguments.NOT_DEEP
    or #codec.encode(spec.payload) > PAYLOAD_BYTES_MAX
      and ("cron.set: payload: larger than %d bytes"):format(PAYLOAD_BYTES_MAX)
    or nil
end

local function filled(spec)
  return {
    every = math.tointeger(spec.every), at = spec.at,
    missed = spec.missed or "once",
    late_ms = math.tointeger(spec.late_ms or LATE_MS),
    retry = spec.retry ~= false,
    attempts = math.tointeger(spec.attempts or ATTEMPTS),
    max_runs = math.tointeger(spec.max_runs or RUNS_MAX),
    payload = spec.payload,
  }
end

local function wrong_name(what, name)
  return refusing.text(what .. ": name", name, NAME_BYTES_MAX)
end

-- -> when it is due next. The same again changes nothing, so each node may set
-- its jobs whenever it starts. What the old one had due is not lost.
local function set(s, name, spec)
  local why = wrong_name("cron.set", name) or wrong_spec(spec)
  if why then return nil, why end
  local job, new = s.jobs[name], filled(spec)
  if job and codec.encode(job.spec) == codec.encode(new) then
    return job.due_ms
  elseif not job and s.count >= s.limits.max_jobs then
    return nil, ("cron.set: there are %d jobs, and can be no more"):format(
      s.count)
  end
  if not job then s.count = s.count + 1 end
  if job and job.due_ms <= entry.time then fire(name, job) end
  s.jobs[name] = { spec = new, due_ms = schedule.after(new, entry.time),
    runs = job and job.runs or {} }
  find_due(s)
  return s.jobs[name].due_ms
end

-- -> true; with its runs.
local function remove(s, name)
  local why = wrong_name("cron.remove", name)
  if why then return nil, why end
  if not s.jobs[name] then
    return nil, ("cron.remove: no job %s"):format(name)
  end
  s.jobs[name], s.count = nil, s.count - 1
  find_due(s)
  return true
end

--------------------------------------------------------------------- asking --

-- Gives all ticks that are due -> { now_ms = the log's time, due_ms = of the
-- next tick, or nil }. Those that are too many for one command are due at once.
local function tick(s)
  local count = 0
  if s.due_ms and s.due_ms <= entry.time then
    for name, job in pairs(s.jobs) do
      if job.due_ms <= entry.time and count < TICKS_MAX then
        count = count + fire(name, job)
      end
    end
    find_due(s)
  end
  return { now_ms = entry.time, due_ms = s.due_ms or nil }
end

--------------------------------------------------------------------- queries --

-- -> name -> { due_ms=, runs = how many wait, and the fields of the job }.
local function jobs(s)
  local all = {}
  for name, job in pairs(s.jobs) do
    local told = { due_ms = job.due_ms, runs = #job.runs }
    for field, value in pairs(job.spec) do told[field] = value end
    all[name] = told
  end
  return all
end

-- -> { now_ms, due_ms, free_ms }: by the newest command; when the next tick is
-- due; from when on a run of these jobs may be claimed. Nil: never, so far.
local function look(s, names)
  local why = runs.wrong_names("cron.look", names)
  if why then return nil, why end
  return { now_ms = entry.time, due_ms = s.due_ms or nil,
    free_ms = runs.free_ms(s, names) }
end

-------------------------------------------------------------------- the face --

-- A service of jobs.
-- @param opts name, max_jobs, version, older: see docs/services/cron.md
local function new(_, opts)
  local given = schema.check("raft.services.cron", 3, option_rule, opts or {})
  local limits = { max_jobs = given.max_jobs }
  return service.new {
    name = given.name, version = given.version, older = given.older or nil,
    init = init_with(limits),
    upgrade = function(s) s.limits = limits end,
    commands = { set = set, remove = remove, tick = tick,
      claim = runs.claim, extend = runs.extend, finish = runs.finish },
    queries = { jobs = jobs, look = look },
  }
end

return setmetatable({ run = worker.run }, { __call = new })
