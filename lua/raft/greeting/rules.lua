--- The rules by which a hello is refused, asked in turn.
-- Each is a function(greeting, hello, living): nil, or the refusing verdict.
-- `living` is the link that is up with this id, false when there is none.
local address = require "raft.address"

local M = {}

local VERSION <const> = 1             -- of the wire format, both ends of ours
local IDENTITY_SHOWN <const> = 8      -- digits of an identity in a text
local NO_PLAN <const> = 0             -- of who waits to be added

-- What a configuration says of a member that was added and whose directory is
-- not known yet: whichever comes first is the one.
local ANY <const> = -1

local FATAL <const> = { rolled_back = true, duplicate_id = true }

--- Should a node that is refused with this code stop?
function M.is_fatal(code)
  return FATAL[code] == true
end

--------------------------------------------------------------- the refusal --

local function refuse(code, text, ...)
  return { accept = false, adopt = false, code = code, text = text:format(...),
    fatal = M.is_fatal(code), fault = false }
end

-- The way out for a directory that the cluster does not count.
local function way_in(id)
  return ("remove %s from the cluster, then add it again with an empty "
    .. "directory"):format(id)
end

local function shown(identity)
  local hex = identity:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end)
  return hex:sub(1, IDENTITY_SHOWN)
end

----------------------------------------------------------------- the rules --

local RULES <const> = {}

local function rule(fn)
  RULES[#RULES + 1] = fn
end

local function same_version(_, hello)
  if hello.version_min <= VERSION and VERSION <= hello.version_max then
    return nil
  end
  return refuse("unsupported", "%s speaks versions %d to %d of the wire "
    .. "format, this node version %d", hello.id, hello.version_min,
    hello.version_max, VERSION)
end
rule(same_version)

local SERVED <const> = { peer = true, snapshot = true }

rule(function(self, hello)
  if not SERVED[hello.purpose] then
    return refuse("unsupported", "connections of kind %s are not served",
      hello.purpose)
  elseif hello.group ~= self.group then
    return refuse("unsupported", "group %d is not served here", hello.group)
  end
end)

local function same_cluster(self, hello)
  if hello.cluster == self.cluster then return nil end
  return refuse("cluster_mismatch", "%s belongs to cluster %s, %s to cluster "
    .. "%s", hello.id, hello.cluster, self.id, self.cluster)
end
rule(same_cluster)

rule(function(self, hello)
  if hello.to == self.id then return nil end
  return refuse("cluster_mismatch", "this is %s, and the greeting is for %s: "
    .. "is the address right?", self.id, hello.to)
end)

local function another_id(self, hello)
  if hello.id ~= self.id then return nil end
  return refuse("duplicate_id", "%s is the id of the node you have reached: "
    .. "two nodes cannot have one id", self.id)
end
rule(another_id)

rule(function(self, hello)
  if not self.identity or not hello.formed
    or hello.identity == self.identity then
    return nil
  end
  return refuse("cluster_mismatch", "%s belongs to a cluster %s formed as "
    .. "%s, %s to one formed as %s", hello.id, hello.cluster,
    shown(hello.identity), self.id, shown(self.identity))
end)

-- A cluster forms, and is adopted, over links and nothing else.
rule(function(self, hello)
  if hello.purpose == "peer" or self.identity and hello.formed then
    return nil
  end
  return refuse("busy", "%s and %s do not both belong to a formed cluster yet",
    hello.id, self.id)
end)

-- Both unformed: they must have been started with the same members.
rule(function(self, hello)
  if self.identity or hello.formed or hello.plan == self.plan then
    return nil
  elseif hello.plan == NO_PLAN or self.plan == NO_PLAN then
    return refuse("busy", "one of %s and %s waits to be added to a cluster, "
      .. "and the other has not formed one", hello.id, self.id)
  end
  return refuse("cluster_mismatch", "the members tables of %s and %s differ: "
    .. "all nodes of a new cluster start with the same one", hello.id, self.id)
end)

-- We are formed, they are new: members that have not heard of it yet come in.
rule(function(self, hello)
  if not self.identity or hello.formed or self.expected(hello.id) then
    return nil
  elseif not self.expected(self.id) then  -- we have yet to hear who is in
    return refuse("busy", "%s does not know the members yet: try again",
      self.id)
  end
  return refuse("cluster_mismatch", "cluster %s has formed, and %s is not a "
    .. "member: add it", self.cluster, hello.id)
end)

-- What a node has promised to form is the only thing it ever forms: else one
-- voter could count in two clusters.
local function contradicts(promise, identity)
  return promise and identity and promise ~= identity
end

rule(function(self, hello)
  local ours, theirs = self.identity or self.promise, hello.identity
  if not contradicts(ours, theirs) then return nil end
  return refuse("cluster_mismatch", "%s and %s were about to form cluster %s "
    .. "with different directories: if it has not formed anywhere, stop all "
    .. "nodes, remove their directories and start anew", hello.id, self.id,
    self.cluster)
end)

-- They are formed, we are new: they must know this very directory. If they know
-- another one the fault is ours, and what they hear must not stop them. If they
-- know none, either they have yet to hear who is in, or they will tell us that
-- we are not when we dial them.
rule(function(self, hello)
  if self.identity or not hello.formed or hello.known == self.incarnation
    or hello.known == ANY then
    return nil
  end
  if hello.known == 0 then
    return refuse("busy", "%s is new, and you do not know it: try again",
      self.id)
  end
  local no = refuse("cluster_mismatch", "the directory of %s is new, and "
    .. "cluster %s has formed without it", self.id, self.cluster)
  no.fault = { code = "rolled_back", text = ("%s belongs to cluster %s with "
    .. "another directory than this one, which is new: %s"):format(self.id,
    self.cluster, way_in(self.id)) }
  return no
end)

-- Is there a live link with another process than the one that greets?
local function is_contested(hello, living)
  return living and living.hello.nonce ~= hello.nonce
    and living.silent_ms < living.alive_ms
end

-- The configuration means another directory. Who was removed, was away, or
-- lost the end of its log, may have missed that the others have added this one
-- since: it must not stop it, and hears of the members from it, if from
-- anybody. An old copy of a directory never knows of a newer configuration.
local function is_old_news(self, hello)
  if not hello.formed then return false end
  return not self.expected(self.id)
    or math.ult(self.config_index(), hello.config_index)
end

rule(function(self, hello, living)
  local expected = self.expected(hello.id)
  if not expected or expected == ANY or expected == hello.incarnation
    or is_old_news(self, hello) then
    return nil
  end
  if is_contested(hello, living)
    and living.hello.incarnation == expected then
    return refuse("duplicate_id", "%s is alive at %s, and you have another "
      .. "directory: two nodes cannot have one id", hello.id,
      living.hello.address)
  elseif not self.expected(self.id) then
    return refuse("busy", "%s is no member any more, and may not know who is",
      self.id)
  end
  return refuse("rolled_back", "the directory of %s is new or another one: %s",
    hello.id, way_in(hello.id))
end)

-- Two starts with one number come of two copies of a directory. A later start
-- may then be of either, and one of them has forgotten what it has promised: no
-- start is let in any more but the one that is remembered.
rule(function(self, hello)
  local last = self.memory[hello.id]
  if not last or last.incarnation ~= hello.incarnation then return nil end
  local is_same = hello.starts == last.starts and hello.nonce == last.nonce
  if math.ult(hello.starts, last.starts) then
    return refuse("rolled_back", "an old copy of the directory of %s was put "
      .. "back (start %d, and start %d was seen): %s", hello.id, hello.starts,
      last.starts, way_in(hello.id))
  elseif not is_same and (last.is_copied or hello.starts == last.starts) then
    last.is_copied = true
    return refuse("duplicate_id", "%s was started twice from one state of its "
      .. "directory: it was copied, or an old copy was put back: %s", hello.id,
      way_in(hello.id))
  end
end)

-- The id lives on another link. Right after a crash that link may be a dead
-- process's, so the newcomer is asked to come again. If the link is heard of
-- later than that, both are alive.
rule(function(self, hello, living)
  if not is_contested(hello, living) then
    self.contests[hello.id] = nil
    return nil
  end
  local contest = self.contests[hello.id]
  if not contest or contest.nonce ~= hello.nonce
    or contest.rival ~= living.hello.nonce then
    contest = { nonce = hello.nonce, rival = living.hello.nonce,
      since_ms = living.age_ms }
    self.contests[hello.id] = contest
  end
  local heard_ms = living.age_ms - living.silent_ms
  if heard_ms > contest.since_ms + living.alive_ms then
    return refuse("duplicate_id", "%s is alive at %s: two nodes cannot have "
      .. "one id, nor run copies of one directory", hello.id,
      living.hello.address)
  end
  return refuse("busy", "a link with %s at %s is up: try again", hello.id,
    living.hello.address)
end)

------------------------------------------------------------------ who knocks --

-- Those that are asked of everybody, and what only a member can do: add it.
local KNOCKS <const> = { same_version, same_cluster, another_id }

KNOCKS[#KNOCKS + 1] = function(self)
  if self.identity and self.expected(self.id) then return nil end
  return refuse("busy", "%s is no member of a formed cluster itself: ask "
    .. "another, or try again", self.id)
end

KNOCKS[#KNOCKS + 1] = function(self, hello)
  local expected = self.expected(hello.id)
  if not expected then return nil end
  if expected == ANY or expected == hello.incarnation then
    return refuse("busy", "%s is a member, and is dialed where it was added",
      hello.id)
  end
  return refuse("rolled_back", "%s is a member with another directory: %s",
    hello.id, way_in(hello.id))
end

KNOCKS[#KNOCKS + 1] = function(_, hello)
  if address.parse(hello.address) then return nil end
  return refuse("bad_membership", "%s does not say where it listens", hello.id)
end

--- Judges who asks to be added: always a refusal, and true when it shall be.
function M.judge_knock(self, hello)
  for _, broken in ipairs(KNOCKS) do
    local no = broken(self, hello)
    if no then return no, false end
  end
  return refuse("busy", "%s is being added to cluster %s", hello.id,
    self.cluster), true
end

--- Judges a client: a verdict.
function M.judge_client(self, hello)
  return same_version(self, hello) or same_cluster(self, hello)
    or { accept = true, adopt = false }
end

M.list = RULES
M.ANY = ANY
M.VERSION = VERSION

return M
