--- What becomes of committed entries and of snapshots here: the state.
--
-- Promises. Entries are applied in order, each once. A state is taken over as a
-- whole or not at all: where that fails the node ends, and nothing is applied
-- to half of one, nor to one that a command lacks in: no command is, from the
-- first one that a witness's log does not have to the next state that comes in.
-- An install waits for no apply that it covers.
local errors = require "raft.errors"
local slices = require "raft.node.slices"
local view = require "raft.node.view"

local M = {}

local SLICE_MS <const> = 5  -- applying per turn
local RUN_MAX <const> = 64  -- entries between two looks at the clock

-- From here on there is no state: who waits to read it is told.
local function lose_state(driver)
  if driver.lacks_commands then return end
  driver.lacks_commands = true
  driver.reads:refuse_state(function() return view.has_no_state(driver) end)
end

------------------------------------------------------------------- entries --

-- For who waits on a node that was made a witness meanwhile.
local function no_result(driver)
  return driver.proposals:are_waiting() and errors.new("unknown", "it was "
    .. "committed, but " .. driver.id .. " is a witness now, and has no result")
end

local RUN <const> = {}  -- kind of entry -> ok, result, why

function RUN.command(driver, index, term, time, command)
  return driver.machine:apply(index, term, time, command)
end

function RUN.session(driver, index, term, time, request)
  return driver.kept:apply(index, time, request, function(command)
    return driver.machine:apply(index, term, time, command)
  end)
end

function RUN.config(driver, index, term, time, config)
  return driver.machine:configure(index, term, time, config)
end

-- @param group whose it is, if it is the request of one
local function apply_one(driver, index, kind, term, time, command, group)
  local ok, value, extra = true, nil, nil
  if kind == "stripped" then lose_state(driver) end
  local runs = RUN[kind]
  if runs and not driver.lacks_commands then
    ok, value, extra = runs(driver, index, term, time, command)
    if not ok and value.is_local then return driver:fail(value) end
    if not ok and not driver.is_replaying then driver:report(value) end
    if kind ~= "config" then driver.kept.results:add(ok, value, extra) end
  elseif runs or kind == "stripped" then
    ok, value = false, no_result(driver)
  end
  driver.applied = index
  slices.compare_at(driver, index)
  if group then
    driver.proposals:applied_request(group, ok, value, extra)
  elseif driver.proposals:are_waiting() then
    driver.proposals:applied(index, term, ok, value, extra)
  end
end

--------------------------------------------------------------------- slices --

-- The group whose the next entries are, up to `last`, or nil.
local function group_at(driver, first, last)
  local group = driver.proposals:group_at(first)
  if not group then return nil end
  last = math.min(last, group:last_index())
  return driver.core:term_at(last) == group.term and group or nil
end

-- The next entries, up to `last`, that can be applied together. Of a group that
-- was appended here, in the term that stands in the log, the commands are at
-- hand.
local function next_run(driver, first, last, group)
  local count, kind, term, time, commands =
    driver.core:run(first, group and first or last)
  assert(count, "an entry to apply is not there")
  local run = { first = first, count = count, kind = kind, term = term,
    time = time, commands = commands, from = 1 }
  if group then
    run.count, run.commands = last - first + 1, group.commands
    run.from = group.next
  end
  return run
end

-- Where the next slice must end: it is short, and after it nodes may compare.
local function slice_end(driver)
  local applied, every = driver.applied, driver.options.compare_every
  return math.min(driver.apply_last, applied + RUN_MAX,
    applied + every - applied % every)
end

-- Who waits for commands that are not applied is told so one by one.
local function apply_each(driver, run, group)
  if group and not group.is_session then group = nil end
  for i = 1, run.count do
    if driver.is_closed then return end
    apply_one(driver, run.first + i - 1, run.kind, run.term, run.time,
      run.commands[run.from + i - 1], group)
  end
end

local function apply_slice(driver)
  local first, last = driver.applied + 1, slice_end(driver)
  local group = group_at(driver, first, last)
  if group then last = math.min(last, group:last_index()) end
  if slices.apply_requests(driver, first, last, group) then return end
  local run = next_run(driver, first, last, group)
  if run.kind == "command" and not driver.lacks_commands then
    return slices.apply_commands(driver, run, group)
  end
  apply_each(driver, run, group)
end

-- Tells those who wait for it how far the state has come.
local function tell(driver)
  driver:step(driver.core:applied(driver:now(), driver.applied))
  driver.reads:applied(driver.applied)
  driver:emit("applied", driver.applied)
end

--- Entries up to `last` may be applied. What a snapshot that was received
-- covers is void, however long it was held.
function M.may_apply(driver, last)
  if last > driver.void_upto then driver.apply_last = last end
end

--- Applies what is committed, for a slice of time or to the end.
function M.apply_some(driver, to_the_end)
  if driver.applied >= driver.apply_last or driver.is_closed then return end
  local stop_at = not to_the_end and driver:now() + SLICE_MS
  while driver.applied < driver.apply_last and not driver.is_closed do
    apply_slice(driver)
    if stop_at and driver:now() >= stop_at then break end
  end
  if not driver.is_closed then tell(driver) end
end

----------------------------------------------------------------- snapshots --

-- The machine takes over the state of this file: true, or false and an error.
-- Where commands lack there is none, and the machine stays what it is.
local function load(driver, info)
  if info.is_bare then
    lose_state(driver)
    return true
  end
  driver.lacks_commands = false
  local reader
  local ok, err = pcall(function()
    reader = driver.storage.snapshots:reader(info)
  end)
  if not ok then return false, err end
  local rest
  ok, rest = pcall(driver.kept.load, driver.kept,
    function() return reader:read() end)
  if ok then ok, err = driver.machine:load(rest) else err = rest end
  reader:close()
  if err then err.file = err.file or info.path end
  if ok and err then driver:warn(err) end
  local kept = driver.kept.results  -- compared now, not at the next index
  if ok and kept.checked > 0 then
    slices.compare(driver, kept.checked, kept.checked_digest)
  end
  return ok, err
end

--- At a start: the state of the newest snapshot, if there is one.
-- @return true; or nil and an error value. The node has failed when the state
--   may be half of one.
function M.restore(driver)
  local info = driver.storage.snapshots.newest
  if not info then return true end
  if not info.is_bare and not driver.machine:has_snapshots() then
    return nil, errors.new("unsupported", ("%s holds the state up to entry %d:"
      .. " give raft.node a restore(bytes) or load(read)"):format(info.path,
      info.index), { file = info.path })
  end
  driver.state = "restoring"
  driver.logger:info("restoring", { index = info.index, bytes = info.size })
  local ok, err = load(driver, info)
  if not ok then
    driver:fail(err)
    return nil, err
  end
  driver.state = "starting"
  driver.applied, driver.apply_last = info.index, info.index
  return true
end

--- A snapshot came in, whole. What it covers is not applied any more.
-- @return true, or nil and the core's code
function M.snapshot_received(driver, info)
  local taken, code = driver.core:snapshot_received(driver:now(), info)
  if not driver:step(taken, code) then return nil, code end
  if math.type(taken) == "integer" then
    driver.void_upto, driver.apply_last = taken, driver.applied
  end
  return true
end

--- What is applied here becomes the state of the snapshot of this place.
function M.install(driver, index, term)
  local info = driver.storage.snapshots:find(index, term)
  if not info then
    return driver:fail(errors.new("failed", ("the snapshot of entry %d is gone")
      :format(index)))
  elseif not info.is_bare and not driver.machine:has_snapshots() then
    return driver:fail(errors.new("unsupported", "a snapshot is to be "
      .. "installed: give raft.node a restore(bytes) or load(read)"))
  end
  local was = driver.state
  driver.state = "restoring"
  local from = driver:now()
  local ok, err = load(driver, info)
  if driver.is_closed then return end
  if not ok then return driver:fail(err) end
  driver.state = was
  driver.logger:info("installed a snapshot", { index = index,
    ms = driver:now() - from })
  driver.applied = index
  driver.apply_last = math.max(driver.apply_last, index)
  driver.proposals:covered(index)
  tell(driver)
  driver.snapshots:installed(info)
end

return M
