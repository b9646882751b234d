--- The guard: moves functions, and all Lua functions that they reach through
-- their upvalues, into the globals of a service (raft.service.names).
--
-- A function is moved by putting another table in the place of its _ENV. That
-- table is a switch: while a service runs it shows the service's globals, and
-- at all other times the ones that were there. So nothing is copied, and what
-- two services share, or the rest of the program uses too, is for these what it
-- was. What a moved function creates later is moved with it.
--
-- On the way go upvalues, the tables in them, and their metatables; not into
-- the library itself, nor into C functions, threads and userdata. Nothing is
-- changed when something is refused.
--
-- Limits. An upvalue that gets its function after raft.service is seen by
-- nobody; nor is what a C function keeps (coroutine.wrap, say).
local moment = require "raft.service.moment"
local names = require "raft.service.names"

local M = {}

local ENV_NAME <const> = "_ENV"
local STRIPPED_NAME <const> = "(no name)"  -- of code without names

-- Where the library lies, but for its batteries, which are services.
local HOME <const> = debug.getinfo(1, "S").source
  :gsub("service/guard%.lua$", "")
local BATTERIES <const> = HOME .. "services/"

------------------------------------------------------------------ the switch --

-- The globals of a program -> the table that takes their place. Weak, like the
-- set of those tables.
local switches = setmetatable({}, { __mode = "k" })
local is_switch = setmetatable({}, { __mode = "k" })

-- What of a program's globals was covered. Weak: it may go.
local is_covered = setmetatable({}, { __mode = "k" })

-- What is the program's own is covered when it is read first. Level 3 is the
-- user.
function names.adopt(path, value)
  local kind = type(value)
  if kind ~= "function" and kind ~= "table" or is_covered[value] then
    return value
  end
  local at, why = M.cover("global " .. path, value)
  if at then error(at .. ": " .. why, 3) end
  is_covered[value] = true
  return value
end

local function new_switch(globals)
  local switch = setmetatable({}, {
    __index = function(_, name)
      if not moment.is_now() then return globals[name] end
      local value = names.read(name)
      if value ~= nil then return value end
      value = names.adopt(name, globals[name])
      return value
    end,
    __newindex = function(_, name, value)
      if moment.is_now() then
        error(("a service cannot set the global %s: it is no part of the state")
          :format(tostring(name)), 2)
      end
      globals[name] = value
    end,
  })
  is_switch[switch] = true
  return switch
end

local function switch_of(globals)
  switches[globals] = switches[globals] or new_switch(globals)
  return switches[globals]
end

-------------------------------------------------------------------- the walk --

-- What is to be looked at: { value=, from= the item that led here, step= how }.
local function push(walk, value, from, step)
  local kind = type(value)
  if kind ~= "function" and kind ~= "table" or walk.seen[value] then return end
  walk.seen[value] = true
  walk[#walk + 1] = { value = value, from = from, step = step }
end

local function text_of(item, step)
  local steps = { step }
  while item do
    table.insert(steps, 1, item.step)
    item = item.from
  end
  return table.concat(steps)
end

-- Notes why this is refused there; the first refusal counts.
local function refuse(walk, item, step, refusal)
  walk.at = walk.at or text_of(item, step)
  walk.why = walk.why or ("it is %s, which a service cannot use: %s"):format(
    refusal.name, refusal.why)
end

local function join_later(walk, fn, i, value)
  walk.joins[#walk.joins + 1] = { fn = fn, i = i, value = value }
end

local function is_globals(name, value)
  if type(value) ~= "table" then return false end
  return name == ENV_NAME or name == STRIPPED_NAME and value == _G
end

local function look_at_upvalue(walk, item, i, name, value)
  local step = ": upvalue " .. name
  if is_globals(name, value) then
    if is_switch[value] then return end
    return join_later(walk, item.value, i, switch_of(value))
  end
  local refusal = names.refusal_of(value)
  if refusal then return refuse(walk, item, step, refusal) end
  local switch = names.switch_of(value)
  if switch then return join_later(walk, item.value, i, switch) end
  push(walk, value, item, step)
end

-- Is there nothing to look for in this function?
local function is_foreign(fn)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" then return true end
  return info.source:sub(1, #HOME) == HOME
    and info.source:sub(1, #BATTERIES) ~= BATTERIES
end

local function look_at_function(walk, item)
  local fn = item.value
  if is_foreign(fn) then return end
  local i = 1
  local name, value = debug.getupvalue(fn, i)
  while name and not walk.at do
    look_at_upvalue(walk, item, i, name, value)
    i = i + 1
    name, value = debug.getupvalue(fn, i)
  end
end

local function look_at_field(walk, item, value, step)
  local refusal = names.refusal_of(value)
  if not refusal and names.switch_of(value) then
    refusal = { name = "the real one", why = "take the global itself" }
  end
  if refusal then return refuse(walk, item, step, refusal) end
  push(walk, value, item, step)
end

local function is_object_of_ours(meta)
  local name = meta and rawget(meta, "__name")
  return type(name) == "string" and name:find("^raft%.") ~= nil
end

local function look_at_table(walk, item)
  local meta = debug.getmetatable(item.value)
  if is_object_of_ours(meta) or is_switch[item.value] then return end
  for key, value in next, item.value do
    if walk.at then return end
    local is_word = type(key) == "string" and key:find("^[%a_][%w_]*$")
    look_at_field(walk, item, value, is_word and "." .. key
      or ("[%s]"):format(type(key) == "table" and "a table" or tostring(key)))
    push(walk, key, item, "[a key]")
  end
  push(walk, meta, item, "'s metatable")
end

-- The upvalue of this function is the value: an upvalue to join others to.
local function holder_of(value)
  return function() return value end
end

local function join(joins)
  for _, item in ipairs(joins) do
    debug.upvaluejoin(item.fn, item.i, holder_of(item.value), 1)
  end
end

--- Moves this function, or the functions of this table, and all they reach.
-- @param path what the value is called: "commands.add"
-- @return nothing; or where something is refused, and why: then nothing is
--   changed
function M.cover(path, value)
  local walk = { seen = {}, joins = {}, at = nil, why = nil }
  local refusal = names.refusal_of(value)
  if refusal then refuse(walk, nil, path, refusal) end
  push(walk, value, nil, path)
  local i = 1
  while walk[i] and not walk.at do
    local look = type(walk[i].value) == "function" and look_at_function
      or look_at_table
    look(walk, walk[i])
    i = i + 1
  end
  if walk.at then return walk.at, walk.why end
  join(walk.joins)
end

return M
