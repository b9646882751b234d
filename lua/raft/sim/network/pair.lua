--- One direction between two addresses: what the network does to it.
--
-- Options, all numbers but delay:
--   delay         { min, max } ms of a segment, or one number
--   spread        "even", or "log": each order of magnitude as likely
--   bandwidth     bytes a ms of one connection; 0: no limit
--   loss          share of frames that are lost (see frames.lua)
--   duplicate     share of frames that come twice
--   reorder_ms    frames are held back for so long at most, and doubles too
--   reorder       share of frames that are held back; 0.1 when not given
--   refuse        share of connects that are refused
--   buffer_bytes  of one direction of a connection: sent, and not yet read
--   rto_ms        before what was not acknowledged is sent again; doubles
--   timeout_ms    until TCP gives up what is not acknowledged

local M = {}

local DEFAULTS <const> = {
  delay = { 0.5, 2 }, spread = "even", bandwidth = 0, loss = 0, duplicate = 0,
  reorder = false, reorder_ms = 0, refuse = 0, buffer_bytes = 1 << 20,
  rto_ms = 200, timeout_ms = 15000,
}

local NS_PER_MS <const> = 1000000
local SHARES <const> = { loss = true, duplicate = true, reorder = true,
  refuse = true }
local REORDER <const> = 0.1
local SEGMENT_BYTES_MAX <const> = 65536  -- what one read takes at most
local SEGMENT_BYTES_MIN <const> = 1460
local SEGMENT_MS <const> = 10            -- of a slow wire, at most

local Pair = { __name = "raft.sim.pair" }
Pair.__index = Pair

--------------------------------------------------------------------- options --

local function check_delay(value)
  local low, high = value, value
  if type(value) == "table" then low, high = value[1], value[2] end
  if math.type(low) and math.type(high) and 0 <= low and low <= high then
    return { low, high }
  end
  error("network: delay: expected { min, max } ms, or a number", 0)
end

local function check_number(name, value)
  local max = SHARES[name] and 1 or math.huge
  if math.type(value) and value >= 0 and value <= max then return value end
  error(("network: %s: expected a number from 0 to %s"):format(name,
    tostring(max)), 0)
end

local function check(name, value)
  if DEFAULTS[name] == nil then
    error(("network: %s: no such option"):format(tostring(name)), 0)
  end
  if name == "delay" then return check_delay(value) end
  if name ~= "spread" then return check_number(name, value) end
  if value == "even" or value == "log" then return value end
  error("network: spread: expected even or log", 0)
end

--- A copy of the options with these changed; raises what is wrong with them.
function M.with(options, changes)
  local out = {}
  for name, value in pairs(options or DEFAULTS) do out[name] = value end
  for name, value in pairs(changes or {}) do out[name] = check(name, value) end
  return out
end

----------------------------------------------------------------------- pairs --

--- @param world gives the randomness; @param from, to addresses
function M.new(world, from, to)
  return setmetatable({
    world = world,
    from = from,
    to = to,
    random = world:random(("network %s %s"):format(from, to)),
    own = {},              -- options that differ from the network's
    is_cut = false,        -- does nothing get through?
    is_watched = false,    -- are frames looked at?
    segments = 0,          -- sent so far
    bytes = 0,
    -- What `apply` makes of the options.
    low_ns = 0, high_ns = 0, is_log = false, bandwidth = 0, loss = 0,
    duplicate = 0, reorder = 0, reorder_ns = 0, refuse = 0,
    buffer_bytes = 0, segment_bytes = 0, rto_ns = 0, timeout_ns = 0,
  }, Pair)
end

local function ns(ms)
  return (ms * NS_PER_MS) // 1 | 0
end

local function segment_bytes(bandwidth)
  if bandwidth == 0 then return SEGMENT_BYTES_MAX end
  local bytes = bandwidth * SEGMENT_MS // 1 | 0
  return math.max(SEGMENT_BYTES_MIN, math.min(SEGMENT_BYTES_MAX, bytes))
end

local function reorder_share(options)
  if options.reorder_ms == 0 then return 0 end
  return options.reorder or REORDER
end

--- Goes by these options, and its own, from now on.
-- @param has_watchers does anybody count frames?
function Pair:apply(network_options, has_watchers)
  local options = M.with(network_options, self.own)
  self.low_ns, self.high_ns = ns(options.delay[1]), ns(options.delay[2])
  self.is_log = options.spread == "log" and self.low_ns > 0
  self.bandwidth = options.bandwidth
  self.segment_bytes = segment_bytes(options.bandwidth)
  self.loss, self.duplicate = options.loss, options.duplicate
  self.reorder, self.reorder_ns = reorder_share(options), ns(options.reorder_ms)
  self.refuse = options.refuse
  self.buffer_bytes = options.buffer_bytes
  self.rto_ns, self.timeout_ns = ns(options.rto_ms), ns(options.timeout_ms)
  self.is_watched = has_watchers or self.loss > 0 or self.duplicate > 0
    or self.reorder > 0
end

--- How long the next segment takes, in ns.
function Pair:delay()
  local low, high = self.low_ns, self.high_ns
  if low == high then return low end
  if self.is_log then return self.random:log_uniform(low, high) // 1 | 0 end
  return low + self.random:below(high - low + 1)
end

--- How long something is held back, in ns.
function Pair:hold()
  if self.reorder_ns == 0 then return 0 end
  return self.random:below(self.reorder_ns + 1)
end

return M
