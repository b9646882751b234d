--- One node of the nemesis' clusters, in a process of its own: a store of keys
-- and values, with orders on stdin and answers on stdout, a line each.
--
--   lua5.4 spec/nemesis/child.lua <id> <dir> <min>,<max> <id=host:port>...
--     <port>port>...
--
-- Where a port is given for a port, that one is dialed in its place: there a
-- proxy listens. Every operation has a name, which is applied with it.
--
--   <name> get <key>             -> ok <name> <value>, "-" when there is none
--   <name> put <key> <value>     -> ok <name> true
--   <name> append <key> <value>  -> ok <name> true
--   <name> cas <key> <old> <new> -> ok <name> true or false
--                                   or no <name> <code> <outcome>
--   digest                       -> digest <applied> <count> <hash>
--   names                        -> names <name>...   of what was applied
--
-- By itself it says: started, role <role> <term>, failed <code>.
local Storage = require "raft.storage"
local raft = require "raft"
local uv = require "luv"

local SEGMENT_BYTES <const> = 1 << 18  -- small: segments change all the time
local TIMEOUT_MS <const> = 1500        -- of an operation

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

local members, by_port = {}, {}
for i = 4, #arg do
  local id, address = arg[i]:match("^([^=]+)=(.+)$")
  local port, other = arg[i]:match("^(%d+)>(%d+)$")
  if id then members[id] = address end
  if port then by_port[tonumber(port)] = tonumber(other) end
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
  id = arg[1], dir = arg[2], members = members, log = "error",
  election_timeout = { tonumber(low), tonumber(high) },
  apply = apply,
  query = function(key) return values[key] or "-" end,
  uv = loop,
  on = {
    role = function(role, term) say("role", role, term) end,
    failed = function(err) say("failed", err.code) end,
  },
}

------------------------------------------------------------------- orders --

local function answer(name)
  return function(err, result)
    if err then return say("no", name, err.code, err.outcome) end
    say("ok", name, tostring(result))
  end
end

local orders = {
  digest = function()
    say("digest", node:status().applied, #names, ("%016x"):format(hash))
  end,
  names = function() say("names", table.concat(names, " ")) end,
}

local function obey(line)
  if orders[line] then return orders[line]() end
  local name, op, key = line:match("^(%S+) (%S+) (%S+)")
  local opts = { timeout = TIMEOUT_MS }
  if op == "get" then return node:query(key, opts, answer(name)) end
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
