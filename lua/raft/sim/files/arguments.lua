--- The arguments of uv.fs_* as luv takes them, and what it raises for others.

local M = {}

local NUMBERS <const> = { RDONLY = 0, WRONLY = 1, RDWR = 2, CREAT = 64,
  EXCL = 128, NOCTTY = 256, TRUNC = 512, APPEND = 1024, NONBLOCK = 2048,
  DSYNC = 4096, SYNC = 1052672, RSYNC = 1052672 }

--- The flags of fs_open, as on Linux: without their O_.
M.flags = NUMBERS

--- uv.constants, as far as files go.
M.constants = {}
for name, value in pairs(NUMBERS) do M.constants["O_" .. name] = value end

local CREATE <const> = NUMBERS.CREAT
local WORDS <const> = {
  r = 0, ["r+"] = 2,
  w = 1 | CREATE | NUMBERS.TRUNC, ["w+"] = 2 | CREATE | NUMBERS.TRUNC,
  a = 1 | CREATE | NUMBERS.APPEND, ["a+"] = 2 | CREATE | NUMBERS.APPEND,
  rs = NUMBERS.SYNC, ["rs+"] = 2 | NUMBERS.SYNC,
}
WORDS.sr, WORDS["sr+"] = WORDS.rs, WORDS["rs+"]
for _, word in ipairs { "w", "a" } do
  for _, plus in ipairs { "", "+" } do
    local flags = WORDS[word .. plus] | NUMBERS.EXCL
    WORDS[word .. "x" .. plus], WORDS["x" .. word .. plus] = flags, flags
  end
end

local function bad(call, place, text)
  error(("bad argument #%d to 'luv.fs_%s' (%s)"):format(place, call, text), 0)
end

local function expected(call, place, what, arguments)
  local got = place > arguments.n and "no value" or type(arguments[place])
  bad(call, place, ("%s expected, got %s"):format(what, got))
end

local check = {}  -- kind of parameter -> function(call, place, arguments)

function check.string(call, place, arguments)
  local value = arguments[place]
  if type(value) == "number" then return tostring(value) end
  if type(value) == "string" then return value end
  expected(call, place, "string", arguments)
end

function check.number(call, place, arguments)
  local value = tonumber(arguments[place])
  if not value then expected(call, place, "number", arguments) end
  local integer = math.tointeger(value)
  if not integer then
    bad(call, place, "number has no integer representation")
  end
  return integer
end

-- Where a position may be missing: nil says the one of the descriptor.
function check.offset(call, place, arguments)
  if arguments[place] == nil then return -1 end
  return check.number(call, place, arguments)
end

function check.data(call, place, arguments)
  local value = arguments[place]
  if type(value) == "table" then return table.concat(value) end
  if type(value) == "number" then return tostring(value) end
  if type(value) == "string" then return value end
  bad(call, place, "data must be string or table of strings, got "
    .. type(value))
end

function check.flags(call, place, arguments)
  local value = arguments[place]
  if type(value) == "string" then
    if WORDS[value] then return WORDS[value] end
    error(("Unknown file open flag '%s'"):format(value), 0)
  elseif type(value) ~= "number" then
    bad(call, place, "Expected string or integer for file open mode")
  end
  return check.number(call, place, arguments)
end

function check.access(call, place, arguments)
  local value = arguments[place]
  if type(value) == "string" then
    if value:find("^[rRwWxX]*$") then return 0 end
    bad(call, place, "Unknown character in access mode string")
  end
  return check.number(call, place, arguments)
end

-- Is this the callback, in place of an offset that was left out?
local function is_callback(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(value) == "function" or (meta and meta.__call ~= nil) or false
end

--- Checks what a call was given.
-- @param parameters array of kinds
-- @return array of arguments, and the callback or nil
function M.check(call, parameters, ...)
  local arguments, out = table.pack(...), {}
  local place = 1
  for i, kind in ipairs(parameters) do
    if kind == "offset" and is_callback(arguments[place]) then
      out[i] = -1
    else
      out[i] = check[kind](call, place, arguments)
      place = place + 1
    end
  end
  local callback = arguments[place]
  if callback ~= nil and not is_callback(callback) then
    expected(call, place, "function or callable table", arguments)
  end
  return out, callback
end

return M
