--- The times and sizes of a transport, and what a round of its timer is.

local M = {}

local DEFAULTS <const> = {
  queue_bytes = 16 << 20,  -- waiting on one link; beyond it strings are dropped
  hello_ms = 3000,         -- for a greeting, counted from the connection
  connect_ms = 3000,       -- to look a name up and connect
  ping_ms = 1000,          -- an idle link is written to that often
  alive_ms = 2500,         -- heard within that time: somebody is there
  silence_ms = 5000,       -- silent for that long: closed
  client_silence_ms = 30000,  -- of a client
  pending_max = 128,       -- accepted connections that have not greeted
  channels_max = 8,        -- channels that we dialed, and snapshots coming in
  clients_max = 1024,      -- channels of clients
  dial_min_ms = 50,        -- the first wait between tries
  dial_max_ms = 2000,      -- the longest wait
  patience_ms = 100,       -- the higher id lets the lower one dial first
  settle_ms = 1000,        -- a link that lived so long starts the waits anew
  complain_ms = 10000,     -- one line per address and kind in that time
}

-- A round is a fraction of the shortest time that is counted in rounds.
local ROUNDS_PER_TIME <const> = 2
local ROUND_MIN_MS <const> = 5
local COUNTED <const> = { "hello_ms", "ping_ms", "alive_ms", "silence_ms" }

--- All limits: those wanted, and defaults for the others.
function M.with(wanted)
  local limits = {}
  for name, default in pairs(DEFAULTS) do limits[name] = default end
  for name, value in pairs(wanted or {}) do
    assert(DEFAULTS[name], "no such limit")
    assert(math.type(value) == "integer" and value > 0,
      "a limit is a positive integer")
    limits[name] = value
  end
  local shortest = math.huge
  for _, name in ipairs(COUNTED) do
    shortest = math.min(shortest, limits[name])
  end
  limits.round_ms = math.max(ROUND_MIN_MS, shortest // ROUNDS_PER_TIME)
  return limits
end

return M
