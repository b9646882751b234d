--- The life of a node: start, stop, close, fail.
--
--   new -> starting -> running -> stopping -> closed
--                   \-> new (start failed)   any -> failed
--
-- Promises. A start that fails leaves nothing open and may be tried again.
-- Every waiter is answered exactly once, however the node ends.
local Clock = require "raft.clock"
local Emitter = require "raft.emitter"
local Logger = require "raft.logger"
local Peers = require "raft.node.peers"
local Storage = require "raft.storage"
local Transport = require "raft.transport"
local VolatileStorage = require "raft.storage.memory"
local errors = require "raft.errors"
local option_rules = require "raft.options"
local raft_core = require "raft.core"
local registry = require "raft.registry"

local M = {}

local MEMORY_BYTES <const> = 32 << 20    -- of the log kept in memory
local MESSAGE_BYTES <const> = 256 << 10  -- of entries in one append
local INFLIGHT_BYTES <const> = 8 << 20   -- under way to one peer
local SEED_FORMAT <const> = "<i8"

-------------------------------------------------------------------- parts --

--- What exists before start: the logger and the events.
function M.prepare(driver)
  local options = driver.options
  driver.host = options.host or raft_core.host
  driver.logger = Logger.new(options.log, {
    fields = { node = options.id },
    wall_ms = function() return driver.host.wall() end,
  })
  driver.emitter = Emitter.new(option_rules.EVENTS,
    function(err) driver.node.scheduler:report(err) end, "node", options.on)
end

local function open_storage(driver)
  local options = driver.options
  local open = options.volatile and VolatileStorage.open or Storage.open
  return open {
    uv = driver.uv, host = driver.host, dir = options.dir, id = options.id,
    cluster = options.cluster, logger = driver.logger,
    memory_bytes = MEMORY_BYTES,
  }
end

local function new_core(driver)
  local options = driver.options
  local seed = string.unpack(SEED_FORMAT, assert(driver.uv.random(8)))
  return raft_core.new {
    id = options.id,
    incarnation = driver.storage.incarnation,
    seed = seed,
    election_min_ms = options.election_timeout.min,
    election_max_ms = options.election_timeout.max,
    heartbeat_ms = options.heartbeat,
    command_bytes_max = options.max_command_bytes,
    pending_bytes_max = options.max_pending_bytes,
    message_bytes_max = MESSAGE_BYTES,
    inflight_bytes_max = INFLIGHT_BYTES,
    memory_bytes_max = MEMORY_BYTES,
  }
end

local function new_transport(driver)
  local min = driver.options.election_timeout.min
  local peers = driver.peers
  return Transport.new {
    uv = driver.uv, id = driver.id, logger = driver.logger,
    listen = driver.options.listen,
    guard = function(fn) return driver:guard(fn) end,
    hello = function(to) return peers:hello(to) end,
    judge = function(hello) return peers:judge(hello) end,
    handlers = {
      open = function(link) peers:opened(link) end,
      bytes = function(link, chunk) peers:received(link, chunk) end,
      closed = function(link) peers:closed(link) end,
      refused = function(peer, code, text) peers:refused(peer, code, text) end,
    },
    limits = { ping_ms = min, alive_ms = 2 * min, silence_ms = 4 * min },
  }
end

-------------------------------------------------------------------- start --

-- Each step: true, or nil and an error.
local STEPS <const> = {}

function STEPS.storage(driver)
  local storage, err = open_storage(driver)
  if not storage then return nil, err end
  driver.storage = storage
  storage:handlers {
    stored = driver:guard(function(seq) driver:on_stored(seq) end),
    failed = driver:guard(function(why) driver:fail(why) end),
    space = driver:guard(function(has) M.space_changed(driver, has) end),
  }
  return true
end

function STEPS.core(driver)
  driver.clock = Clock.new(driver.uv, driver.host,
    function(fn) return driver:guard(fn) end)
  driver.core = new_core(driver)
  driver.core:wall(driver.clock:wall())
  local now = driver.clock:now()
  local ok, code = driver.core:start(now, driver.storage.recovered)
  if not ok then
    return nil, errors.new("corrupt", "the log does not fit together: " .. code,
      { path = driver.options.dir })
  end
  driver.started_at = now
  driver.config = driver.core:config() or false
  driver.peers = Peers.new(driver)
  return driver.peers:recover()
end

function STEPS.listen(driver)
  driver.transport = new_transport(driver)
  return driver.transport:listen()
end

function STEPS.run(driver)
  driver.clock:start(function() driver:on_check() end,
    function() driver:on_prepare() end)
  driver.state = "running"
  M.replay(driver)
  if driver.failure then return nil, driver.failure end
  driver.peers:connect()
  driver.peers:compare_options()
  driver.peers:try_form()
  return true
end

local ORDER <const> = { "storage", "core", "listen", "run" }

--- Applies what the disk knows to be committed, before start returns.
function M.replay(driver)
  driver:flush()
  driver:apply_some(true)
  while not driver.is_closed and driver:replay_more() do
    driver:flush()
    driver:apply_some(true)
  end
end

-- Closes what a failed start had opened.
local function undo(driver)
  if driver.transport then driver.transport:close_now() end
  if driver.storage then driver.storage:abort() end
  if driver.clock then driver.clock:close() end
  if driver.core then driver.core:close() end
  driver.transport, driver.storage = false, false
  driver.clock, driver.core, driver.peers = false, false, false
end

--- Opens, recovers, listens: true, or nil and an error.
function M.start(driver)
  if driver.state == "running" then return true end
  if driver.state ~= "new" then return nil, M.ended_error(driver, false) end
  driver.state = "starting"
  for _, name in ipairs(ORDER) do
    local ok, err = STEPS[name](driver)
    if not ok then
      if not driver.failure then
        undo(driver)
        driver.state = "new"
      end
      return nil, err
    end
  end
  registry.of(driver.uv):add(driver.node)
  driver.logger:info("started", { listen = driver.transport:address(),
    last = driver.core:status().last })
  return true
end

--- The disk is full, or has room again.
function M.space_changed(driver, has_space)
  driver.proposals.is_out_of_space = not has_space
  if has_space then
    driver.logger:info("the disk has room again")
    driver.emitter:queue("drain")
  else
    driver:warn(errors.new("no_space", "the disk is full: proposals are "
      .. "refused until there is room", { path = driver.options.dir }))
  end
end

---------------------------------------------------------------------- end --

--- The error for a call on a node that has ended, or is about to.
-- @param is_sent is it in a log, or on its way to one?
function M.ended_error(driver, is_sent)
  local outcome = is_sent and "unknown" or "none"
  if driver.failure then
    return errors.new("failed", ("node %s has failed: %s"):format(driver.id,
      errors.text(driver.failure)),
      { outcome = outcome, cause = driver.failure, retry = false })
  end
  local words = driver.state == "stopping" and "is stopping" or "is closed"
  if driver.state == "new" then words = "has not been started" end
  return errors.new("closed", ("node %s %s"):format(driver.id, words),
    { outcome = outcome })
end

local function answer_all(driver)
  driver.proposals:finish(function(is_sent)
    return M.ended_error(driver, is_sent)
  end)
  driver.reads:finish(function() return M.ended_error(driver, false) end)
end

-- What was deferred for the end of a turn, now from the scheduler.
local function hand_on_deferred(driver)
  for _, fn in ipairs(driver.deferred:take_all()) do
    driver.node.scheduler:defer(fn)
  end
end

local function drain_events(driver)
  driver.node.scheduler:defer(function()
    while driver.emitter:drain() do end
  end)
end

-- Everything is closed at once; nothing that was held is sent.
local function end_now(driver, state)
  driver.is_closed, driver.state = true, state
  driver.role, driver.leader = "follower", false
  if driver.transport then driver.transport:close_now() end
  if driver.clock then driver.clock:close() end
  hand_on_deferred(driver)
  answer_all(driver)
end

--- Ends the node for good because of this error.
function M.fail(driver, err)
  if driver.is_closed then return end
  driver.failure = err
  driver.logger:error("failed", { why = errors.text(err) })
  end_now(driver, "failed")
  if driver.storage then driver.storage:abort() end
  registry.of(driver.uv):fail(driver.node, err)
  driver.emitter:queue("failed", err)
  drain_events(driver)
end

--- Ends the node at once.
function M.close(driver)
  if driver.is_closed then return end
  local was_open = driver.state ~= "new"
  end_now(driver, "closed")
  if driver.storage then driver.storage:abort() end
  registry.of(driver.uv):remove(driver.node)
  if was_open then driver.emitter:queue("closed") end
  drain_events(driver)
end

--- Ends the node once what is under way is on the disk; done() follows.
-- No proposals are taken meanwhile. Stops waiting at the deadline.
function M.stop(driver, timeout_ms, done)
  if driver.is_closed or driver.state == "new" then
    M.close(driver)
    return driver.node.scheduler:defer(done)
  end
  driver.stop_waiters[#driver.stop_waiters + 1] = done
  if driver.state == "stopping" then return end
  driver.state = "stopping"
  driver.logger:info("stopping")
  driver:flush()
  if driver.is_closed then return M.stopped(driver) end
  local loop = driver.node.scheduler
  local timer = timeout_ms
    and loop:after(timeout_ms, function() M.stopped(driver) end)
  driver.storage:close(function()
    if timer then loop:close(timer) end
    M.stopped(driver)
  end)
end

--- The end of a stop, by whichever way.
function M.stopped(driver)
  M.close(driver)
  local waiters = driver.stop_waiters
  driver.stop_waiters = {}
  for _, done in ipairs(waiters) do driver.node.scheduler:defer(done) end
end

return M
