--- The life of a node: start, stop, close, fail.
--
--   new -> starting -> running -> stopping -> closed
--                   \-> new (start failed)   any -> failed
--
-- Promises. A start that fails leaves nothing open and may be tried again.
-- Every waiter is answered exactly once, however the node ends.
local Clock = require "raft.clock"
local Emitter = require "raft.emitter"
local Gateway = require "raft.node.gateway"
local Joining = require "raft.node.joining"
local Logger = require "raft.logger"
local Machine = require "raft.machine"
local Peers = require "raft.node.peers"
local Receiving = require "raft.node.receiving"
local Reminder = require "raft.node.reminder"
local Shipping = require "raft.node.shipping"
local Stopping = require "raft.node.stopping"
local errors = require "raft.errors"
local option_rules = require "raft.options"
local parts = require "raft.node.parts"
local raft_core = require "raft.core"
local registry = require "raft.registry"
local repair = require "raft.node.repair"
local status = require "raft.node.status"
local view = require "raft.node.view"

local M = {}

--- What exists before start: the logger and the events.
function M.prepare(driver)
  local options = driver.options
  driver.host = options.host or raft_core.host
  driver.logger = Logger.new(options.log, {
    fields = { node = options.id },
    wall_ms = function() return driver.host.wall() end,
  })
  driver.emitter = Emitter.new(option_rules.EVENTS,
    function(err) M.report(driver, err) end, "node", options.on)
end

-- What a handler raised; that of `error` has nobody else to tell.
function M.report(driver, err)
  if err.where == "handler of error" then
    driver.node.scheduler:report(err)
  else
    driver:report(err)
  end
end

-------------------------------------------------------------------- start --

-- Once a turn: writes down what the core was told.
local function write_record(driver)
  if driver.recorder then driver.recorder:flush() end
end

-- Each step: true, or nil and an error. `times` is for the line that it has
-- started: ms from opening the directory to a core that is ready, and those of
-- applying again.
local STEPS <const> = {}

function STEPS.clock(driver, times)
  driver.clock = Clock.new(driver.uv, driver.host,
    function(fn) return driver:guard(fn) end)
  times.began = driver.clock:now()
  return true
end

function STEPS.storage(driver)
  local storage, err = parts.storage(driver)
  if not storage then return nil, err end
  driver.storage = storage
  return true
end

function STEPS.record(driver)
  driver.recorder = parts.recorder(driver)
  return true
end

function STEPS.core(driver, times)
  driver.core = parts.core(driver)
  driver.core:wall(driver.clock:wall())
  local now = driver.clock:now()
  local storage = driver.storage
  local ok, code = driver.core:start(now, storage.recovered,
    storage.snapshots.newest or nil)
  storage.recovered = false  -- megabytes, and the core has its own
  if not ok then
    return nil, repair.refusal(driver, code)
  end
  driver.started_at = now
  times.recovered = driver.clock:now() - times.began
  driver.membership:recover()
  driver.peers = Peers.new(driver)
  return driver.peers:recover()
end

function STEPS.listen(driver)
  -- Who writes to a peer that died must get an error, not a signal. A host
  -- of virtual sockets has no signals.
  if driver.host.ignore_sigpipe then driver.host.ignore_sigpipe() end
  driver.shipping = Shipping.new(driver)
  driver.receiving = Receiving.new(driver)
  driver.gateway = Gateway.new(driver)
  driver.transport = parts.transport(driver)
  return driver.transport:listen()
end

function STEPS.run(driver, times)
  driver.storage:handlers {
    stored = driver:guard(function(seq) driver:on_stored(seq) end),
    failed = driver:guard(function(why) driver:fail(why) end),
    space = driver:guard(function(has) M.space_changed(driver, has) end),
  }
  driver.clock:start(function() driver:on_check() end, function()
    driver:on_prepare()
    write_record(driver)
  end)
  driver.has_turns, driver.state = true, "running"
  repair.begin(driver)
  local from = driver.clock:now()
  M.replay(driver)
  if driver.is_closed then return nil end
  times.applied = driver.clock:now() - from
  driver.membership:connect()
  driver.membership:compare_options()
  driver.peers:try_form()
  driver.joining = Joining.new(driver)
  driver.joining:begin()
  if driver.services then driver.services:begin() end
  return true
end

function STEPS.restore(driver)
  return driver:restore()
end

local ORDER <const> = { "clock", "storage", "record", "core", "listen",
  "restore", "run" }

--- Applies what the disk knows to be committed, before start returns.
function M.replay(driver)
  driver.is_replaying = true
  local commit = driver.core:status().commit
  Machine.unsuspended(function()  -- once, and not for each command
    repeat
      driver.is_dirty = true  -- there may be more to apply, and nothing heard
      driver:flush()
      driver:apply_some(true)
      write_record(driver)  -- it may be a long way to the first turn
    until driver.is_closed or driver.applied >= commit
  end)
  driver.is_replaying = false
end

-- Closes all that is open; again: nothing. Nothing that was held is sent.
local function shut(driver)
  if driver.joining then driver.joining:stop() end
  if driver.shipping then driver.shipping:close() end
  if driver.receiving then driver.receiving:close() end
  if driver.transport then driver.transport:close_now() end
  if driver.storage then driver.storage:abort() end
  driver:end_turns()
  if driver.clock then driver.clock:close() end
  if driver.recorder then driver.recorder:finish() end
end

-- Closes what a failed start had opened.
local function undo(driver)
  shut(driver)
  if driver.core then driver.core:close() end
  driver.transport, driver.storage, driver.recorder = false, false, false
  driver.clock, driver.core, driver.peers = false, false, false
  driver.shipping, driver.receiving, driver.gateway = false, false, false
  driver.state = "new"
end

--- Opens, recovers, listens: true, or nil and an error.
function M.start(driver)
  if driver.state == "running" then return true end
  if driver.state ~= "new" then return nil, view.ended_error(driver, false) end
  driver.state = "starting"
  local times = {}
  for _, name in ipairs(ORDER) do
    local ok, err = STEPS[name](driver, times)
    if driver.is_closed then  -- it failed, or the log function closed it
      shut(driver)
      return nil, driver.failure or view.ended_error(driver, false)
    elseif not ok then
      undo(driver)
      return nil, err
    end
  end
  registry.of(driver.uv):add(driver.node)
  driver.reminder = Reminder.new(driver)
  driver.logger:info("started", { listen = driver.transport:address(),
    last = driver.core:status().last, recovered_ms = times.recovered,
    applied_ms = times.applied })
  if driver.is_closed then return nil, view.ended_error(driver, false) end
  return true
end

--- The disk is full, or has room again.
function M.space_changed(driver, has_space)
  driver:step(driver.core:space(driver:now(), has_space))
  driver.health:set("space", not has_space)
  if has_space then
    driver.logger:info("the disk has room again")
    driver:emit("drain")
  else
    driver:warn(errors.new("no_space", "the disk is full: proposals are "
      .. "refused until there is room", { path = driver.options.dir }))
  end
end

---------------------------------------------------------------------- end --

local function answer_all(driver)
  driver.proposals:finish(function(is_sent)
    return view.ended_error(driver, is_sent)
  end)
  local function unsent() return view.ended_error(driver, false) end
  driver.reads:finish(unsent)
  driver.snapshots:finish(unsent)
  driver.transfers:finish(unsent)
  driver.membership.changes:finish(function(is_sent)
    return view.ended_error(driver, is_sent)
  end)
end

-- Whoever asked for a stop hears that it is over, however it came.
local function answer_stops(driver)
  local loop = driver.node.scheduler
  if driver.stop_timer then loop:close(driver.stop_timer) end
  for _, done in ipairs(driver.stop_waiters) do loop:defer(done) end
  driver.stop_timer, driver.stop_waiters = false, {}
end

-- Everything is closed at once.
local function end_now(driver, state)
  status.keep(driver)
  driver.is_closed, driver.state = true, state
  driver.role, driver.leader = "follower", false
  shut(driver)
  answer_all(driver)
  local core = driver.core  -- it may be at work further up the stack
  if core then driver.node.scheduler:defer(function() core:close() end) end
  answer_stops(driver)
end

--- Ends the node for good because of this error.
function M.fail(driver, err)
  if driver.is_closed then return end
  driver.failure = err
  driver.logger:error("failed", { why = errors.text(err) })
  end_now(driver, "failed")
  registry.of(driver.uv):fail(driver.node, err)
  driver:emit("failed", err)
end

--- Ends the node at once.
function M.close(driver)
  if driver.is_closed then return end
  local was_open = driver.state ~= "new"
  end_now(driver, "closed")
  registry.of(driver.uv):remove(driver.node)
  if was_open then driver:emit("closed") end
end

--- Ends the node in order; done() follows. No proposals are taken meanwhile.
-- Stops waiting at the deadline.
function M.stop(driver, timeout_ms, done)
  if driver.is_closed or not driver.has_turns then
    M.close(driver)
    return driver.node.scheduler:defer(done)
  end
  driver.stop_waiters[#driver.stop_waiters + 1] = done
  if driver.state == "stopping" then return end
  driver.state = "stopping"
  driver.proposals:append_group()  -- nobody joins it any more
  driver.logger:info("stopping")
  if driver.is_closed then return end  -- the log function closed it
  driver.stop_timer = timeout_ms and driver.node.scheduler:after(timeout_ms,
    function() M.close(driver) end)
  driver.stopping = Stopping.new(driver, function()
    driver.storage:close(function() M.close(driver) end)
  end)
  driver:wants_flush()
end

return M
