--- The runs of jobs: what is to be done once for each tick, and who does it.
--
--   a run   { due_ms=, attempts = claims so far, token = of the newest, owner=,
--             until_ms = the end of that claim }
--
-- Only the oldest run of a job can be claimed: those behind it wait, so they
-- never overlap, as long as each is done within its claim.
local refusing = require "raft.services.refusing"

local M = {}

local NAMES_MAX <const> = 1000
local NAME_BYTES_MAX <const> = 256
local OWNER_BYTES_MAX <const> = 256
local CLAIM_MS_MAX <const> = 86400000

local function is_claimed(run)
  return run.token > 0 and entry.time < run.until_ms
end

local function drop(name, job, place, why)
  local run = table.remove(job.runs, place)
  emit("dropped", name, run.due_ms, why)
end

--- A run more; where there are too many the oldest goes that nobody does.
function M.add(name, job, due_ms)
  job.runs[#job.runs + 1] = { due_ms = due_ms, attempts = 0, token = 0,
    owner = "", until_ms = 0 }
  if #job.runs <= job.spec.max_runs then return end
  drop(name, job, is_claimed(job.runs[1]) and 2 or 1, "too many wait")
end

-- Runs whose claim was the last one that they could have.
local function drop_hopeless(name, job)
  local run = job.runs[1]
  while run and run.token > 0 and not is_claimed(run) do
    if not job.spec.retry then
      drop(name, job, 1, "its claim is over")
    elseif run.attempts >= job.spec.attempts then
      drop(name, job, 1, "its last attempt is over")
    else
      return
    end
    run = job.runs[1]
  end
end

---------------------------------------------------------------------- claims --

--- What is wrong with a list of jobs: words, or nil.
function M.wrong_names(what, names)
  if type(names) ~= "table" or #names == 0 or #names > NAMES_MAX then
    return ("%s: names: expected a list of 1 to %d jobs"):format(what,
      NAMES_MAX)
  end
  for i, name in ipairs(names) do
    local why = refusing.text(("%s: names[%d]"):format(what, i), name,
      NAME_BYTES_MAX)
    if why then return why end
  end
end

local function wrong_ms(what, ms)
  return refusing.integer(what .. ": claim_ms", ms, 1, CLAIM_MS_MAX)
end

-- Of these jobs the one whose next run was due first; nil: nothing is to be
-- done.
local function next_of(s, names)
  local best, best_name
  for _, name in ipairs(names) do
    local job = s.jobs[name]
    if job then drop_hopeless(name, job) end
    local run = job and job.runs[1]
    if run and not is_claimed(run)
      and (not best or run.due_ms < best.due_ms) then
      best, best_name = run, name
    end
  end
  return best, best_name
end

--- -> { name, due_ms, token, attempt, payload, until_ms }: do it, and finish it
-- before the claim ends; nil: there is nothing to do.
function M.claim(s, owner, names, claim_ms)
  local why = refusing.text("cron.claim: owner", owner, OWNER_BYTES_MAX)
    or M.wrong_names("cron.claim", names) or wrong_ms("cron.claim", claim_ms)
  if why then return nil, why end
  local run, name = next_of(s, names)
  if not run then return nil end
  s.token = s.token + 1
  run.token, run.owner, run.attempts = s.token, owner, run.attempts + 1
  run.until_ms = entry.time + math.tointeger(claim_ms)
  return { name = name, due_ms = run.due_ms, token = run.token,
    attempt = run.attempts, payload = s.jobs[name].spec.payload,
    until_ms = run.until_ms }
end

-- The job whose oldest run has this token; or nil and why not.
local function claimed(s, what, name, token)
  local why = refusing.text(what .. ": name", name, NAME_BYTES_MAX)
    or refusing.integer(what .. ": token", token, 1, math.maxinteger)
  if why then return nil, why end
  local job = s.jobs[name]
  local run = job and job.runs[1]
  if run and run.token == token then return job end
  return nil, ("%s: the run of %s with token %d is not yours any more: it was "
    .. "claimed again, finished or dropped"):format(what, name,
    math.tointeger(token))
end

--- -> until_ms: the claim lasts so long from now on. It is good as long as
-- nobody else has claimed the run.
function M.extend(s, name, token, claim_ms)
  local job, why = claimed(s, "cron.extend", name, token)
  why = why or wrong_ms("cron.extend", claim_ms)
  if why then return nil, why end
  job.runs[1].until_ms = entry.time + math.tointeger(claim_ms)
  return job.runs[1].until_ms
end

--- -> true: it is done.
function M.finish(s, name, token)
  local job, why = claimed(s, "cron.finish", name, token)
  if why then return nil, why end
  table.remove(job.runs, 1)
  emit("done", name, token)
  return true
end

--- From when on a run of these jobs may be claimed; nil: there is none.
function M.free_ms(s, names)
  local earliest
  for _, name in ipairs(names) do
    local run = s.jobs[name] and s.jobs[name].runs[1]
    local free_ms = run and (run.token > 0 and run.until_ms or 0)
    if free_ms and (not earliest or free_ms < earliest) then
      earliest = free_ms
    end
  end
  return earliest
end

return M
