--- The state machine: keys and their values. It knows nothing of Raft.
-- Every node runs the same commands in the same order, so every node holds
-- the same table; what a command does depends on the table and on its
-- arguments only.
local codec = require("raft").codec

local M = {}

local values = {}    -- key -> value, both strings
local commands = {}  -- name -> function(key, value) -> result

function commands.put(key, value)
  values[key] = value
  return true
end

-- The result tells whether there was anything to delete.
function commands.del(key)
  local was_there = values[key] ~= nil
  values[key] = nil
  return was_there
end

--- A command as bytes, to be proposed.
function M.command(name, key, value)
  return codec.encode { name = name, key = key, value = value }
end

function M.apply(bytes)
  local command = codec.decode(bytes)
  return commands[command.name](command.key, command.value)
end

--- The value of a key, or nil.
function M.query(key)
  return values[key]
end

function M.snapshot()
  return codec.encode(values)
end

function M.restore(bytes)
  values = codec.decode(bytes)
end

return M
