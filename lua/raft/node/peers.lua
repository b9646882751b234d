--- How a node meets others: hello, forming the cluster, who is a peer.
--
-- A cluster forms once, in two steps. Who has a link with every initial voter,
-- all of them unformed, promises for good what it would form: the identity that
-- follows from all directories. Once all have promised the same, each writes
-- the same entry 1. From then on the log knows.
local Greeting = require "raft.greeting"
local configuration = require "raft.configuration"
local errors = require "raft.errors"
local raft_core = require "raft.core"

local M = {}

local WARN_AGAIN_MS <const> = 10000  -- before the same refusal is told again
local WARNED_MAX <const> = 256       -- refusals remembered

local Peers = { __name = "raft.peers" }
Peers.__index = Peers

-- What the initial voters compare; who joins has no plan.
local function plan_digest(options)
  if options.join then return 0 end
  return raft_core.config_plan(configuration.plan(options))
end

--- @param driver with core and storage open
function M.new(driver)
  local options, storage = driver.options, driver.storage
  local self = setmetatable({
    driver = driver,
    identity = false,          -- of the formed cluster: 16 bytes
    forming = false,           -- the identity whose entry 1 is on its way
    plan = false,              -- the configuration that we have promised
    greeting = false,
    links = {},                -- id -> the link that is up
    last_refusal = false,      -- { peer=, words=, at= }, for time-outs
    warned = {},               -- refusals that the user was told of -> when
    warned_count = 0,          -- Invariant: entries of warned
  }, Peers)
  self.greeting = Greeting.new {
    id = options.id, cluster = options.cluster,
    incarnation = storage.incarnation, starts = storage.starts,
    promise = storage.identity,
    plan = plan_digest(options),
    nonce = storage.nonce, voters = options.ids,
    expected = function(id) return self:expected(id) end,
    config_index = function() return driver.config_index end,
  }
  return self
end

--- The incarnation that the configuration in force has for this id; ANY while
-- it is not known; nil when it is no member.
function Peers:expected(id)
  local config = self.driver.config
  local member = config and config.members[id]
  if not member then return nil end
  return member.incarnation ~= 0 and member.incarnation or Greeting.ANY
end

--- What we say to a peer.
function Peers:hello(to)
  return self.greeting:hello(to, self.driver.transport:address())
end

------------------------------------------------------------------- forming --

--- The cluster exists: our log says so, or a peer that counts us in it.
function Peers:formed_as(identity)
  self.identity = identity
  self.greeting:form(identity)
  self.driver.formed = true
end

local function core_config_identity(self)
  local config = self.driver.core:config()
  return config and config.identity
end

--- At start: does the log know a cluster?
function Peers:recover()
  local from_log = core_config_identity(self)
  local promised = self.driver.storage.identity
  if from_log and promised and from_log ~= promised then
    return nil, errors.new("corrupt", "the log and the identity file belong to "
      .. "different clusters (after a raft.recover that was interrupted: run "
      .. "it again)", { path = self.driver.options.dir })
  end
  if from_log then self:formed_as(from_log) end
  return true
end

-- The configuration of entry 1, if a link with every initial voter is up.
function Peers:first_config()
  local incarnations = self.greeting:formation()
  if not incarnations then return nil end
  local plan = configuration.plan(self.driver.options)
  for id, member in pairs(plan.members) do
    member.incarnation = incarnations[id]
  end
  plan.identity = raft_core.config_identity(plan, self.driver.options.cluster)
  return plan
end

-- First promises, durably, what it is about to form; forms it once all have
-- promised the same. So no directory ever counts in two clusters. Who cannot
-- stand for election leaves it to those who can: all others would adopt the
-- cluster from it, with empty logs, and nobody would ever lead.
function Peers:try_form()
  if self.identity or self.forming then return end
  local plan = self:first_config()
  if not plan then return end
  local has_promised = self.greeting.promise or self:promise(plan.identity)
  if not has_promised then return end
  if self.greeting.promise ~= plan.identity then
    self:note_refusal(nil, "cluster_mismatch", "this directory was about to "
      .. "form the cluster with another directory of one of the voters: if it "
      .. "has not formed anywhere, stop all nodes, remove their directories "
      .. "and start anew")
    return
  end
  self.plan = plan.members[self.driver.id].role == "voter" and plan
  if self.plan and self.greeting:is_agreed() then self:form(plan) end
end

-- Promises for good: true, or false when the node has failed.
function Peers:promise(identity)
  local driver = self.driver
  local ok, err = driver.storage:adopt(identity)
  if not ok then
    driver:fail(err)
    return false
  end
  self.greeting:promise_to(identity)
  driver.transport:regreet()
  return true
end

function Peers:form(plan)
  local driver = self.driver
  local ok, code = driver:step(driver.core:form(driver:now(), plan))
  if driver.is_closed then return end
  assert(ok, code)  -- a checked plan, and an empty log
  self.forming = plan.identity
end

--- Something has become durable: is it entry 1? Only then do we say that the
-- cluster has formed: who adopts the identity relies on us to keep what it is.
function Peers:stored()
  local driver = self.driver
  if not self.forming or driver.core:status().stored == 0 then return end
  self:formed_as(self.forming)
  self.forming = false
  driver.logger:info("cluster formed", { members = #driver.options.ids })
  driver.transport:regreet()
end

-- A formed cluster counts our directory: we belong to it. Who has promised it
-- forms it, too: those who have entry 1 may be gone before they could lead.
function Peers:adopt(identity)
  local driver, plan = self.driver, self.plan
  if driver.storage.identity ~= identity and not self:promise(identity) then
    return
  end
  if plan and plan.identity == identity then return self:form(plan) end
  self:formed_as(identity)
  driver.logger:info("joined the formed cluster")
  driver.transport:regreet()
end

--- Who has not been met yet, in words.
function Peers:missing()
  local found, missing = self.greeting:formation()
  if found or #missing == 0 then return "not all initial voters have met" end
  return "not met yet: " .. table.concat(missing, ", ")
end

------------------------------------------------------------------ greeting --

-- Who is nobody's peer yet asks to be added: never more than an answer.
function Peers:judge_knock(hello)
  local verdict, is_welcome = self.greeting:judge_knock(hello)
  if is_welcome then
    local why = self.driver.membership:why_declined(hello.id)
    if why then verdict.text = "it was not added so far: " .. why end
    self.driver:defer(function()
      self.driver.membership:invite(hello.id, hello.address)
    end)
  end
  return false, verdict
end

--- Judges a hello: true, or false and the refusal to send.
function Peers:judge(hello)
  if hello.purpose == "join" then return self:judge_knock(hello) end
  if hello.purpose == "client" then
    local verdict = self.greeting:judge_client(hello)
    return verdict.accept, verdict
  end
  local living = self.driver.transport:living(hello.id)
  local verdict = self.greeting:judge(hello, living)
  if verdict.fault then
    self.driver:defer(function()
      self.driver:fail(errors.new(verdict.fault.code, verdict.fault.text))
    end)
  end
  if not verdict.accept then
    self:note_refusal(hello.id, verdict.code, verdict.text)
    return false, verdict
  end
  if verdict.adopt then
    self.driver:defer(function()
      if self.identity or self.forming then return end
      self:adopt(verdict.adopt)
    end)
  end
  return true
end

-- Was the user told of this lately? A stranger may knock again and again.
function Peers:was_told(what)
  local now, at = self.driver:now(), self.warned[what]
  if at and now - at < WARN_AGAIN_MS then return true end
  if not at and self.warned_count == WARNED_MAX then
    self.warned, self.warned_count = {}, 0
  end
  if not at then self.warned_count = self.warned_count + 1 end
  self.warned[what] = now
  return false
end

-- The transport has written the line for the log.
function Peers:note_refusal(peer, code, text)
  peer = peer or "a peer"
  local words = ("%s: %s"):format(peer, text)
  self.last_refusal = { peer = peer, words = words, at = self.driver:now() }
  if code == "busy" then return end  -- it will be asked again, and soon
  if self:was_told(words) then return end
  self.driver:emit("warning", errors.new(code, text, { peer = peer }))
end

--- The newest refusal in words, if it is none of long ago; or nil.
function Peers:newest_refusal()
  local last = self.last_refusal
  local is_new = last and self.driver:now() - last.at < WARN_AGAIN_MS
  return is_new and last.words or nil
end

--- A peer refused us. Some reasons mean that we must not run on.
function Peers:refused(peer, code, text)
  self:note_refusal(peer, code, text)
  if Greeting.is_fatal(code) then
    self.driver:fail(errors.new(code, text, { peer = peer }))
  end
end

--- A link is up.
function Peers:opened(link)
  local driver = self.driver
  local last = self.last_refusal
  if last and last.peer == link.id then self.last_refusal = false end
  self.links[link.id] = link
  link.reader = driver.core:reader(link.id, link.hello.incarnation)
  self.greeting:joined(link.hello)
  self:try_form()
  driver:wants_flush()
end

--- Bytes from a link. Before the cluster exists nobody votes or listens.
function Peers:received(link, chunk)
  local driver = self.driver
  if not driver.formed then return end
  driver:tell_wall()
  local ok, code = driver:step(driver.core:receive(driver:now(), link.reader,
    chunk))
  if ok or driver.is_closed then return end
  driver.logger:warn("broken frame", { peer = link.id, code = code })
  link:close("broken frame")
end

--- A link is down.
function Peers:closed(link)
  local driver = self.driver
  if self.links[link.id] == link then self.links[link.id] = nil end
  self.greeting:left(link.id)
  driver.proposals.outbox.forwarding:link_lost(link.id)
  driver.transfers:ask_again()
  driver.membership.changes:ask_again()
  driver:step(driver.core:unreachable(driver:now(), link.id))
end

--- Ends the link with this peer, if there is one; another follows.
function Peers:cut(id)
  local link = self.links[id]
  if link then link:close("too much waits on it") end
end

return M
