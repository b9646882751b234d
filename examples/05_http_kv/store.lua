--- The state machine: keys, and their values with a version each. It knows
-- nothing of Raft, nor of HTTP.
--
-- The version of a value is the index of the entry that wrote it: the same on
-- every node, and no other value ever has it, not even of a key that was
-- deleted and written again. So a condition on a version is decided in the
-- log's order, and of two who have read the same value one alone can replace
-- it.
local codec = require("raft").codec

local M = {}

local KEYS_MAX <const> = 1000  -- of one list

local pairs_by_key = {}  -- key -> { value, version }
local commands = {}      -- name -> function(command, found, index) -> result
local queries = {}       -- name -> function(request) -> result

-------------------------------------------------------------------- commands --

-- Is the version among those that are meant? "*" means any that is there.
local function is_among(versions, found)
  if not found then return false end
  if versions == "*" then return true end
  for _, version in ipairs(versions) do
    if version == found.version then return true end
  end
  return false
end

-- May the command do what it does to what was found?
local function is_allowed(command, found)
  local must, must_not = command.if_match, command.if_none_match
  if must and not is_among(must, found) then return false end
  return not (must_not and is_among(must_not, found))
end

function commands.put(command, found, index)
  pairs_by_key[command.key] = { value = command.value, version = index }
  return { status = found and "replaced" or "created", version = index }
end

function commands.delete(command, found)
  if not found then return { status = "missing" } end
  pairs_by_key[command.key] = nil
  return { status = "deleted" }
end

--- A command as bytes, to be proposed.
-- @param command name ("put", "delete"), key, value; if_match and
--   if_none_match: "*", a list of versions, or nil
function M.command(command)
  return codec.encode(command)
end

--- The result: status ("created", "replaced", "deleted", "missing", "conflict")
-- and the version that is there now, if any.
function M.apply(bytes, entry)
  local command = codec.decode(bytes)
  local found = pairs_by_key[command.key]
  if not is_allowed(command, found) then
    return { status = "conflict", version = found and found.version }
  end
  return commands[command.name](command, found, entry.index)
end

--------------------------------------------------------------------- queries --

-- The value and the version of a key, or nil.
function queries.get(request)
  return pairs_by_key[request.key]
end

-- The keys that begin with a prefix and come behind `after`, in order, with
-- their versions.
function queries.list(request)
  local prefix, after, found = request.prefix, request.after, {}
  for key, pair in pairs(pairs_by_key) do
    if key:sub(1, #prefix) == prefix and key > after then
      found[#found + 1] = { key = key, version = pair.version }
    end
  end
  table.sort(found, function(a, b) return a.key < b.key end)
  local more = #found > KEYS_MAX
  return { keys = table.move(found, 1, math.min(#found, KEYS_MAX), 1, {}),
    more = more }
end

--- @param request name ("get", "list") and what that takes
function M.query(request)
  return queries[request.name](request)
end

------------------------------------------------------------------- snapshots --

function M.snapshot()
  return codec.encode(pairs_by_key)
end

function M.restore(bytes)
  pairs_by_key = assert(codec.decode(bytes))
end

return M
