--- The state machine: keys, and batches of commands that are run on them. It
-- knows nothing of Raft and nothing of sockets.
--
-- Every node runs the same batches in the same order, each at the time that the
-- leader has stamped on it, so every node holds the same keys, and keys end at
-- the same place in that order everywhere.
--
-- A reader comes in between and changes nothing, the time neither. Where it
-- asks about a key whose time should be over, or how much of it is left, the
-- answer is "not yet": somebody must put an entry into the log first, however
-- empty. So a key that was gone once is never seen again, on no node.
local Keyspace = require "keyspace"
local batch = require "batch"
local commands = require "commands"
local resp = require "resp"

local M = {}

local REPLY_BYTES <const> = 1 << 20  -- to one segment, about

local Store = { __name = "redis.store" }
Store.__index = Store

function M.new()
  return setmetatable({ keys = Keyspace.new() }, Store)
end

-- A node that is newer than this one may know more commands.
local function run_one(keys, arguments)
  local command = commands.find(arguments[1])
  if command then return command.run(keys, arguments) end
  return resp.error(("ERR unknown command '%s'"):format(arguments[1]))
end

-- Runs a segment: its replies, and how many commands these are of. It stops
-- where they become too many to be held: who has sent a short command may have
-- asked for a long value, a thousand times.
local function run(keys, segment)
  local replies, bytes, count, at = {}, 0, 0, 1
  while at <= #segment and bytes < REPLY_BYTES do
    local arguments
    arguments, at = batch.command_at(segment, at)
    count = count + 1
    replies[count] = run_one(keys, arguments)
    bytes = bytes + #replies[count]
  end
  return table.concat(replies), count
end

-- For each segment two results: its replies, and how many they are.
local function run_all(keys, bytes)
  local results = {}
  for i, segment in ipairs(batch.unpack(bytes)) do
    results[2 * i - 1], results[2 * i] = run(keys, segment)
  end
  return results
end

--- Runs a batch of the log.
function Store:apply(bytes, entry)
  self.keys:advance(entry.time)
  return run_all(self.keys, bytes)
end

--- Runs a batch that only reads. request: `bytes`; `wall`, what the time may be
-- at the most, or false where the state's own counts.
-- @return the results; or false: not before an entry has moved the time on
function Store:query(request)
  local keys = self.keys
  keys.wall, keys.is_late = request.wall, false
  local results = run_all(keys, request.bytes)
  keys.wall = false
  return not keys.is_late and results
end

--- Is there a key whose time should be over by then?
function Store:is_overdue(wall)
  return self.keys:has_ended(wall)
end

--- How many keys there are, and how many of them end.
function Store:counts()
  return self.keys.count, self.keys.ending_count
end

--- The functions that raft.node asks for, of this store.
function Store:functions()
  return {
    apply = function(bytes, entry) return self:apply(bytes, entry) end,
    query = function(request) return self:query(request) end,
    save = function(write) self.keys:save(write) end,
    load = function(read) self.keys:load(read) end,
  }
end

return M
