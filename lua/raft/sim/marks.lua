--- Coverage marks: rare things that a simulation has met. A batch that never
-- met them proves little.
local M = {}

local Marks = { __name = "raft.sim.marks" }
Marks.__index = Marks

--- What can be met, and what it means.
M.NAMES = {
  "election",          -- a leader was elected
  "lost_election",     -- a candidate did not win
  "refused_pre_vote",  -- a pre-candidate gave up
  "deposed",           -- a leader heard of a newer term
  "check_quorum",      -- a leader without followers stepped down
  "truncation",        -- a log lost entries that others overwrote
  "crash",             -- a process died
  "recovery_crash",    -- ... while it started
  "torn_tail",         -- a start cut the torn end of a log
  "partition",         -- some could not hear each other
  "pause",             -- a process stood still
  "unknown",           -- a client was left without an answer
  "read_retry",        -- reads were asked again under another leader
  "forward",           -- a follower passed a proposal on
  "disk_error",        -- a node ended because of its disk
  "rot",               -- a bit flipped in the middle of a log
  "repair",            -- ... and what it took came back from the leader
  "snapshot",          -- one was taken
  "shipped",           -- ... was sent to a follower
  "installed",         -- ... became the state of that one
  "compacted",         -- a log let its beginning go
  "joint",             -- a joint configuration came in force
  "joint_left",        -- ... and the one after it
  "leader_removed",    -- a leader led a change to its end that it is not in
  "promoted",          -- somebody became a voter
  "quorum_rule",       -- another rule than the majority came in force
  "moved",             -- a member got another address
  "readded",           -- a node that had left came in again
  "wiped",             -- a directory was wiped
  "rolled_back",       -- a directory was put back to an older copy
  "refused",           -- ... which its node was told, and stopped
  "mended",            -- ... and came in again with another one
  "client_cut",        -- a client could not reach a node, or hear it
  "client_pause",      -- a client stood still
  "reconnected",       -- a client came again, here or at another node
  "retried",           -- what had been applied was asked for again
  "gap",               -- a request came before the one before it
  "expired",           -- a session was gone, and its client did not know
}

function M.new()
  return setmetatable({ counts = {} }, Marks)
end

--- It was met once more.
function Marks:see(name)
  self.counts[name] = (self.counts[name] or 0) + 1
end

--- Adds what another one has met.
function Marks:add(other)
  for name, count in pairs(other.counts) do
    self.counts[name] = (self.counts[name] or 0) + count
  end
end

--- All of them in one line: name=count.
function Marks:words()
  local words = {}
  for i, name in ipairs(M.NAMES) do
    words[i] = ("%s=%d"):format(name, self.counts[name] or 0)
  end
  return table.concat(words, " ")
end

--- Adds what such a line says.
function Marks:read(words)
  for name, count in words:gmatch "([%w_]+)=(%d+)" do
    if count ~= "0" then
      self.counts[name] = (self.counts[name] or 0) + tonumber(count)
    end
  end
end

--- Those of these names that were never met.
function Marks:missing(names)
  local missing = {}
  for _, name in ipairs(names or M.NAMES) do
    if not self.counts[name] then missing[#missing + 1] = name end
  end
  return missing
end

return M
