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

local rules = require "raft.greeting.rules"

local Greeting = { __name = "raft.greeting" }
Greeting.__index = Greeting

local M = {}

local GROUP <const> = 0
local STRANGERS_MAX <const> = 1024    -- ids remembered beyond the members

M.is_fatal = rules.is_fatal
M.ANY = rules.ANY

--- @param options id, cluster, incarnation, starts, nonce: ours;
--   plan: the digest of the members table we were started with, 0 none;
--   voters: the ids of its voters;
--   identity: of the formed cluster, or false;
--   promise: the identity we have promised to form, durably, or false;
--   expected(id) -> the incarnation that the configuration in force has for
--   this id, M.ANY while its directory is not known, nil when it is no member
--   or nothing has formed;
--   config_index() -> the index of that configuration, 0 for none
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
    promise = options.promise or false,
    expected = options.expected,
    config_index = options.config_index,
    met = {},             -- id -> incarnation of an unformed node of our plan
                          -- with which a link is up
    promises = {},        -- id -> identity it has promised to form, or false
    memory = {},          -- id -> the newest { incarnation, starts, nonce,
                          -- is_copied }: the last, were there two of a start?
    memory_count = 0,     -- ids in memory
    contests = {},        -- id -> a newcomer that claims the id of a live link
  }, Greeting)
end

--------------------------------------------------------------- the verdict --

function Greeting:remember(hello)
  local last = self.memory[hello.id]
  if not last then
    local is_member = self.expected(hello.id) ~= nil
    if self.memory_count >= STRANGERS_MAX and not is_member then return end
    self.memory_count = self.memory_count + 1
  end
  local is_known = last and last.incarnation == hello.incarnation
  self.memory[hello.id] = { incarnation = hello.incarnation,
    starts = hello.starts, nonce = hello.nonce,
    is_copied = is_known and last.is_copied }
end

--- Judges a hello.
-- @param hello as raft.core decodes it
-- @param living what @{raft.transport}'s living(hello.id) says, or false
-- @return a verdict; accept.adopt is the identity of the cluster that we have
--   become a part of, or false
function Greeting:judge(hello, living)
  for _, broken in ipairs(rules.list) do
    local no = broken(self, hello, living)
    if no then return no end
  end
  self:remember(hello)
  if not self.identity and not hello.formed then
    self:joined(hello)
  end
  local adopt = not self.identity and hello.formed and hello.identity
  return { accept = true, adopt = adopt or false }
end

--- Judges who knocks: a refusal in any case, and true when it shall be added.
function Greeting:judge_knock(hello)
  return rules.judge_knock(self, hello)
end

--- Judges a client: any of this cluster is welcome.
function Greeting:judge_client(hello)
  return rules.judge_client(self, hello)
end

------------------------------------------------------------------- forming --

--- A link is up with an unformed node that was accepted.
function Greeting:joined(hello)
  if self.identity or hello.formed then return end
  self.met[hello.id] = hello.incarnation
  self.promises[hello.id] = hello.identity or false
end

--- The link with this node is down: it counts again once it is back.
function Greeting:left(id)
  self.met[id] = nil
end

--- We have promised, durably, to form this and nothing else.
function Greeting:promise_to(identity)
  assert(not self.promise or self.promise == identity,
    "one promise, for good")
  self.promise = identity
end

--- Have all initial voters promised what we have?
function Greeting:is_agreed()
  if not self.promise then return false end
  for _, id in ipairs(self.voters) do
    if id ~= self.id and self.promises[id] ~= self.promise then return false end
  end
  return true
end

--- Is a link up with each initial voter, unformed, with our plan?
-- @return id -> incarnation of all of them; or nil and who is missing, sorted
function Greeting:formation()
  local found, missing = {}, {}
  if self.identity or #self.voters == 0 then return nil, missing end
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

-- The directory that we know the peer by; 0 none. Who was removed itself knows
-- nothing for sure: others may have been added again since.
local function known_of(self, to)
  if not self.identity or not self.expected(self.id) then return 0 end
  return self.expected(to) or 0
end

--- Our hello for this peer, without `to`.
-- @param address where we listen
function Greeting:hello(to, address)
  return {
    version_min = rules.VERSION,
    version_max = rules.VERSION,
    purpose = "peer",
    formed = self.identity ~= false,
    identity = self.identity or self.promise or nil,
    group = self.group,
    plan = self.plan,
    incarnation = self.incarnation,
    starts = self.starts,
    nonce = self.nonce,
    known = known_of(self, to),
    config_index = self.config_index(),
    cluster = self.cluster,
    id = self.id,
    address = address,
  }
end

return M
