--- Commands on the values of keys: function(keys, arguments) -> reply.
-- `keys` is a keyspace; arguments[1] is the name of the command.
local numbers = require "numbers"
local resp = require "resp"

local M = {}

local SYNTAX <const> = resp.error("ERR syntax error")
local OVERFLOW <const> =
  resp.error("ERR increment or decrement would overflow")
local TOO_LONG <const> = resp.error("ERR string exceeds maximum allowed size "
  .. "(proto-max-bulk-len)")
local ZERO <const> = resp.integer(0)
local ONE <const> = resp.integer(1)

local function bad_time(name)
  return resp.error(("ERR invalid expire time in '%s' command"):format(name))
end

-- The end of a life that is to be: its moment; or nil and an error.
local function life(keys, text, unit, name)
  local n = numbers.integer(text)
  if not n then return nil, numbers.NOT_INTEGER end
  local moment = n > 0 and numbers.moment(n, unit, keys.now)
  if not moment then return nil, bad_time(name) end
  return moment
end

------------------------------------------------------------------------- set --

local UNITS <const> = { ex = true, px = true, exat = true, pxat = true }

local option = {}  -- word -> function(options, next argument) -> words taken

function option.nx(options)
  options.nx = true
  return not options.xx and 1
end

function option.xx(options)
  options.xx = true
  return not options.nx and 1
end

function option.get(options)
  options.get = true
  return 1
end

function option.keepttl(options)
  options.keepttl = true
  return not options.unit and 1
end

function option.persist(options)
  options.persist = true
  return not options.unit and 1
end

for unit in pairs(UNITS) do
  option[unit] = function(options, time)
    local is_first = not options.unit or options.unit == unit
    options.unit, options.time = unit, time
    return time and is_first and not options.keepttl and not options.persist
      and 2
  end
end

local SET <const> = { nx = true, xx = true, get = true, keepttl = true,
  ex = true, px = true, exat = true, pxat = true }
local GETEX <const> = { persist = true, ex = true, px = true, exat = true,
  pxat = true }

-- The options from `at` on; nil where they do not go together.
local function options_of(arguments, at, allowed)
  local options = { unit = false, time = false }
  while arguments[at] do
    local word = arguments[at]:lower()
    local taken = allowed[word] and option[word](options, arguments[at + 1])
    if not taken then return nil end
    at = at + taken
  end
  return options
end

local PLAIN <const> = { unit = false }

function M.set(keys, arguments)
  local key, value = arguments[2], arguments[3]
  local options = PLAIN
  if arguments[4] then options = options_of(arguments, 4, SET) end
  if not options then return SYNTAX end
  local deadline, err
  if options.unit then
    deadline, err = life(keys, options.time, options.unit, "set")
    if err then return err end
  end
  local old = keys:get(key)
  local is_refused = (options.nx and old) or (options.xx and not old)
  if not is_refused and options.keepttl then
    keys:put(key, value)
  elseif not is_refused then
    keys:set(key, value, deadline)
  end
  if options.get then return resp.bulk(old) end
  return is_refused and resp.NULL or resp.OK
end

function M.setnx(keys, arguments)
  if keys:get(arguments[2]) then return ZERO end
  keys:set(arguments[2], arguments[3])
  return ONE
end

local function set_with_life(unit)
  return function(keys, arguments)
    local deadline, err = life(keys, arguments[3], unit, arguments[1])
    if err then return err end
    keys:set(arguments[2], arguments[4], deadline)
    return resp.OK
  end
end

M.setex = set_with_life("ex")
M.psetex = set_with_life("px")

-- Keys and values of MSET and MSETNX; the last of a key counts.
local function set_all(keys, arguments)
  for i = 2, #arguments, 2 do keys:set(arguments[i], arguments[i + 1]) end
end

function M.mset(keys, arguments)
  if #arguments % 2 == 0 then return resp.wrong_count("mset") end
  set_all(keys, arguments)
  return resp.OK
end

function M.msetnx(keys, arguments)
  if #arguments % 2 == 0 then return resp.wrong_count("msetnx") end
  for i = 2, #arguments, 2 do
    if keys:get(arguments[i]) then return ZERO end
  end
  set_all(keys, arguments)
  return ONE
end

------------------------------------------------------------------------- get --

function M.get(keys, arguments)
  return resp.bulk(keys:get(arguments[2]))
end

function M.mget(keys, arguments)
  local items = {}
  for i = 2, #arguments do items[i - 1] = resp.bulk(keys:get(arguments[i])) end
  return resp.array(items)
end

function M.getset(keys, arguments)
  local old = keys:get(arguments[2])
  keys:set(arguments[2], arguments[3])
  return resp.bulk(old)
end

function M.getdel(keys, arguments)
  local old = keys:get(arguments[2])
  keys:remove(arguments[2])
  return resp.bulk(old)
end

function M.getex(keys, arguments)
  local options = options_of(arguments, 3, GETEX)
  if not options then return SYNTAX end
  local value = keys:get(arguments[2])
  if not value then return resp.NULL end
  local deadline, err
  if options.unit then
    deadline, err = life(keys, options.time, options.unit, "getex")
    if err then return err end
  end
  if deadline or options.persist then keys:expire(arguments[2], deadline) end
  return resp.bulk(value)
end

function M.strlen(keys, arguments)
  return resp.integer(#(keys:get(arguments[2]) or ""))
end

-- A place counted from the start, from 0 on, or from the end, from -1 on.
local function place(n, length)
  return n < 0 and math.max(length + n, 0) or math.min(n, length)
end

function M.getrange(keys, arguments)
  local first = numbers.integer(arguments[3])
  local last = numbers.integer(arguments[4])
  if not first or not last then return numbers.NOT_INTEGER end
  local value = keys:get(arguments[2]) or ""
  if first < 0 and last < 0 and first > last then return resp.bulk("") end
  return resp.bulk(value:sub(place(first, #value) + 1,
    place(last, #value) + 1))
end

---------------------------------------------------------------------- change --

function M.append(keys, arguments)
  local old = keys:get(arguments[2]) or ""
  if #old + #arguments[3] > resp.BULK_MAX then return TOO_LONG end
  keys:put(arguments[2], old .. arguments[3])
  return resp.integer(#old + #arguments[3])
end

local function add(keys, key, n)
  local old = numbers.integer(keys:get(key) or "0")
  if not old then return numbers.NOT_INTEGER end
  local sum = numbers.sum(old, n)
  if not sum then return OVERFLOW end
  keys:put(key, tostring(sum))
  return resp.integer(sum)
end

function M.incr(keys, arguments) return add(keys, arguments[2], 1) end
function M.decr(keys, arguments) return add(keys, arguments[2], -1) end

function M.incrby(keys, arguments)
  local n = numbers.integer(arguments[3])
  if not n then return numbers.NOT_INTEGER end
  return add(keys, arguments[2], n)
end

function M.decrby(keys, arguments)
  local n = numbers.integer(arguments[3])
  if not n then return numbers.NOT_INTEGER end
  if n == math.mininteger then  -- which has no opposite
    return resp.error("ERR decrement would overflow")
  end
  return add(keys, arguments[2], -n)
end

return M
