--- The battery cron for jobs with { every=, retry= } and all else by default,
-- written the plain way: what each command must answer at a time of the log.
local M = {}

local RUNS_MAX <const>, ATTEMPTS <const> = 16, 10

local step = {}  -- command -> function(model, now, ...) -> result

local function earliest(m)
  local due_ms
  for _, job in pairs(m.jobs) do
    due_ms = due_ms and math.min(due_ms, job.due_ms) or job.due_ms
  end
  return due_ms
end

function step.set(m, now, name, spec)
  m.jobs[name] = m.jobs[name] or { every = spec.every, retry = spec.retry,
    due_ms = (now // spec.every + 1) * spec.every, runs = {} }
  return m.jobs[name].due_ms
end

local function is_claimed(run, now)
  return run.until_ms and now < run.until_ms
end

function step.tick(m, now)
  for name, job in pairs(m.jobs) do
    if job.due_ms <= now then
      local due_ms = now // job.every * job.every
      m.ticks[#m.ticks + 1] = name .. " " .. due_ms
      table.insert(job.runs, { due_ms = due_ms, attempts = 0 })
      if #job.runs > RUNS_MAX then
        table.remove(job.runs, is_claimed(job.runs[1], now) and 2 or 1)
      end
      job.due_ms = due_ms + job.every
    end
  end
  return { now_ms = now, due_ms = earliest(m) }
end

local function head(job, now)
  local run = job.runs[1]
  while run and run.until_ms and now >= run.until_ms
    and (not job.retry or run.attempts >= ATTEMPTS) do
    table.remove(job.runs, 1)
    run = job.runs[1]
  end
  return run and not is_claimed(run, now) and run or nil
end

function step.claim(m, now, _, names, claim_ms)
  local best, best_name
  for _, name in ipairs(names) do
    local run = m.jobs[name] and head(m.jobs[name], now)
    if run and (not best or run.due_ms < best.due_ms) then
      best, best_name = run, name
    end
  end
  if not best then return nil end
  m.token = m.token + 1
  best.token, best.until_ms = m.token, now + claim_ms
  best.attempts = best.attempts + 1
  return { name = best_name, due_ms = best.due_ms, token = m.token,
    attempt = best.attempts, until_ms = best.until_ms }
end

local function claimed(m, name, token)
  local run = m.jobs[name] and m.jobs[name].runs[1]
  return run and run.token == token and run or nil
end

function step.extend(m, now, name, token, claim_ms)
  local run = claimed(m, name, token)
  if not run then return nil end
  run.until_ms = now + claim_ms
  return run.until_ms
end

function step.finish(m, _, name, token)
  if not claimed(m, name, token) then return nil end
  local run = table.remove(m.jobs[name].runs, 1)
  m.done[name .. " " .. run.due_ms] = true
  return true
end

function M.new()
  return {
    jobs = {}, token = 0,
    ticks = {},  -- "name due_ms", in the order of the log
    done = {},   -- the same, of runs that were finished: true
  }
end

--- Does a command: what it must answer; nil where it is refused.
function M.step(m, now, command, ...)
  return step[command](m, now, ...)
end

return M
