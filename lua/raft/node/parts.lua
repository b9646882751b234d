--- What a node is made of: each part with the options and the limits it gets.
-- life.lua says when.
local Recorder = require "raft.node.recorder"
local Storage = require "raft.storage"
local Transport = require "raft.transport"
local VolatileStorage = require "raft.storage.memory"
local raft_core = require "raft.core"
local scheduler = require "raft.scheduler"
local version = require "raft.version"

local M = {}

local MEMORY_BYTES <const> = 32 << 20    -- of the log kept in memory
local MESSAGE_BYTES <const> = 256 << 10  -- of entries in one append
local INFLIGHT_BYTES <const> = 8 << 20   -- under way to one peer

--- Opens the storage, and recovers: it, or nil and an error.
function M.storage(driver)
  local options = driver.options
  local open = options.volatile and VolatileStorage.open or Storage.open
  return open {
    uv = driver.uv, host = driver.host, dir = options.dir, id = options.id,
    cluster = options.cluster, logger = driver.logger,
    memory_bytes = MEMORY_BYTES,
    -- Past the cache, unless somebody else stands between us and the files.
    is_direct = driver.uv == scheduler.uv(),
  }
end

--- The recorder of the option `record`, or false.
function M.recorder(driver)
  local path = driver.options.record
  return path and Recorder.open {
    uv = driver.uv, host = driver.host, path = path, library = version,
    complain = function(err) driver:warn(err) end,
  }
end

--- A new core; or, while there is a recorder, what stands before it.
function M.core(driver)
  local options = driver.options
  local core_options = {
    id = options.id,
    incarnation = driver.storage.incarnation,
    seed = driver.storage.seed,
    election_min_ms = options.election_timeout.min,
    election_max_ms = options.election_timeout.max,
    heartbeat_ms = options.heartbeat,
    command_bytes_max = options.max_command_bytes,
    pending_bytes_max = options.max_pending_bytes,
    message_bytes_max = MESSAGE_BYTES,
    inflight_bytes_max = INFLIGHT_BYTES,
    memory_bytes_max = MEMORY_BYTES,
  }
  local core = raft_core.new(core_options)
  if not driver.recorder then return core end
  return driver.recorder:stand_before(core, core_options)
end

--- The transport: it does not listen yet.
function M.transport(driver)
  local min = driver.options.election_timeout.min
  local peers, receiving = driver.peers, driver.receiving
  local gateway = driver.gateway
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
      channel = function(channel) return receiving:accept(channel) end,
      client = function(channel) return gateway:accept(channel) end,
    },
    limits = { ping_ms = min, alive_ms = 2 * min, silence_ms = 4 * min },
  }
end

return M
