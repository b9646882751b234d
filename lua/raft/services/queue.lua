--- A queue of plain values, with leases, delays and dead letters: a battery.
--
--   local queue = require "raft.services.queue"
--   local service = queue { name = "mails" }
--   node.mails.push { to = "ann" }                 1, its id
--   local message = node.mails.pop()               id, value, attempt, until_ms
--   node.mails.ack(message.id, message.attempt)    true: it is done
--
-- Whoever pops a message has it for a while. If it is not acknowledged by then
-- it is ready again, in the place it had: so each is delivered at least once.
-- Those that are ready are popped oldest first. A command that fails has
-- changed nothing; `false` says that the lease in question is over.
local arguments = require "raft.services.support.arguments"
local battery = require "raft.services.support.battery"
local schema = require "raft.schema"
local sorted = require "raft.services.support.sorted"
local states = require "raft.services.queue.state"
local worker = require "raft.services.queue.worker"

local PAGE <const> = 100  -- of dead letters, unless it is said otherwise
local BYTES_MAX <const> = 1 << 30
local MS_MAX <const> = 1 << 41

---------------------------------------------------------------- the commands --

local function push(s, value, delay_ms)
  states.sweep(s)
  local why = states.no_room(s)
  if why then return nil, why end
  return states.push(s, value, delay_ms)
end

local function pop(s, lease_ms)
  states.sweep(s)
  local id = states.lease(s, lease_ms or s.limits.lease_ms)
  if not id then return nil end
  local message = s.messages[id]
  return { id = id, value = message.value, attempt = message.attempts,
    until_ms = message.at }
end

-- Is this lease of the message in force?
local function has_lease(s, id, attempt)
  states.sweep(s)
  local message = s.messages[id]
  if not message or message.place ~= "leased" then return false end
  return message.attempts == attempt
end

local function ack(s, id, attempt)
  if not has_lease(s, id, attempt) then return false end
  states.remove(s, id)
  return true
end

local function nack(s, id, attempt, delay_ms)
  if not has_lease(s, id, attempt) then return false end
  states.give_back(s, id, delay_ms)
  return true
end

local function extend(s, id, attempt, lease_ms)
  if not has_lease(s, id, attempt) then return false end
  return states.prolong(s, id, lease_ms or s.limits.lease_ms)
end

local function drop(s, id)
  states.sweep(s)
  local message = s.messages[id]
  if not message or message.place == "leased" then return false end
  states.remove(s, id)
  return true
end

local function revive(s, id)
  states.sweep(s)
  local message = s.messages[id]
  if not message or message.place ~= "dead" then return false end
  local why = states.no_room(s)
  if why then return nil, why end
  message.attempts = 0
  states.wait(s, id)
  return true
end

----------------------------------------------------------------- the queries --

local function message_of(s, id)
  local message = s.messages[id]
  if not message then return nil end
  return { id = id, value = message.value, attempts = message.attempts,
    place = message.place, at = message.at }
end

local function peek(s, limit)
  local list = {}
  for id in sorted.each(s.ready) do
    if #list == (limit or 1) then break end
    list[#list + 1] = message_of(s, id)
  end
  return list
end

local function length(s)
  return { ready = s.ready.size, leased = s.leased.size,
    delayed = s.delayed.size, dead = s.dead.size }
end

local function less(a, b) return a < b end

local function dead(s, after, limit)
  local page = { items = {}, next = nil }
  for id in sorted.from(s.dead, (after or 0) + 1, less) do
    if #page.items == (limit or PAGE) then
      page.next = page.items[#page.items].id
      break
    end
    page.items[#page.items + 1] = message_of(s, id)
  end
  return page
end

-------------------------------------------------------------------- the face --

local optional = arguments.optional
local id = { "id", arguments.version }
local attempt = { "attempt", arguments.version }
local lease = { "lease_ms", optional(arguments.ms) }
local delay = { "delay_ms", optional(arguments.ms_or_none) }
local limit = { "limit", optional(arguments.page) }
local COUNT <const> = 1 << 32

local functions <const> = {
  commands = {
    push = { rules = { { "value", arguments.value }, delay }, run = push },
    pop = { rules = { lease }, run = pop },
    ack = { rules = { id, attempt }, run = ack },
    nack = { rules = { id, attempt, delay }, run = nack },
    extend = { rules = { id, attempt, lease }, run = extend },
    drop = { rules = { id }, run = drop },
    revive = { rules = { id }, run = revive },
  },
  queries = {
    peek = { rules = { limit }, run = peek },
    get = { rules = { id }, run = message_of },
    length = { rules = {}, run = length },
    dead = { rules = { { "after", optional(arguments.version) }, limit },
      run = dead },
  },
}

return battery.module({
  name = "queue",
  options = {
    { "lease_ms", schema.integer(1, MS_MAX, "ms"), default = 30000 },
    { "attempts_max", schema.or_false(schema.integer(1, COUNT)), default = 5 },
    { "length_max", schema.integer(1, COUNT, "messages"), default = 100000 },
    { "dead_max", schema.integer(0, COUNT, "messages"), default = 1000 },
    { "value_bytes_max", schema.integer(1, BYTES_MAX, "bytes"),
      default = 64 << 10 },
  },
  first = states.first,
  functions = function() return functions end,
}, { worker = worker.start })
