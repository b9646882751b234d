--- Commands on keys, whatever their values: function(keys, arguments) -> reply.
local glob = require "glob"
local numbers = require "numbers"
local resp = require "resp"

local M = {}

local SYNTAX <const> = resp.error("ERR syntax error")
local ZERO <const> = resp.integer(0)
local ONE <const> = resp.integer(1)

------------------------------------------------------------------------ keys --

function M.del(keys, arguments)
  local count = 0
  for i = 2, #arguments do
    if keys:remove(arguments[i]) then count = count + 1 end
  end
  return resp.integer(count)
end

function M.exists(keys, arguments)
  local count = 0
  for i = 2, #arguments do
    if keys:get(arguments[i]) then count = count + 1 end
  end
  return resp.integer(count)
end

function M.type(keys, arguments)
  return resp.simple(keys:get(arguments[2]) and "string" or "none")
end

function M.keys(keys, arguments)
  return resp.bulks(keys:names(glob.matcher(arguments[2])))
end

local scan = {}  -- word -> function(options, value): an error, or nothing

function scan.match(options, pattern)
  options.fits = glob.matcher(pattern)
end

function scan.count(_, text)
  local count = numbers.integer(text)
  if not count then return numbers.NOT_INTEGER end
  if count < 1 then return SYNTAX end
end

function scan.type(options, name)
  options.is_string = name:lower() == "string"
end

-- All keys at once, so there is no cursor but 0.
function M.scan(keys, arguments)
  if not arguments[2]:find("^%d*$") then
    return resp.error("ERR invalid cursor")
  end
  local options = { fits = glob.matcher("*"), is_string = true }
  for i = 3, #arguments, 2 do
    local set, value = scan[arguments[i]:lower()], arguments[i + 1]
    if not set or not value then return SYNTAX end
    local err = set(options, value)
    if err then return err end
  end
  local names = options.is_string and keys:names(options.fits) or {}
  return resp.array { resp.bulk("0"), resp.bulks(names) }
end

function M.dbsize(keys)
  keys:need_all()
  return resp.integer(keys.count)
end

function M.flushall(keys, arguments)
  local how = arguments[2] and arguments[2]:lower()
  local is_known = not how or how == "sync" or how == "async"
  if not is_known or arguments[3] then return SYNTAX end
  keys:clear()
  return resp.OK
end

local function rename(keys, from, to)
  local value, deadline = keys:get(from), keys:deadline(from)
  keys:remove(from)
  keys:set(to, value, deadline)
end

local NO_KEY <const> = resp.error("ERR no such key")

function M.rename(keys, arguments)
  if not keys:get(arguments[2]) then return NO_KEY end
  rename(keys, arguments[2], arguments[3])
  return resp.OK
end

function M.renamenx(keys, arguments)
  if not keys:get(arguments[2]) then return NO_KEY end
  if keys:get(arguments[3]) then return ZERO end
  rename(keys, arguments[2], arguments[3])
  return ONE
end

-------------------------------------------------------------------- how long --

local NO_KEY_TIME <const> = resp.integer(-2)
local NO_END <const> = resp.integer(-1)

-- Makes a command that tells the end of a key: of(deadline, now) -> integer.
local function telling(of, is_relative)
  return function(keys, arguments)
    if not keys:get(arguments[2]) then return NO_KEY_TIME end
    local deadline = keys:deadline(arguments[2])
    if not deadline then return NO_END end
    if is_relative then keys:need_time() end
    return resp.integer(of(deadline, keys.now))
  end
end

-- Rounded to the nearest; no sum that could wrap.
local function seconds(ms)
  return ms // 1000 + (ms % 1000 >= 500 and 1 or 0)
end

M.ttl = telling(function(deadline, now) return seconds(deadline - now) end,
  true)
M.pttl = telling(function(deadline, now) return deadline - now end, true)
M.expiretime = telling(seconds, false)
M.pexpiretime = telling(function(deadline) return deadline end, false)

function M.persist(keys, arguments)
  if not keys:deadline(arguments[2]) then return ZERO end
  keys:expire(arguments[2], nil)
  return ONE
end

---------------------------------------------------------------------- expire --

local CONDITIONS <const> = { nx = true, xx = true, gt = true, lt = true }

-- The conditions from `at` on, or nil and an error.
local function conditions_of(arguments, at)
  local is = {}
  for i = at, #arguments do
    local word = arguments[i]:lower()
    if not CONDITIONS[word] then
      return nil, "ERR Unsupported option " .. resp.shown(arguments[i], -1)
    end
    is[word] = true
  end
  if is.nx and (is.xx or is.gt or is.lt) then
    return nil, "ERR NX and XX, GT or LT options at the same time are not "
      .. "compatible"
  elseif is.gt and is.lt then
    return nil, "ERR GT and LT options at the same time are not compatible"
  end
  return is
end

-- May the deadline take the place of the old one? None is later than any.
local function may_replace(is, old, deadline)
  if is.nx and old then return false end
  if is.xx and not old then return false end
  if is.gt and (not old or deadline <= old) then return false end
  if is.lt and old and deadline >= old then return false end
  return true
end

local function expiring(unit)
  return function(keys, arguments)
    local name, key = arguments[1], arguments[2]
    local is, err = conditions_of(arguments, 4)
    if err then return resp.error(err) end
    local n = numbers.integer(arguments[3])
    if not n then return numbers.NOT_INTEGER end
    local deadline = numbers.moment(n, unit, keys.now)
    if not deadline then
      return resp.error(("ERR invalid expire time in '%s' command")
        :format(name))
    end
    local is_meant = keys:get(key)
      and may_replace(is, keys:deadline(key), deadline)
    if not is_meant then return ZERO end
    if deadline <= keys.now then keys:remove(key) return ONE end
    keys:expire(key, deadline)
    return ONE
  end
end

M.expire = expiring("ex")
M.pexpire = expiring("px")
M.expireat = expiring("exat")
M.pexpireat = expiring("pxat")

return M
