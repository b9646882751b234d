--- Entries that stand in a row and are applied in slices, under one guard.
--
-- Commands are; and requests of one session that are all new, as most are:
-- their commands are applied like any, and then the answers are kept.
local sessions = require "raft.sessions"

local M = {}

local RESULT_BYTES <const> = sessions.RESULT_BYTES

--- The core compares with the others what applying has come to.
function M.compare(driver, index, digest)
  local ok, code = driver:step(driver.core:results(driver:now(), index, digest))
  assert(ok or driver.is_closed, code)
end

--- At some indexes nodes compare.
function M.compare_at(driver, index)
  if driver.lacks_commands then return end
  if index % driver.options.compare_every ~= 0 then return end
  M.compare(driver, index, driver.kept.results:check(index))
end

local function report_errors(driver, slice)
  if driver.is_replaying or not next(slice.errors) then return end
  for i = 1, slice.count do
    if slice.errors[i] then driver:report(slice.errors[i]) end
  end
end

-- Answers those who wait for the commands from `first` on.
local function answer(driver, first, term, slice)
  local proposals = driver.proposals
  for i = 1, slice.count do
    if not proposals:are_waiting() then return end
    local err = slice.errors[i]
    if err then
      proposals:applied(first + i - 1, term, false, err)
    else
      proposals:applied(first + i - 1, term, true, slice.values[i],
        slice.whys[i])
    end
  end
end

-- A slice was applied, and what it came to is kept: tells those who wait.
local function tell(driver, first, term, slice, group)
  report_errors(driver, slice)
  driver.applied = first + slice.count - 1
  if group then
    driver.proposals:applied_group(group, slice)
  else
    answer(driver, first, term, slice)
  end
  if slice.fault then driver:fail(slice.fault) end
end

-------------------------------------------------------------------- commands --

-- From one of them on: how many were applied.
local function apply_some_of(driver, run, done, group)
  local first = run.first + done
  local slice = driver.machine:apply_many(first, run.term, run.time,
    run.commands, run.from + done, run.count - done)
  driver.kept.results:add_many(slice)
  tell(driver, first, run.term, slice, group)
  return slice.count
end

--- Applies commands.
-- @param run first, term, time; commands, of which `count` from `from` on
-- @param group whose they are, or nil
function M.apply_commands(driver, run, group)
  local done = 0
  while done < run.count do
    done = done + apply_some_of(driver, run, done, group)
    if driver.is_closed then return end
  end
  M.compare_at(driver, driver.applied)
end

-------------------------------------------------------------------- requests --

-- From one of them on: how many were applied, or nil: these go another way.
local function answer_some_of(driver, run, done, group)
  local first, kept = run.first + done, driver.kept
  local session = kept:admit_many(first, run.time, run.session,
    run.sequence + done, run.count - done, run.span)
  if not session then return nil end
  local slice = driver.machine:apply_many(first, run.term, run.time,
    run.commands, done + 1, run.count - done, RESULT_BYTES)
  local count = slice.count
  if count > 0 then
    kept:applied_many(session, slice, run.floors[done + count])
  end
  tell(driver, first, run.term, slice, group)
  return count
end

--- Applies requests of one session, where all of them are new.
-- @param group whose they are, or nil
-- @return false: none was applied, as these are not
function M.apply_requests(driver, first, last, group)
  if driver.lacks_commands then return false end
  local count, commands, floors, term, time, id, sequence, span =
    driver.core:requests(first, last)
  if not count then return false end
  local run = { first = first, count = count, commands = commands,
    floors = floors, term = term, time = time, session = id,
    sequence = sequence, span = span }
  local done = 0
  while done < count do
    local more = answer_some_of(driver, run, done, group)
    if not more then break end
    done = done + more
    if driver.is_closed then return true end
  end
  if done > 0 then M.compare_at(driver, driver.applied) end
  return done > 0
end

return M
