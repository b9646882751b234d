--- Locks with leases and fencing tokens, as a service.
--
--   local lock = require "raft.services.lock"
--   node = raft.node { service = lock { name = "locks" }, ... }
--   token = node.locks.acquire("report", "ann", 10000)
--
-- Promises. At most one owner holds a key at any time of the log. A lease ends
-- by the stamps of entries only: at the first command whose stamp is at or
-- behind its end. Tokens ascend for ever, over all keys: one counter needs no
-- memory of the keys that were locked once, and a store that several locks
-- guard can compare their tokens.
--
-- Limits. Whoever was stopped for a while may believe that it holds a lock that
-- another one has: what the lock guards must refuse a token that is older than
-- one it has seen. See docs/services/lock.md.
local refusing = require "raft.services.refusing"
local schema = require "raft.schema"
local service = require "raft.service"
local wait = require "raft.services.lock.wait"

local KEY_BYTES_MAX <const> = 1024
local OWNER_BYTES_MAX <const> = 256
local KEYS_MAX <const> = 10000        -- held at one time, by default
local TTL_MS_MAX <const> = 86400000   -- of a lease, by default: a day
local LOOKS <const> = 2         -- at other keys, by each acquire
local LOOKS_IF_FULL <const> = 64

local option_rule = schema.fields {
  { "name", schema.name, default = "lock" },
  { "version", schema.integer(1, 1 << 53), default = 1 },
  { "older", schema.any_table },
  { "max_keys", schema.integer(1, 1 << 20, "keys"), default = KEYS_MAX },
  { "max_ttl_ms", schema.integer(1, 1 << 53, "ms"), default = TTL_MS_MAX },
}

------------------------------------------------------------------- the state --

-- locks: key -> { owner=, token=, until_ms=, ttl_ms=, place= in keys }
-- keys:  those that are in locks, in no order of meaning
-- A lease that is over is forgotten when its key is asked for, or when an
-- acquire comes by: each looks at two keys, in turn. So what dead owners leave
-- goes by itself, and no command has to look at all of them.
-- limits: the options of the node whose first state it was. In the state they
--        are the same on every node.
local function init_with(limits)
  return function()
    return { token = 0, locks = {}, keys = {}, turn = 0, limits = limits }
  end
end

local function forget(s, key)
  local place, last = s.locks[key].place, #s.keys
  local moved = s.keys[last]
  s.keys[place], s.locks[moved].place = moved, place
  s.keys[last], s.locks[key] = nil, nil
end

-- The lock of this key, unless its lease is over: then it is gone.
local function current(s, key)
  local lock = s.locks[key]
  if not lock or entry.time < lock.until_ms then return lock end
  forget(s, key)
  emit("expired", key, lock.owner, lock.token)
end

local function look_at_others(s, looks)
  for _ = 1, math.min(looks, #s.keys) do
    s.turn = s.turn % #s.keys + 1
    current(s, s.keys[s.turn])
    if #s.keys == 0 then return end
  end
end

-- Where all is taken, some of it may be over.
local function has_room(s)
  if #s.keys >= s.limits.max_keys then look_at_others(s, LOOKS_IF_FULL) end
  return #s.keys < s.limits.max_keys
end

local function add(s, key, owner)
  s.token = s.token + 1
  s.keys[#s.keys + 1] = key
  s.locks[key] = { owner = owner, token = s.token, until_ms = 0, ttl_ms = 0,
    place = #s.keys }
  return s.locks[key]
end

local function extend(lock, ttl_ms)
  lock.ttl_ms = math.tointeger(ttl_ms)
  lock.until_ms = entry.time + lock.ttl_ms
end

-------------------------------------------------------------------- refusals --

local function utc(ms)
  return ("%s.%03d UTC"):format(os.date("!%Y-%m-%d %H:%M:%S", ms // 1000),
    ms % 1000)
end

-- Who has it: for people and for programs.
local function held(key, lock)
  return {
    message = ("lock %s: held by %s until %s (token %d)"):format(key,
      lock.owner, utc(lock.until_ms), lock.token),
    owner = lock.owner, token = lock.token, until_ms = lock.until_ms,
    left_ms = lock.until_ms - entry.time,
  }
end

-- What was asked for with a token that is not, or no more, that of the holder.
local function not_held(key, token, lock)
  if lock then
    local why = held(key, lock)
    why.message = ("lock %s: token %d does not hold it: it is held by %s until "
      .. "%s (token %d)"):format(key, token, lock.owner, utc(lock.until_ms),
      lock.token)
    return why
  end
  return { message = ("lock %s: token %d does not hold it: nobody does, its "
    .. "lease is over or it was released"):format(key, token) }
end

local function wrong_key(what, key)
  return refusing.text(what .. ": key", key, KEY_BYTES_MAX)
end

local function wrong_ttl(what, s, ttl_ms)
  return refusing.integer(what .. ": ttl_ms", ttl_ms, 1, s.limits.max_ttl_ms)
end

local function wrong_token(what, key, token)
  return wrong_key(what, key)
    or refusing.integer(what .. ": token", token, 1, math.maxinteger)
end

-------------------------------------------------------------------- commands --

-- -> token. Who holds it already gets a new lease and keeps its token, so an
-- acquire whose answer was lost can be asked again.
local function acquire(s, key, owner, ttl_ms)
  local why = wrong_key("lock.acquire", key)
    or refusing.text("lock.acquire: owner", owner, OWNER_BYTES_MAX)
    or wrong_ttl("lock.acquire", s, ttl_ms)
  if why then return nil, why end
  look_at_others(s, LOOKS)
  local lock = current(s, key)
  if lock and lock.owner ~= owner then return nil, held(key, lock) end
  local is_new = not lock
  if is_new and not has_room(s) then
    return nil, ("lock.acquire: %d locks are held, and there can be no more")
      :format(#s.keys)
  end
  lock = lock or add(s, key, owner)
  extend(lock, ttl_ms)
  if is_new then emit("acquired", key, owner, lock.token, lock.until_ms) end
  return lock.token
end

-- -> the token. The lease is that long from now on; without ttl_ms as long as
-- the last one.
local function renew(s, key, token, ttl_ms)
  local why = wrong_token("lock.renew", key, token)
    or ttl_ms ~= nil and wrong_ttl("lock.renew", s, ttl_ms) or nil
  if why then return nil, why end
  local lock = current(s, key)
  if not lock or lock.token ~= token then
    return nil, not_held(key, math.tointeger(token), lock)
  end
  extend(lock, ttl_ms or lock.ttl_ms)
  return lock.token
end

-- -> true.
local function release(s, key, token)
  local why = wrong_token("lock.release", key, token)
  if why then return nil, why end
  local lock = current(s, key)
  if not lock or lock.token ~= token then
    return nil, not_held(key, math.tointeger(token), lock)
  end
  forget(s, key)
  emit("released", key, lock.owner, lock.token)
  return true
end

-- -> who holds it, by the time of the newest command; nil: nobody.
local function get(s, key)
  local why = wrong_key("lock.get", key)
  if why then return nil, why end
  local lock = s.locks[key]
  if not lock or entry.time >= lock.until_ms then return nil end
  return { owner = lock.owner, token = lock.token, until_ms = lock.until_ms,
    ttl_ms = lock.ttl_ms, left_ms = lock.until_ms - entry.time }
end

-------------------------------------------------------------------- the face --

-- A service of locks.
-- @param opts name, max_keys, max_ttl_ms, version, older: see
--   docs/services/lock.md
local function new(_, opts)
  local given = schema.check("raft.services.lock", 3, option_rule, opts or {})
  local limits = { max_keys = given.max_keys, max_ttl_ms = given.max_ttl_ms }
  return service.new {
    name = given.name, version = given.version, older = given.older or nil,
    init = init_with(limits),
    upgrade = function(s) s.limits = limits end,
    commands = { acquire = acquire, renew = renew, release = release },
    queries = { get = get },
  }
end

return setmetatable({ wait = wait.wait }, { __call = new })
