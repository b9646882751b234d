--- One node of the nemesis' clusters, in a process of its own: a store of keys
-- and values, with orders on stdin and answers on stdout, a line each.
--
--   lua5.4 spec/nemesis/child.lua <id> <dir> <min>,<max> <id=host:port>...
--     <port>port>...    join=host:port in place of members: waits to be added
--
-- Where a port is given for a port, that one is dialed in its place: there a
-- proxy listens. Every operation has a name, which is applied with it.
--
--   <name> get <key>             -> ok <name> <value>, "-" when there is none
--   <name> lease <key>           -> the same, by a lease if there is one
--   <name> put <key> <value>     -> ok <name> true
--   <name> append <key> <value>  -> ok <name> true
--   <name> cas <key> <old> <new> -> ok <name> true or false
--                                   or no <name> <code> <outcome>
--   detour <port>port>...        (more of them)
--   change <number> <id=host:port or id=->...
--                                -> changed <number> ok or <code>
--   transfer, take               (asks for it, and no more)
--   digest                       -> digest <applied> <count> <hash>
--   names                        -> names <name>...   of what was applied
--
-- By itself it says: started, role <role> <term>, failed <code>, snapshot made
-- or received.
local Storage = require "raft.storage"
local raft = require "raft"
local uv = require "luv"

local SEGMENT_BYTES <const> = 1 << 18  -- small: segments change all the time
local TIMEOUT_MS <const> = 1500        -- of an operation
local CHANGE_MS <const> = 5000         -- of a change
local SNAPSHOT_BYTES <const> = 1 << 14 -- of log: they are taken all the time

------------------------------------------------------------- the machine --

local values, names, hash = {}, {}, 0

-- Follows all that was ever applied, in its order.
local function mix(text)
  text = text .. ("\0"):rep(-#text % 8)
  for i = 1, #text, 8 do
    hash = (hash ~ string.unpack("<i8", text, i)) * 0x100000001b3
    hash = hash ~ hash >> 29
  end
end

local writes = {}

function writes.put(key, value)
  values[key] = value
  return true
end

function writes.append(key, value)
  values[key] = (values[key] or "") .. value
  return true
end

function writes.cas(key, old, new)
  if (values[key] or "-") ~= old then return false end
  values[key] = new
  return true
end

-- Everything at once: it is small.
local function snapshot()
  return raft.codec.encode { values = values, names = names, hash = hash }
end

local function restore(bytes)
  local state = assert(raft.codec.decode(bytes))
  values, names, hash = state.values, state.names, state.hash
end

local function apply(command)
  local name, op, key, a, b = command:match("^(%S+) (%S+) (%S+) (%S+) ?(%S*)$")
  names[#names + 1] = name
  mix(command)
  return writes[op](key, a, b)
end

----------------------------------------------------------------- the node --

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local members, by_port, joins_at = {}, {}, nil

local function detour(words)
  for port, other in words:gmatch("(%d+)>(%d+)") do
    by_port[tonumber(port)] = tonumber(other)
  end
end

for i = 4, #arg do
  local id, address = arg[i]:match("^([^=]+)=(.+)$")
  if id == "join" then
    joins_at = address
  elseif id then
    members[id] = address
  else
    detour(arg[i])
  end
end

-- The library opens its segments as large as they are in use; here they are
-- small, so that their changes meet the faults.
local open = Storage.open
Storage.open = function(options)
  options.segment_bytes = SEGMENT_BYTES
  return open(options)
end

-- A luv that dials the proxies.
local loop = setmetatable({
  tcp_connect = function(stream, host, port, done)
    return uv.tcp_connect(stream, host, by_port[port] or port, done)
  end,
}, { __index = uv })

local low, high = arg[3]:match("^(%d+),(%d+)$")
local node = raft.node {
  id = arg[1], dir = arg[2], members = not joins_at and members or nil,
  join = joins_at ~= nil, listen = joins_at, log = "error",
  leases = not joins_at and true or nil,
  snapshot = snapshot, restore = restore, snapshot_bytes = SNAPSHOT_BYTES,
  election_timeout = { tonumber(low), tonumber(high) },
  apply = apply,
  query = function(key) return values[key] or "-" end,
  uv = loop,
  on = {
    role = function(role, term) say("role", role, term) end,
    failed = function(err) say("failed", err.code) end,
    snapshot = function(info)
      say("snapshot", info.mode and "made" or "received")
    end,
  },
}

------------------------------------------------------------------- orders --

local function answer(name)
  return function(err, result)
    if err then return say("no", name, err.code, err.outcome) end
    say("ok", name, tostring(result))
  end
end

local function change(words)
  local number, rest = words:match("^(%d+) (.+)$")
  local spec = {}
  for id, address in rest:gmatch("(%S+)=(%S+)") do
    spec[id] = address ~= "-" and address
  end
  node:change(spec, { timeout = CHANGE_MS }, function(err)
    say("changed", number, err and err.code or "ok")
  end)
end

local orders = {
  detour = detour,
  change = change,
  transfer = function() node:transfer(function() end) end,
  take = function() node:take_snapshot(function() end) end,
  digest = function()
    say("digest", node:status().applied, #names, ("%016x"):format(hash))
  end,
  names = function() say("names", table.concat(names, " ")) end,
}

local function obey(line)
  local word, rest = line:match("^(%S+) ?(.*)$")
  if orders[word] then return orders[word](rest) end
  local name, op, key = line:match("^(%S+) (%S+) (%S+)")
  local opts = { timeout = TIMEOUT_MS }
  if op == "lease" then opts.consistency = "lease" end
  if op == "get" or op == "lease" then
    return node:query(key, opts, answer(name))
  end
  node:propose(line, opts, answer(name))
end

local function read_orders()
  local stdin, rest = assert(uv.new_pipe(false)), ""
  assert(stdin:open(0))
  assert(stdin:read_start(function(_, chunk)
    if not chunk then return os.exit(3) end  -- the nemesis is gone
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      obey(line)
      return ""
    end)
  end))
end

-- A start that fails ends the process with the reason on stderr.
raft.run(function()
  assert(node:start())
  read_orders()
  say("started")
end, { uv = loop })
