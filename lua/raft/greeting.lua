--- Who may be talked to: judges the hello of another node. Pure policy, no I/O.
--
-- It knows who we are, whether the cluster has formed, which directories its
-- configuration counts, and what each id has said since we started. So a
-- wiped directory, an old copy put back, a copied directory and a second node
-- with one id are found wherever this node holds evidence. Membership is no
-- reason to refuse: a stranger of the same formed cluster is let in.
--
-- A verdict is { accept=true, adopt= } or { accept=false, code=, text=, fatal=,
-- fault= }. `code` and `text` are for the other end. Codes that is_fatal knows
-- are told only to who should stop: the node that hears one. `fault` is false,
-- or { code=, text= }: it is us who should stop, and why.

local Greeting = { __name = "raft.greeting" }
Greeting.__index = Greeting

local M = {}

local VERSION <const> = 1             -- of the wire format, both ends of ours
local GROUP <const> = 0
local STRANGERS_MAX <const> = 1024    -- ids remembered beyond the members
local IDENTITY_SHOWN <const> = 8      -- digits of an identity in a text

local FATAL <const> = { rolled_back = true, duplicate_id = true }

--- Should a node that is refused with this code stop?
function M.is_fatal(code)
  return FATAL[code] == true
end

--- @param options id, cluster, incarnation, starts, nonce: ours;
--   plan: the digest of the members table we were started with;
--   voters: the ids of its voters;
--   identity: of the formed cluster, or false;
--   expected(id) -> the incarnation that the configuration in force has for
--   this id, nil when it is no member or nothing has formed
function M.new(options)
  local voters = table.move(options.voters, 1, #options.voters, 1, {})
  table.sort(voters)
  return setmetatable({
    id = options.id,
    cluster = options.cluster,
    group = options.group or GROUP,
    incarnation = options.incarnation,
    starts = options.starts,
    nonce = options.nonce,
    plan = options.plan,
    voters = voters,
    identity = options.identity or false,
    expected = options.expected,
    met = {},             -- id -> incarnation of an unformed node of our plan
    memory = {},          -- id -> the newest { incarnation, starts, nonce }
    memory_count = 0,     -- ids in memory
    contests = {},        -- id -> a newcomer that claims the id of a live link
  }, Greeting)
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

-- Each is asked in turn: nil, or why this hello is refused. `living` is the
-- link that is up with this id, false when there is none.
local RULES <const> = {}

local function rule(fn)
  RULES[#RULES + 1] = fn
end

rule(function(_, hello)
  if hello.version_min <= VERSION and VERSION <= hello.version_max then
    return nil
  end
  return refuse("unsupported", "%s speaks versions %d to %d of the wire "
    .. "format, this node version %d", hello.id, hello.version_min,
    hello.version_max, VERSION)
end)

rule(function(self, hello)
  if hello.purpose ~= "peer" then
    return refuse("unsupported", "connections of kind %s are not served",
      hello.purpose)
  elseif hello.group ~= self.group then
    return refuse("unsupported", "group %d is not served here", hello.group)
  end
end)

rule(function(self, hello)
  if hello.cluster == self.cluster then return nil end
  return refuse("cluster_mismatch", "%s belongs to cluster %s, %s to cluster "
    .. "%s", hello.id, hello.cluster, self.id, self.cluster)
end)

rule(function(self, hello)
  if hello.to == self.id then return nil end
  return refuse("cluster_mismatch", "this is %s, and the greeting is for %s: "
    .. "is the address right?", self.id, hello.to)
end)

rule(function(self, hello)
  if hello.id ~= self.id then return nil end
  return refuse("duplicate_id", "%s is the id of the node you have reached: "
    .. "two nodes cannot have one id", self.id)
end)

rule(function(self, hello)
  if not self.identity or not hello.formed
    or hello.identity == self.identity then
    return nil
  end
  return refuse("cluster_mismatch", "%s belongs to a cluster %s formed as "
    .. "%s, %s to one formed as %s", hello.id, hello.cluster,
    shown(hello.identity), self.id, shown(self.identity))
end)

-- Both unformed: they must have been started with the same members.
rule(function(self, hello)
  if self.identity or hello.formed or hello.plan == self.plan then
    return nil
  end
  return refuse("cluster_mismatch", "the members tables of %s and %s differ: "
    .. "all nodes of a new cluster start with the same one", hello.id, self.id)
end)

-- We are formed, they are new: members that have not heard of it yet come in.
rule(function(self, hello)
  if not self.identity or hello.formed or self.expected(hello.id) then
    return nil
  end
  return refuse("cluster_mismatch", "cluster %s has formed, and %s is not a "
    .. "member: add it", self.cluster, hello.id)
end)

-- They are formed, we are new: they must know this very directory. If not,
-- the fault is ours, and what they hear must not stop them.
rule(function(self, hello)
  if self.identity or not hello.formed or hello.known == self.incarnation then
    return nil
  end
  local no = refuse("cluster_mismatch", "the directory of %s is new, and "
    .. "cluster %s has formed without it", self.id, self.cluster)
  if hello.known ~= 0 then
    no.fault = { code = "rolled_back", text = ("%s belongs to cluster %s with "
      .. "another directory than this one, which is new: %s"):format(self.id,
      self.cluster, way_in(self.id)) }
  end
  return no
end)

-- Is there a live link with another process than the one that greets?
local function is_contested(hello, living)
  return living and living.hello.nonce ~= hello.nonce
    and living.silent_ms < living.alive_ms
end

rule(function(self, hello, living)
  local expected = self.expected(hello.id)
  if not expected or expected == hello.incarnation then return nil end
  if is_contested(hello, living)
    and living.hello.incarnation == expected then
    return refuse("duplicate_id", "%s is alive at %s, and you have another "
      .. "directory: two nodes cannot have one id", hello.id,
      living.hello.address)
  end
  return refuse("rolled_back", "the directory of %s is new or another one: %s",
    hello.id, way_in(hello.id))
end)

rule(function(self, hello)
  local last = self.memory[hello.id]
  if not last or last.incarnation ~= hello.incarnation then return nil end
  if math.ult(hello.starts, last.starts) then
    return refuse("rolled_back", "an old copy of the directory of %s was put "
      .. "back (start %d, and start %d was seen): %s", hello.id, hello.starts,
      last.starts, way_in(hello.id))
  elseif hello.starts == last.starts and hello.nonce ~= last.nonce then
    return refuse("duplicate_id", "the directory of %s was copied: two "
      .. "processes run it", hello.id)
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

--------------------------------------------------------------- the verdict --

function Greeting:remember(hello)
  local last = self.memory[hello.id]
  if not last then
    local is_member = self.expected(hello.id) ~= nil
    if self.memory_count >= STRANGERS_MAX and not is_member then return end
    self.memory_count = self.memory_count + 1
  end
  self.memory[hello.id] = { incarnation = hello.incarnation,
    starts = hello.starts, nonce = hello.nonce }
end

--- Judges a hello.
-- @param hello as raft.core decodes it
-- @param living what @{raft.transport}'s living(hello.id) says, or false
-- @return a verdict; accept.adopt is the identity of the cluster that we have
--   become a part of, or false
function Greeting:judge(hello, living)
  for _, broken in ipairs(RULES) do
    local no = broken(self, hello, living)
    if no then return no end
  end
  self:remember(hello)
  if not self.identity and not hello.formed then
    self.met[hello.id] = hello.incarnation
  end
  local adopt = not self.identity and hello.formed and hello.identity
  return { accept = true, adopt = adopt or false }
end

------------------------------------------------------------------- forming --

--- Has each initial voter been met, unformed, with our plan, since our start?
-- @return id -> incarnation of all of them; or nil and who is missing, sorted
function Greeting:formation()
  local found, missing = {}, {}
  if self.identity then return nil, missing end
  for _, id in ipairs(self.voters) do
    found[id] = id == self.id and self.incarnation or self.met[id]
    if not found[id] then missing[#missing + 1] = id end
  end
  if #missing > 0 then return nil, missing end
  return found
end

--- The cluster has formed, or we have adopted its identity.
function Greeting:form(identity)
  assert(not self.identity or self.identity == identity,
    "a cluster forms once")
  self.identity = identity
  self.met = {}
end

--- Our hello for this peer, without `to`.
-- @param address where we listen
function Greeting:hello(to, address)
  return {
    version_min = VERSION,
    version_max = VERSION,
    purpose = "peer",
    formed = self.identity ~= false,
    identity = self.identity or nil,
    group = self.group,
    plan = self.plan,
    incarnation = self.incarnation,
    starts = self.starts,
    nonce = self.nonce,
    known = self.identity and self.expected(to) or 0,
    cluster = self.cluster,
    id = self.id,
    address = address,
  }
end

return M
