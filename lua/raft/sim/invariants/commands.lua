--- What must hold of commands that are applied: see raft.sim.invariants.
local codec = require "raft.codec"
local session_entry = require "raft.session_entry"

local M = {}

-- What can be compared with ==, and is not nil.
local function comparable(ok, value, extra)
  if ok and extra == nil and type(value) ~= "table" and value ~= nil then
    return value
  end
  local fine, text = pcall(codec.encode, { ok, ok and value or nil,
    ok and extra or nil })
  return fine and text or "what cannot be compared"
end

-- The entry that was committed at this index, as some log has it, or nil.
local function entry_at(self, index)
  local term = self.committed[index]
  return term and self.entries[index] and self.entries[index][term]
end

-- A request of a session is run at one index, however often it is in the log.
local function check_once(self, member, index, request)
  local name = request.session .. " " .. request.sequence
  local first = self.ran[name] or index
  self.ran[name] = first
  if first == index then return end
  self:fail(member, "exactly once: request %d of session %d was run at %d and "
    .. "at %d", request.sequence, request.session, first, index)
end

-- Is this what the entry asks for?
local function is_of(self, member, index, entry, command)
  if entry.kind ~= "session" then return entry.command == command end
  local request = session_entry.decode(entry.command)
  if not request or request.command ~= command then return false end
  check_once(self, member, index, request)
  return true
end

--- A node has applied the command of this index.
function M.applied(self, member, index, command, ok, value, extra)
  local entry = entry_at(self, index)
  if entry and entry.command
    and not is_of(self, member, index, entry, command) then
    self:fail(member, "state machine safety: applied another command than the "
      .. "others at %d", index)
  end
  local result = comparable(ok, value, extra)
  if self.results[index] == nil then
    self.results[index] = result
  elseif self.results[index] ~= result
    and not self.sim.options.may_diverge then
    self:fail(member, "divergence: apply gave another result than on another "
      .. "node at entry %d, command %q", index, command)
  end
end

return M
