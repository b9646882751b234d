--- The globals of a service: what stands under a name, and what does not.
--
--   replaced  does the same on every node; an upvalue may not be the real one
--   switched  does, too; where an upvalue is the real one it is exchanged
--   refused   is not there, and an upvalue may not be it
--   all else  of the standard library is as ever
local fault = require "raft.fault"
local moment = require "raft.service.moment"
local ordered = require "raft.service.ordered"
local strings = require "raft.service.strings"

local M = {}

--- What a program has put into a library, as a service may see it.
-- raft.service.guard sets this.
function M.adopt(_, value) return value end

------------------------------------------------------------ what is switched --

-- What the collector does it does at another time on every node.
local function guarded_setmetatable(t, meta)
  for _, name in ipairs { "__gc", "__mode" } do
    if type(meta) == "table" and rawget(meta, name) ~= nil then
      error(("setmetatable: %s does what the collector finds time for, which "
        .. "differs from node to node"):format(name), 2)
    end
  end
  return setmetatable(t, meta)
end

local SWITCHED <const> = {
  tostring = strings.tostring,
  pcall = fault.pcall,   -- what only this node has is not the program's
  xpcall = fault.xpcall,  -- to catch
  setmetatable = guarded_setmetatable,
  ["string.format"] = strings.format,
  ["table.sort"] = ordered.sort,
}

------------------------------------------------------- replaced, and refused --

local REPLACED <const> = {
  pairs = ordered.pairs,
  next = ordered.next,
  ["math.random"] = moment.random,
  ["os.time"] = moment.time,
  ["os.date"] = moment.date,
}

local ELSEWHERE <const> = "it looks at this process or its machine, which "
  .. "differs from node to node, or changes it"
local LOADS <const> = "what it loads may differ from node to node"

-- Name -> why.
local REFUSED <const> = {
  _G = "what is kept there is no part of the state",
  debug = "it gets around the guard",
  load = LOADS, loadfile = LOADS, dofile = LOADS, require = LOADS,
  package = LOADS,
  coroutine = "nothing can wait in a service",
  collectgarbage = ELSEWHERE,
  io = ELSEWHERE,
  arg = ELSEWHERE,
  ["math.randomseed"] = "math.random is drawn from the entry",
  ["string.dump"] = ELSEWHERE,
}

-- Of os only these are left.
local OF_OS <const> = { time = true, date = true, difftime = true }

for name in next, os do
  if not OF_OS[name] then REFUSED["os." .. name] = ELSEWHERE end
end

--------------------------------------------------------------- the libraries --

local inside = {}     -- name -> what stands there inside
local outsiders = {}  -- a real value -> { name=, why= }: no upvalue may be it
local switches = {}   -- a real value -> what takes its place in an upvalue

local USE_NAME <const> = "take the global %s, which the guard replaces"

local function note(path, real)
  if real == nil then return nil end
  if REPLACED[path] then
    outsiders[real] = { name = path, why = USE_NAME:format(path) }
    return REPLACED[path]
  elseif REFUSED[path] then
    outsiders[real] = { name = path, why = REFUSED[path] }
    return nil
  elseif SWITCHED[path] then
    local guarded = SWITCHED[path]
    switches[real] = function(...)
      if moment.is_now() then return guarded(...) end
      return real(...)
    end
    return guarded
  end
  return real
end

local function refuse_read(path, level)
  error(("%s is not there in a service: %s"):format(path, REFUSED[path]),
    level + 1)
end

-- A library as it is inside: nothing can be put into it.
local function library(name, real)
  local known = {}
  for key, value in next, real do
    known[key] = note(name .. "." .. key, value)
  end
  setmetatable(known, { __index = function(_, key)
    local path = name .. "." .. tostring(key)
    if REFUSED[path] then refuse_read(path, 2) end
    local added = M.adopt(path, real[key])
    return added
  end })
  return setmetatable({}, { __index = known, __metatable = false,
    __newindex = function()
      error(name .. ": a service cannot change it", 2)
    end })
end

-- A real library in an upvalue is switched, too.
local function switched_library(real, guarded)
  return setmetatable({}, {
    __index = function(_, key)
      if moment.is_now() then return guarded[key] end
      return real[key]
    end,
    __newindex = function(_, key, value)
      if moment.is_now() then guarded[key] = value else real[key] = value end
    end,
    __pairs = function() return next, real, nil end,
  })
end

-- What is refused as a whole, with what is in it: functions, and open files.
local function refuse_all_of(name, real)
  outsiders[real] = { name = name, why = REFUSED[name] }
  if name == "_G" or type(real) ~= "table" then return end
  for key, value in next, real do
    if type(value) == "function" or type(value) == "userdata" then
      outsiders[value] = { name = name .. "." .. key, why = REFUSED[name] }
    end
  end
end

for _, name in ipairs { "assert", "error", "getmetatable", "ipairs", "print",
  "rawequal", "rawget", "rawlen", "rawset", "select", "tonumber", "type",
  "warn", "_VERSION", "pairs", "next", "tostring", "pcall", "xpcall",
  "setmetatable" } do
  inside[name] = note(name, _G[name])
end
for name in next, REFUSED do
  local real = not name:find(".", 1, true) and _G[name]
  if real then refuse_all_of(name, real) end
end
for _, name in ipairs { "math", "string", "table", "utf8" } do
  inside[name] = library(name, _G[name])
  switches[_G[name]] = switched_library(_G[name], inside[name])
end
inside.os = library("os", os)
outsiders[os] = { name = "os", why = USE_NAME:format("os") }
inside.emit = moment.emit

--- The methods of strings inside.
M.string_methods = inside.string

--- What stands under this name inside; nil: that is for the program to say.
-- Raises for what is refused: level 3 is the user.
function M.read(name)
  local value = inside[name]
  if value ~= nil then return value end
  if name == "entry" then return moment.entry() end
  if REFUSED[name] then refuse_read(name, 3) end
end

--- Why this may be no upvalue, as { name=, why= }; or nil.
function M.refusal_of(value)
  return outsiders[value]
end

--- What takes its place in an upvalue; nil: nothing, it may stay.
function M.switch_of(value)
  return switches[value]
end

return M
