-- The batteries under the full swarm of faults, each against an exact model.
-- BATTERIES_SEEDS says how many seeds each gets.
local clocks = require "spec.support.clocks"
local config = require "raft.services.config"
local counter = require "raft.services.counter"
local errors = require "raft.errors"
local map = require "raft.services.map"
local queue = require "raft.services.queue"
local support = require "spec.support.helper"
local swarm = require "spec.support.service_swarm"

local SEEDS <const> = math.tointeger(tonumber(os.getenv "BATTERIES_SEEDS")) or 1

local YEAR_MS <const> = 365 * 86400000  -- clocks go wrong by hours
local REFUSED <const> = swarm.REFUSED

local function copy(t)
  local made = {}
  for key, value in pairs(t) do made[key] = value end
  return made
end

local function run(subject)
  support.patience(60000 * SEEDS)
  local report, err, checked = swarm.run(subject, support.seed(), SEEDS)
  assert.is_truthy(report, errors.text(err))
  assert.is_true(checked >= swarm.CALM_CALLS * SEEDS, checked .. " calls")
end

-------------------------------------------------------------------- counter --

local LOW <const>, HIGH <const> = -15, 15

local counters = {}

function counters.service() return counter { min = LOW, max = HIGH } end
function counters.init() return 0 end
function counters.key(arguments) return arguments[1] end

function counters.draw(random)
  local key, n = random:pick { "a", "b" }, random:between(-6, 6)
  local name = random:pick { "add", "add", "get", "set", "compare_and_set",
    "reset" }
  if name == "compare_and_set" then return { name, key, n, n + 1 } end
  if name == "add" or name == "set" then return { name, key, n } end
  return { name, key }
end

counters.steps = {
  add = function(state, _, n)
    local sum = state + n
    if sum < LOW or sum > HIGH then return state, REFUSED end
    return sum, sum
  end,
  get = function(state) return state, state end,
  set = function(state, _, n) return n, state end,
  reset = function(state) return 0, state end,
  compare_and_set = function(state, _, from, to)
    if state ~= from then return state, false end
    return to, true
  end,
}

------------------------------------------------------------------------ map --

-- No key has a time to live here: the model would have to know the time at
-- which each command was applied.
local maps = { watches = {} }

function maps.service() return map { keys_max = 4, history_max = 100000 } end
function maps.init() return { version = 0, items = {} } end

function maps.draw(random, mine)
  mine.count = (mine.count or 0) + 1
  local key = random:pick { "a", "b", "c", "d", "e" }
  local value = ("%d.%d"):format(mine.number, mine.count)
  local version = mine.version or 0
  local name = random:pick { "put", "put", "put_if", "delete", "delete_if",
    "item", "item", "size", "version" }
  if name == "put" then return { name, key, value } end
  if name == "put_if" then return { name, key, version, value } end
  if name == "delete_if" then return { name, key, version } end
  if name == "item" or name == "delete" then return { name, key } end
  return { name }
end

function maps.note(mine, call, answer)
  if call[1] == "item" then mine.version = answer and answer.version or 0 end
end

-- The state with another item of the key; nil: with none.
local function with(state, key, value)
  local after = { version = state.version + 1, items = copy(state.items) }
  after.items[key] = value ~= nil
    and { key = key, value = value, version = after.version } or nil
  return after, after.version
end

local function count_of(t)
  local count = 0
  for _ in pairs(t) do count = count + 1 end
  return count
end

local function put(state, key, value)
  if not state.items[key] and count_of(state.items) == 4 then
    return state, REFUSED
  end
  return with(state, key, value)
end

local function version_of(state, key)
  return state.items[key] and state.items[key].version or 0
end

maps.steps = {
  put = put,
  put_if = function(state, key, version, value)
    if version_of(state, key) ~= version then return state, false end
    return put(state, key, value)
  end,
  delete = function(state, key)
    if not state.items[key] then return state, false end
    return with(state, key, nil)
  end,
  delete_if = function(state, key, version)
    if version == 0 or version_of(state, key) ~= version then
      return state, false
    end
    return with(state, key, nil)
  end,
  item = function(state, key) return state, state.items[key] end,
  size = function(state) return state, count_of(state.items) end,
  version = function(state) return state, state.version end,
}

-- Somebody in another process who watches all the time.
function maps.beside(s)
  s:wait(function() return next(s.members.n1.services) end, 10000)
  local seen = { items = {}, versions = {}, ready = false }
  seen.watch = map.watch(s:client("watcher"):service("map"), "",
    function(key, value, version)
      seen.items[key] = value
      if seen.ready then seen.versions[#seen.versions + 1] = version end
    end, { poll_ms = 50, ready = function(version) seen.ready = version end })
  maps.watches[s] = seen
end

function maps.check(s)
  local seen = maps.watches[s]
  local proxy = s:client("end"):service("map")
  local page = assert(proxy.list())
  s:wait(function() return seen.watch.version == page.version end, 5000)
  seen.watch:close()
  assert(seen.watch.version == page.version, "the watch lags behind")
  for i, version in ipairs(seen.versions) do
    assert(version == seen.ready + i, "the watch has missed a change")
  end
  assert(count_of(seen.items) == #page.items, "the watch has other keys")
  for _, item in ipairs(page.items) do
    assert(seen.items[item.key] == item.value, "the watch has other values")
  end
  return true
end

---------------------------------------------------------------------- queue --

local MOST <const> = 3

local queues = {}

function queues.service()
  return queue { lease_ms = YEAR_MS, attempts_max = MOST, length_max = 10 }
end

function queues.init() return { last = 0, messages = {} } end

function queues.draw(random, mine)
  mine.count = (mine.count or 0) + 1
  local name = random:pick { "push", "push", "pop", "pop", "ack", "nack",
    "length", "drop", "revive" }
  local lease = mine.lease or { id = random:between(1, 9), attempt = 1 }
  if name == "push" then
    return { name, ("%d.%d"):format(mine.number, mine.count) }
  elseif name == "ack" or name == "nack" then
    return { name, lease.id, lease.attempt }
  elseif name == "drop" or name == "revive" then
    return { name, lease.id }
  end
  return { name }
end

function queues.note(mine, call, answer)
  if call[1] == "pop" and answer then mine.lease = answer end
end

-- The state with this message changed, or without it.
local function changed(state, id, changes)
  local after = { last = math.max(state.last, id),
    messages = copy(state.messages) }
  if changes then
    local message = copy(state.messages[id] or {})
    for key, value in pairs(changes) do message[key] = value end
    after.messages[id] = message
  else
    after.messages[id] = nil
  end
  return after
end

local function lengths(state)
  local n = { ready = 0, leased = 0, delayed = 0, dead = 0 }
  for _, message in pairs(state.messages) do
    n[message.place] = n[message.place] + 1
  end
  return n
end

local function is_full(state)
  local n = lengths(state)
  return n.ready + n.leased >= 10
end

local function leased(state, id, attempt)
  local message = state.messages[id]
  return message and message.place == "leased" and message.attempts == attempt
end

queues.steps = {
  push = function(state, value)
    if is_full(state) then return state, REFUSED end
    local id = state.last + 1
    return changed(state, id, { value = value, attempts = 0,
      place = "ready" }), id
  end,
  pop = function(state)
    for id = 1, state.last do
      local message = state.messages[id]
      if message and message.place == "ready" then
        local attempt = message.attempts + 1
        return changed(state, id, { place = "leased", attempts = attempt }),
          { id = id, value = message.value, attempt = attempt }
      end
    end
    return state, nil
  end,
  ack = function(state, id, attempt)
    if not leased(state, id, attempt) then return state, false end
    return changed(state, id, nil), true
  end,
  nack = function(state, id, attempt)
    if not leased(state, id, attempt) then return state, false end
    return changed(state, id, { place = attempt >= MOST and "dead"
      or "ready" }), true
  end,
  drop = function(state, id)
    local message = state.messages[id]
    if not message or message.place == "leased" then return state, false end
    return changed(state, id, nil), true
  end,
  revive = function(state, id)
    local message = state.messages[id]
    if not message or message.place ~= "dead" then return state, false end
    if is_full(state) then return state, REFUSED end
    return changed(state, id, { place = "ready", attempts = 0 }), true
  end,
  length = function(state) return state, lengths(state) end,
}

-- When a lease ends is the time of its entry, which no model can know.
function queues.seen(output)
  if type(output) ~= "table" or not output.until_ms then return output end
  return { id = output.id, value = output.value, attempt = output.attempt }
end

-- Beside it is a queue with short leases and delays. What no model can know
-- there is looked at by what it promises: nothing is lost, nothing comes again
-- that is done, and nobody has a message while another one does.
local LEASE_MS <const> = 200
local WORK_OFF_MS <const>, IN_VAIN <const> = 5000, 5

queues.beside_of = {}

function queues.other()
  return queue { name = "timed", lease_ms = LEASE_MS, attempts_max = false }
end

-- Pops one, and acknowledges it or not. Was there one?
local function take(proxy, seen, is_done)
  local message = proxy.pop()
  if not message then return false end
  local last = seen.last[message.id] or { attempt = 0, until_ms = 0 }
  if last.is_done then seen.problem = "it came again after it was done" end
  if message.attempt <= last.attempt then seen.problem = "an old attempt" end
  if message.until_ms - LEASE_MS < last.until_ms then
    seen.problem = "two had it at one time"
  end
  seen.last[message.id] = message
  seen.log_ms = message.until_ms - LEASE_MS
  if is_done then
    local done, err = proxy.ack(message.id, message.attempt)
    message.is_done, message.may_be_gone = done, err ~= nil or done
  end
  return true
end

function queues.beside(s)
  local random = s.world:random("timed")
  local seen = { pushed = {}, last = {}, problem = false, is_over = false,
    log_ms = false }
  queues.beside_of[s] = seen
  s:wait(function() return next(s.members.n1.services) end, 10000)
  local proxy = s:client("timed"):service("timed", { timeout = 3000 })
  for i = 1, 60 do
    seen.pushed[#seen.pushed + 1] = proxy.push(i, random:between(0, 300))
    take(proxy, seen, random:chance(0.5))
    s:sleep(random:between(0, 200))
  end
  seen.is_over = true
end

-- Takes all that are left, some of them in vain at first. The one that is
-- pushed says what time it is.
local function work_off(s, proxy, seen)
  seen.pushed[#seen.pushed + 1] = assert(proxy.push("last"))
  take(proxy, seen, false)
  clocks.set(s, seen.log_ms)
  for _ = 1, IN_VAIN do take(proxy, seen, false) end
  return s:wait(function()
    while take(proxy, seen, true) do end
    local left = assert(proxy.length())
    if left.ready + left.leased + left.delayed == 0 then return true end
    s:sleep(LEASE_MS)
  end, WORK_OFF_MS)
end

function queues.check(s)
  local seen = queues.beside_of[s]
  assert(s:wait(function() return seen.is_over end, 60000))
  assert(work_off(s, s:client("end"):service("timed"), seen))
  assert(not seen.problem, seen.problem)
  assert(#seen.pushed > 10, "too few were pushed")
  for _, id in ipairs(seen.pushed) do
    assert(seen.last[id] and seen.last[id].may_be_gone, "a message was lost")
  end
  return true
end

--------------------------------------------------------------------- config --

local HISTORY <const> = 4

local configs = {}

function configs.service()
  return config { history_max = HISTORY, fields = {
    a = { type = "integer", max = 5 }, b = { type = "integer", max = 5 },
  }, check = function(settings)
    if (settings.a or 0) + (settings.b or 0) > 8 then return nil, "too much" end
  end }
end

function configs.init() return { version = 0, kept = { [0] = {} } } end

function configs.draw(random, mine)
  local key, value = random:pick { "a", "b" }, random:between(0, 6)
  local version = math.max(0, (mine.version or 0) - random:between(0, 2))
  local name = random:pick { "set", "set", "unset", "replace", "rollback",
    "compare_and_set", "get", "version" }
  if name == "set" then return { name, key, value } end
  if name == "unset" or name == "get" then return { name, key } end
  if name == "replace" then return { name, { [key] = value } } end
  if name == "rollback" then return { name, version } end
  if name == "compare_and_set" then
    return { name, version, { [key] = value } }
  end
  return { name }
end

function configs.note(mine, call, answer)
  if call[1] == "version" or call[1] == "set" then mine.version = answer end
end

local function replace(state, settings)
  local a, b = settings.a or 0, settings.b or 0
  if a > 5 or b > 5 or a + b > 8 then return state, REFUSED end
  local now = state.kept[state.version]
  if settings.a == now.a and settings.b == now.b then
    return state, state.version
  end
  local after = { version = state.version + 1, kept = copy(state.kept) }
  after.kept[after.version] = settings
  after.kept[after.version - HISTORY - 1] = nil
  return after, after.version
end

local function set(state, key, value)
  local settings = copy(state.kept[state.version])
  settings[key] = value
  return replace(state, settings)
end

configs.steps = {
  set = set,
  unset = function(state, key) return set(state, key, nil) end,
  replace = replace,
  rollback = function(state, version)
    if not state.kept[version] then return state, REFUSED end
    return replace(state, state.kept[version])
  end,
  compare_and_set = function(state, version, changes)
    if version ~= state.version then return state, false end
    local key, value = next(changes)
    return set(state, key, value)
  end,
  get = function(state, key) return state, state.kept[state.version][key] end,
  version = function(state) return state, state.version end,
}

describe("the swarm over a battery finds nothing:", function()
  it("counter", function() run(counters) end)
  it("map, watched from elsewhere", function() run(maps) end)
  it("queue", function() run(queues) end)
  it("config", function() run(configs) end)
end)
