--- cron.run: what a process does beside its node, or its client: it asks for
-- ticks when they are due, and does runs of the jobs that it has functions for,
-- one at a time.
--
-- Every process may have one. Which asks, and which claims, does not matter to
-- the state; so that not all do at once, who leads goes first, and the others
-- wait for a moment and look again. Looking is a stale query: it costs nobody
-- else anything.
--
-- What time it is in the log is told by the answer to each tick; from there on
-- our own clock counts how much has passed.
local Machine = require "raft.machine"
local errors = require "raft.errors"
local scheduler = require "raft.scheduler"
local schema = require "raft.schema"
local task = require "raft.task"

local M = {}

local FOR_EVER <const> = math.huge
local AGAIN_MS <const> = 200  -- after an error that may be over then
local ALL_MS <const> = 86400000

local Worker = { __name = "raft.services.cron.worker" }
Worker.__index = Worker

local option_rule = schema.fields {
  { "service", schema.name, default = "cron" },
  { "jobs", schema.any_table, required = "name -> function(tick)" },
  { "owner", schema.text },
  { "claim_ms", schema.integer(3, ALL_MS, "ms"), default = 30000 },
  { "poll_ms", schema.integer(1, ALL_MS, "ms"), default = 200 },
  { "stagger_ms", schema.integer(0, ALL_MS, "ms"), default = 300 },
  { "on_error", schema.callable },
}

------------------------------------------------------------------- its clock --

-- The log's time, as well as we know it.
local function log_now(self)
  return self.anchor_ms + (self.loop:now() - self.anchored_at)
end

-- Somebody has seen this time in the log.
local function anchor(self, now_ms, is_exact)
  if is_exact or now_ms > log_now(self) then
    self.anchor_ms, self.anchored_at = now_ms, self.loop:now()
  end
end

------------------------------------------------------------------- its calls --

-- Sleeps; false when the worker has to end.
local function pause(self, ms)
  if self.is_over then return false end
  local ok = task.sleep(math.max(1, math.ceil(math.min(ms, self.poll_ms))))
  return ok and not self.is_over
end

local ENDS <const> = { closed = true, failed = true, unsupported = true }

-- An answer; errors after which nothing more can come of it end the worker.
local function heard(self, result, err)
  if err and ENDS[err.code] then self.is_over = true end
  return result, err
end

-- What the newest command says: who needs us? Nil: we could not see it.
local function look(self)
  local seen = heard(self, self.local_proxy.look(self.names))
  if not seen then return nil end
  anchor(self, seen.now_ms)
  self.due_ms = seen.due_ms or FOR_EVER
  return seen
end

-- Who leads goes first. Others wait: is there still something to be done then?
local function is_our_turn(self, is_wanted)
  local object = self.object
  if object.is_leader and object:is_leader() then return true end
  local ok = task.sleep(math.max(1, self.stagger_ms))
  local seen = ok and not self.is_over and look(self)
  return seen and is_wanted(self, seen)
end

----------------------------------------------------------------------- ticks --

local function ask_for_ticks(self)
  local answer = heard(self, self.proxy.tick())
  if not answer then return false end
  anchor(self, answer.now_ms, true)
  self.due_ms = answer.due_ms or FOR_EVER
  return true
end

local function is_due(self)
  return self.due_ms <= log_now(self)
end

-- Asks, and is in no hurry to ask again where nothing came of it twice: the
-- time of the log may stand still for a while.
local function ask_in_turn(self)
  local before = self.due_ms
  local ok = ask_for_ticks(self)
  self.in_vain = ok and self.due_ms ~= before and 0 or self.in_vain + 1
  if self.in_vain > 1 then pause(self, AGAIN_MS) end
end

-- The first answer says what time it is.
local function ticker(self)
  while not ask_for_ticks(self) do
    if not pause(self, AGAIN_MS) then return end
  end
  while pause(self, self.due_ms - log_now(self)) do
    look(self)
    if is_due(self) and is_our_turn(self, is_due) then ask_in_turn(self) end
  end
end

------------------------------------------------------------------------ runs --

local function is_free(self, seen)
  return seen.free_ms ~= nil and seen.free_ms <= log_now(self)
end

-- The claim lasts as long as the function works.
local function hold_on(self, run, tick)
  local third_ms = math.max(1, self.claim_ms // 3)
  while task.sleep(third_ms) and not run.is_over do
    local _, err = self.proxy.extend(run.name, run.token, self.claim_ms)
    if err and err.code == "refused" then
      tick.is_mine = false
      return
    end
  end
end

-- It is done: says so until somebody has heard it. Refused: somebody else has
-- claimed it meanwhile, and does it again.
local function finish(self, run)
  repeat
    local ok, err = self.proxy.finish(run.name, run.token)
    if ok or err.code == "refused" or ENDS[err.code] then return end
  until not task.sleep(AGAIN_MS)
end

local function failed(self, run, err)
  if not errors.is_error(err) then
    err = errors.caught("job " .. run.name, err)
  end
  if self.on_error then return self.on_error(err, run) end
  self.loop:report(err)
end

-- What the function raises, or means by `nil, why`: the run stays claimed until
-- the claim is over, and comes again then.
local function do_run(self, run)
  local tick = { name = run.name, due_ms = run.due_ms, token = run.token,
    attempt = run.attempt, payload = run.payload,
    is_mine = true }  -- false once somebody else may claim it
  task.spawn(function() hold_on(self, run, tick) end)
  local ok, result, why = xpcall(self.jobs[run.name], function(value)
    return errors.is_error(value) and value
      or errors.caught("job " .. run.name, value, debug.traceback(nil, 2))
  end, tick)
  run.is_over = true
  if not ok then return failed(self, run, result) end
  if result == nil and why ~= nil then return failed(self, run, why) end
  finish(self, run)
end

local function runner(self)
  while pause(self, self.wait_ms) do
    self.wait_ms = self.poll_ms
    local seen = look(self)
    if seen and is_free(self, seen) and is_our_turn(self, is_free) then
      local run = heard(self, self.proxy.claim(self.owner, self.names,
        self.claim_ms))
      if run then
        do_run(self, run)
        self.wait_ms = 0  -- there may be more
      end
    end
  end
end

-------------------------------------------------------------------- the face --

local function names_of(jobs)
  local names = {}
  for name, fn in pairs(jobs) do
    local at = schema.join("jobs", name)
    if type(name) ~= "string" then schema.refuse("jobs", "names", name) end
    schema.callable(fn, at)
    names[#names + 1] = name
  end
  if #names == 0 then schema.complain("jobs", "there is none") end
  table.sort(names)
  return names
end

local function checked(opts, path)
  local given = option_rule(opts, path)
  given.names = names_of(given.jobs)
  return given
end

local function new(object, given)
  return setmetatable({
    object = object, loop = scheduler.current(),
    proxy = object:service(given.service),
    local_proxy = object:service(given.service, { consistency = "stale" }),
    jobs = given.jobs, names = given.names,
    owner = given.owner or tostring(object.id or object),
    claim_ms = given.claim_ms, poll_ms = given.poll_ms,
    stagger_ms = given.stagger_ms, on_error = given.on_error,
    anchor_ms = 0, anchored_at = 0,  -- the log's time, at a time of ours
    due_ms = FOR_EVER,               -- of the next tick, as far as we know
    in_vain = 0,                     -- asked for ticks, and there were none
    wait_ms = 1,                     -- of the runner, until it looks again
    is_over = false,
  }, Worker)
end

--- No more ticks are asked for and no more runs are begun; one that has begun
-- goes on to its end.
function Worker:stop()
  self.is_over = true
end

--- Asks for ticks, and does runs of these jobs, until it is stopped or its node
-- ends.
-- @param object a node, or a client
-- @param opts jobs: name -> function(tick), which may wait; service, owner,
--   claim_ms, poll_ms, stagger_ms, on_error
-- @return the worker: worker:stop()
function M.run(object, opts)
  Machine.check_outside("raft.services.cron.run")
  if type(object) ~= "table" or type(object.service) ~= "function" then
    error("raft.services.cron.run: expected a node or a client, got "
      .. schema.show(object), 2)
  end
  local self = new(object, schema.check("raft.services.cron.run", 3, checked,
    opts))
  self.anchored_at = self.loop:now()
  task.spawn(function() ticker(self) end)
  task.spawn(function() runner(self) end)
  return self
end

return M
