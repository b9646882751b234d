--- The commands that work on the keys: which there are, how many words they
-- take, and what they may touch.
--
--   write  goes through the log
--   read   answered from the state of one node, or in the log on its way past
--   scan   the same, never in the log: it may take long, on every node
local generic = require "generic"
local strings = require "strings"

local M = {}

-- name -> words, itself included (at least, where negative), and its kind.
local list <const> = {
  append = { 3, "write" }, decr = { 2, "write" }, decrby = { 3, "write" },
  get = { 2, "read" }, getdel = { 2, "write" }, getex = { -2, "write" },
  getrange = { 4, "read" }, getset = { 3, "write" }, incr = { 2, "write" },
  incrby = { 3, "write" }, mget = { -2, "scan" }, mset = { -3, "write" },
  msetnx = { -3, "write" }, psetex = { 4, "write" }, set = { -3, "write" },
  setex = { 4, "write" }, setnx = { 3, "write" }, strlen = { 2, "read" },

  dbsize = { 1, "read" }, del = { -2, "write" }, exists = { -2, "scan" },
  expire = { -3, "write" }, expireat = { -3, "write" },
  expiretime = { 2, "read" }, flushall = { -1, "write" },
  flushdb = { -1, "write" }, keys = { 2, "scan" }, persist = { 2, "write" },
  pexpire = { -3, "write" }, pexpireat = { -3, "write" },
  pexpiretime = { 2, "read" }, pttl = { 2, "read" }, rename = { 3, "write" },
  renamenx = { 3, "write" }, scan = { -2, "scan" },
  touch = { -2, "scan" }, ttl = { 2, "read" },
  type = { 2, "read" }, unlink = { -2, "write" },
}

-- Two names of one thing.
local same <const> = { unlink = "del", touch = "exists", flushdb = "flushall" }

local function define(name, words, kind)
  local own = same[name] or name
  return {
    name = name,
    words = words,
    kind = kind,
    run = strings[own] or generic[own],  -- function(keys, arguments) -> reply
  }
end

local commands = {}
for name, spec in pairs(list) do
  commands[name] = define(name, table.unpack(spec))
  assert(commands[name].run, name)
end

local shouted = {}  -- the same by their names in capitals, as most write them
for name, command in pairs(commands) do shouted[name:upper()] = command end

--- The command of this name, in small letters; or nil.
function M.find(name)
  return commands[name]
end

--- The same, however it is written.
function M.find_any(name)
  return shouted[name] or commands[name] or commands[name:lower()]
end

--- All of them, in order of name.
function M.all()
  local all = {}
  for _, command in pairs(commands) do all[#all + 1] = command end
  table.sort(all, function(a, b) return a.name < b.name end)
  return all
end

--- Has a request so many words, or where negative, so many at least?
function M.has_words(words, arguments)
  if words < 0 then return #arguments >= -words end
  return #arguments == words
end

return M
