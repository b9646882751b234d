--- What node:status() tells: numbers and names, all copies.
local divergence = require "raft.node.divergence"
local view = require "raft.node.view"

local M = {}

-- Of each peer, as a leader sees it.
local function peers_of(core, shipping, now)
  local peers = {}
  for id, peer in pairs(core.peers) do
    peers[id] = { match = peer.match, next = peer.next, state = peer.state,
      lag = math.max(0, core.last - peer.match),
      silent_ms = math.max(0, now - peer.heard),
      snapshot = shipping:progress(id) }
  end
  return peers
end

-- Where the log stands, which is known when the node is over, too.
local PLACES <const> = { "first", "last", "commit", "stored", "snapshot" }

--- Notes where the log stands: the node is about to end.
function M.keep(driver)
  if not driver.core then return end
  local core, places = driver.core:status(), {}
  for _, name in ipairs(PLACES) do places[name] = core[name] end
  driver.last_places = places
end

local function fill_from_core(status, driver)
  local core = driver.core:status()
  for _, name in ipairs(PLACES) do status[name] = core[name] end
  status.bad_frames = core.bad_frames
  status.peers = peers_of(core, driver.shipping, driver:now())
  status.pending_bytes = core.pending_bytes
  status.memory_bytes = core.memory_bytes
  status.uptime = driver:now() - driver.started_at
  status.has_lease = core.has_lease
  status.heir = core.heir or nil
end

-- Of a node that is not open.
local function fill_without_core(status, driver)
  for _, name in ipairs(PLACES) do
    status[name] = driver.last_places and driver.last_places[name] or 0
  end
  for _, name in ipairs { "bad_frames", "pending_bytes", "memory_bytes",
    "uptime" } do
    status[name] = 0
  end
  status.peers, status.has_lease = {}, false
end

--- The status of a driver's node.
function M.of(driver)
  local is_open = driver.core and not driver.is_closed
  local status = {
    id = driver.id,
    cluster = driver.options.cluster,
    state = driver.state == "running" and driver.repairing and "repairing"
      or driver.state,
    formed = driver.formed,
    role = driver.role,
    term = driver.term,
    leader = driver.leader or nil,
    address = driver:address_of(driver.leader),
    listen = is_open and driver.transport:address() or nil,
    applied = driver.applied,
    members = driver:members(),
    quorum = view.quorum(driver),
    pending = driver.proposals:count_open(),
    loop_lag_ms = driver.loop_lag_ms,
    disk_ms = 0,
    version = driver.version,
    failure = driver.failure or nil,
    services = driver.services and driver.services:status() or nil,
    diverged = divergence.status(driver),
  }
  if is_open then
    fill_from_core(status, driver)
    local storage = driver.storage
    status.disk_ms = math.max(storage:status().disk_ms, storage:write_age())
    status.transport = driver.transport:status()
  else
    fill_without_core(status, driver)
  end
  return status
end

return M
