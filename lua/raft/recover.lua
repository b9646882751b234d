--- A new cluster from one surviving directory, when a majority is gone for
-- ever. Offline, and by hand only: what the others had alone is lost.
--
-- All entries of the directory stay, committed or not, and count from now on.
-- Behind them comes a configuration of a new cluster, with an identity of its
-- own: the nodes of the old one are refused by it, and it by them.
--
-- Promises. Nothing is changed unless the directory can be opened and its log
-- read. What is reported is durable. A recovery that was interrupted leaves a
-- directory that does not start, and that can be recovered again.
local Offline = require "raft.storage.offline"
local configuration = require "raft.configuration"
local errors = require "raft.errors"
local members = require "raft.members"
local raft_core = require "raft.core"
local schema = require "raft.schema"

local M = {}

local fields = schema.fields {
  { "id", schema.name },
  { "cluster", schema.name },
  { "members", members.rule },
  { "uv", schema.any_table },
  { "host", schema.any_table },
}

local function refuse(dir, words, details)
  details = details or {}
  details.dir = dir
  error(errors.new("bad_membership", ("%s: %s"):format(dir, words), details), 0)
end

------------------------------------------------------------- what is there --

-- The configuration in force in the directory: whoever is no full member of it
-- has no state to begin with.
local function old_config(dir, offline)
  local newest = offline.found.config
  if not newest then
    refuse(dir, "this node never was in a cluster, so there is nothing to "
      .. "recover: start it as a new one")
  end
  local config = assert(raft_core.config_decode(newest.payload))
  local own = config.members[offline.id]
  if own and (own.role == "witness" or own.next_role == "witness") then
    refuse(dir, offline.id .. " is a witness, which keeps no commands: "
      .. "recover from another directory")
  end
  return config, own
end

----------------------------------------------------------- the new cluster --

-- This node counts from the start; the others come in as new nodes do: as
-- learners first, with empty directories.
local function members_of(dir, offline, own, wanted)
  if not wanted and not own then
    refuse(dir, offline.id .. " is not in its own configuration, so members "
      .. "must say where it is")
  end
  wanted = wanted or { [offline.id] = { address = own.address, priority = 0,
    role = "voter" } }
  if not wanted[offline.id] or wanted[offline.id].role ~= "voter" then
    refuse(dir, ("members must have %s, whose state it is, as a voter"):format(
      offline.id))
  end
  return wanted
end

local function check_goal(dir, wanted)
  local ok, where, words = configuration.check { election_min_ms = 1,
    members = wanted }
  if not ok then refuse(dir, where .. ": " .. words) end
end

local function new_config(dir, offline, opts)
  local old, own = old_config(dir, offline)
  local wanted = members_of(dir, offline, own, opts.members)
  check_goal(dir, wanted)
  local config = { election_min_ms = old.election_min_ms, leases = old.leases,
    members = {} }
  for id, member in pairs(wanted) do
    config.members[id] = { address = member.address, goal = member.role,
      role = "learner", priority = member.priority, incarnation = 0 }
  end
  config.members[offline.id].role = "voter"
  config.members[offline.id].incarnation = offline:new_incarnation()
  config.identity = raft_core.config_identity(config, offline.cluster)
  return config, old
end

-- Durable, and only then told. The log goes first: where there is no room for
-- it, nothing has changed.
local function write(offline, config)
  local found = offline.found
  local index, term = found.last + 1, found.term + 1
  offline:append(raft_core.config_entry(config, index, term, found.last_time), {
    term = term, vote = raft_core.id_of(offline.id), commit = index })
  offline:belong_to(config.identity)
end

---------------------------------------------------------------- the account --

local Account = { __name = "raft.recovered" }

local function hex(bytes)
  return (bytes:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

local function account_of(offline, config, old)
  local found = offline.found
  local commit = math.min(found.commit, found.last)
  return setmetatable({
    id = offline.id,
    cluster = offline.cluster,
    identity = hex(config.identity),
    identity_before = hex(old.identity),
    members = configuration.members(config),
    members_before = configuration.members(old),
    first = found.base_index + 1,   -- oldest entry of the log
    last = found.last,              -- newest entry that was kept
    last_term = found.terms[#found.terms] or found.base_term,
    last_time = found.last_time,    -- when it was proposed, ms since 1970
    commit = commit,                -- known to be committed up to here
    uncertain = found.last - commit,  -- entries that nobody may have been told
    index = found.last + 1,         -- of the new configuration
    truncated_bytes = offline.truncated_bytes,
    damaged_last = found.lost_last or false,  -- newest entry that damage took
  }, Account)
end

local function ids_of(map)
  return table.concat(members.ids(map), ", ")
end

local function in_words(lines, words, ...)
  lines[#lines + 1] = words:format(...)
end

local function tell_kept(lines, account)
  in_words(lines, "kept:     entries up to %d, of term %d; the newest was "
    .. "proposed %s", account.last, account.last_term, account.last_time == 0
    and "nobody knows when"
    or os.date("!%Y-%m-%d %H:%M:%S UTC", account.last_time // 1000))
  if account.uncertain > 0 then
    in_words(lines, account.uncertain == 1 and "doubtful: entry %d. It may "
      .. "never have been acknowledged to anybody, and counts from now on"
      or "doubtful: entries %d to %d. They may never have been acknowledged to "
      .. "anybody, and count from now on", account.commit + 1, account.last)
  end
  if account.damaged_last then
    in_words(lines, "damaged:  this directory had entries up to %d; those "
      .. "above %d could not be read, and are lost", account.damaged_last,
      account.last)
  end
  if account.truncated_bytes > 0 then
    in_words(lines, "cut:      %d bytes of a write that was under way at the "
      .. "end", account.truncated_bytes)
  end
end

function Account:__tostring()
  local lines = {}
  in_words(lines, "%s is now the start of a new cluster %s with %s",
    self.id, self.cluster, ids_of(self.members))
  tell_kept(lines, self)
  in_words(lines, "missing:  what the old majority acknowledged and %s had not "
    .. "received. Nobody can say how much that is", self.id)
  in_words(lines, "others:   the new cluster refuses the directories of the "
    .. "old one (%s). Those nodes come in with empty ones",
    ids_of(self.members_before))
  return table.concat(lines, "\n")
end

------------------------------------------------------------------ the whole --

local function recover(dir, opts)
  local offline <close> = Offline.open { dir = dir, uv = opts.uv,
    host = opts.host, id = opts.id or nil, cluster = opts.cluster or nil }
  local config, old = new_config(dir, offline, opts)
  write(offline, config)
  return account_of(offline, config, old)
end

--- Forms a new cluster from the directory of a node that does not run. Waits
-- for the disk.
-- @param dir as the option `dir` of that node
-- @param opts members of the new cluster, as the option `members` has them
--   (default: this node alone, where it was); id and cluster, if it must be
--   the directory of that node. Majorities decide; node:change can change that
-- @return an account of it, whose tostring is for people; or nil and an error
-- @raise when an argument is wrong, naming it
function M.run(dir, opts)
  if type(dir) ~= "string" or dir == "" then
    error("raft.recover: expected a directory, got " .. schema.show(dir), 2)
  end
  opts = schema.check("raft.recover", 3, fields, opts or {})
  opts.uv = opts.uv or require "luv"
  opts.host = opts.host or raft_core.host
  local ok, result = xpcall(recover, function(what)
    return errors.is_error(what) and what or debug.traceback(what)
  end, dir, opts)
  if ok then return result end
  if not errors.is_error(result) then error(result, 0) end
  return nil, result
end

return M
