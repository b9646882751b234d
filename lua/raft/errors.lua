--- Error values: one table per error, from a closed list of codes.
-- The world's faults are returned as these values; a caller's misuse raises.
-- `outcome` says what is known of the request: "none" (it did not happen and
-- never will) or "unknown" (it may have). `retry` is true when repeating it
-- is safe and may help.

local M = {}

-- code -> what is true of it unless the details say otherwise, and its
-- meaning in one line. Outcome "unknown" never goes with retry.
local CODES <const> = {
  not_leader = { outcome = "none", retry = true,
    meaning = "this node does not lead; leader and address say who does" },
  lost = { outcome = "none", retry = true,
    meaning = "another entry was committed in its place" },
  unknown = { outcome = "unknown", retry = false,
    meaning = "it was sent or appended, and nobody can say what became of it" },
  timeout = { outcome = "unknown", retry = false,
    meaning = "the time given for it is over" },
  busy = { outcome = "none", retry = true,
    meaning = "too much is under way; the drain event tells when to go on" },
  too_large = { outcome = "none", retry = false,
    meaning = "larger than its limit; size and max say by how much" },
  closed = { outcome = "none", retry = false,
    meaning = "the object was closed" },
  failed = { outcome = "none", retry = false,
    meaning = "the node has failed for good; a restart may recover it" },
  apply_error = { outcome = "unknown", retry = false,
    meaning = "the user's code raised; value holds what, where says whose" },
  refused = { outcome = "unknown", retry = false,
    meaning = "somebody answered no; value holds the reason" },
  no_quorum = { outcome = "unknown", retry = false,
    meaning = "not enough members can be reached" },
  bad_membership = { outcome = "none", retry = false,
    meaning = "a set of members that breaks a rule" },
  bad_value = { outcome = "none", retry = false,
    meaning = "a value that cannot be carried to other nodes" },
  reentrant = { outcome = "none", retry = false,
    meaning = "called from inside apply, query, snapshot or restore" },
  session_expired = { outcome = "unknown", retry = false,
    meaning = "the client's session is gone, and with it what it had done" },
  diverged = { outcome = "unknown", retry = false,
    meaning = "this node's state differs from that of the others" },
  unsupported = { outcome = "none", retry = false,
    meaning = "not possible here, or not yet" },
  auth_failed = { outcome = "none", retry = false,
    meaning = "the other end did not prove who it is" },
  cluster_mismatch = { outcome = "none", retry = false,
    meaning = "the other end belongs to another cluster" },
  wrong_dir = { outcome = "none", retry = false,
    meaning = "the directory belongs to another node or cluster" },
  dir_locked = { outcome = "none", retry = false,
    meaning = "another process has the directory open" },
  format_version = { outcome = "none", retry = false,
    meaning = "written by a version whose format this one does not read" },
  duplicate_id = { outcome = "none", retry = false,
    meaning = "another live node has this id" },
  rolled_back = { outcome = "none", retry = false,
    meaning = "the directory is older than what the cluster has seen of it" },
  corrupt = { outcome = "none", retry = false,
    meaning = "stored or received bytes are damaged" },
  no_space = { outcome = "none", retry = true,
    meaning = "the disk is full" },
  io_error = { outcome = "none", retry = false,
    meaning = "the operating system refused to read or write" },
  listen_failed = { outcome = "none", retry = false,
    meaning = "the address cannot be listened on" },
}

local RESERVED <const> = { code = true, message = true }
local OUTCOMES <const> = { none = true, unknown = true }

local Error = { __name = "raft.error" }

function Error:__tostring()
  return self.code .. ": " .. self.message
end

--- A new error value.
-- @param code one of the list above; another one is a bug of ours
-- @param message words for a person, in lower case
-- @param details more fields (leader, path, size, ...); may set `outcome` and
--   `retry`. An outcome made unknown takes the default retry away.
function M.new(code, message, details)
  local default = CODES[code]
  assert(default, "no such error code")
  assert(type(message) == "string", "an error needs a message")
  local err = { code = code, message = message, outcome = default.outcome }
  for name, value in pairs(details or {}) do
    assert(not RESERVED[name], "a detail may not replace code or message")
    err[name] = value
  end
  assert(OUTCOMES[err.outcome], "an outcome is none or unknown")
  if err.retry == nil then
    err.retry = default.retry and err.outcome == "none"
  end
  return setmetatable(err, Error)
end

--- Is this an error value of this library?
function M.is_error(value)
  return type(value) == "table" and getmetatable(value) == Error
end

local PLAIN <const> = { ["nil"] = true, boolean = true, number = true,
  string = true }

--- What the user's code raised, as an error value: `value` is the original
-- where it is plain, `cause` where it is one of ours.
-- @param where which code it was: "callback of node:propose"
function M.caught(where, value, traceback)
  return M.new("apply_error", where .. ": " .. M.text(value), {
    where = where,
    value = PLAIN[type(value)] and value or nil,
    cause = M.is_error(value) and value or nil,
    traceback = traceback,
  })
end

--- tostring that cannot fail: a user's __tostring may. Without one, what has no
-- text of its own is named by its type: its address is no word, and would be
-- another one in each run.
function M.text(value)
  local meta = not PLAIN[type(value)] and debug.getmetatable(value)
  if meta == nil or meta and rawget(meta, "__tostring") == nil then
    return "a " .. type(value)
  end
  local ok, text = pcall(tostring, value)
  return ok and text or "a " .. type(value) .. " that cannot be printed"
end

--- All codes, sorted.
function M.codes()
  local codes = {}
  for code in pairs(CODES) do codes[#codes + 1] = code end
  table.sort(codes)
  return codes
end

--- The meaning of a code in one line.
function M.meaning(code)
  assert(CODES[code], "no such error code")
  return CODES[code].meaning
end

return M
