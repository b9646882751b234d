--- What a client has asked for and not been answered yet.
--
--   add -> queue -> on its way -> answered, or back in the queue
--
-- Promises. Each is answered once. Commands go in the client's session, in call
-- order, and may be sent again: they are applied once. What only reads is asked
-- again; what is neither is not, once it was sent.
local Machine = require "raft.machine"
local OwnSession = require "raft.own_session"
local batching = require "raft.client.batching"
local errors = require "raft.errors"
local keeping = require "raft.client.keeping"
local ring = require "raft.ring"
local room = require "raft.client.room"
local sending = require "raft.client.sending"
local verdicts = require "raft.client.verdicts"

local M = {}

local PAUSE_MS <const> = 20      -- before something is tried again

local Requests = { __name = "raft.client.requests" }
Requests.__index = Requests

--- @param client now(), search, wake(ms): call dispatch again by then,
--   max_pending_bytes, session_ms
function M.new(client)
  return setmetatable({
    client = client,
    batch = false,        -- commands of this turn, not sent; or none
    batches = ring.new(), -- on their way, oldest first; the members of these,
                          -- and of batch, count as flying
    queue = ring.new(),   -- not sent, or to be sent again
    is_sorted = true,     -- is that in call order?
    flying = {},          -- id on the connection -> request
    flying_count = 0,     -- Invariant: entries of flying, and of batches
    flying_bytes = 0,     -- of their bodies
    last_id = 1,          -- 1 is the search's own
    last_order = 0,
    bytes = 0,            -- of all
    resume_at = false,    -- nothing is sent before that
    soonest = false,      -- no deadline is sooner; false: none at all
    session = OwnSession.new(client.session_ms),
    flushed_id = 1,       -- what has a later one is not on its way yet
    used_at = 0,          -- when the session was last used
    is_used = false,      -- was it since the last dispatch?
    is_keeping = false,   -- is a request to keep it under way?
    acknowledged = 0,     -- index that covers all that was answered
    identity = false,     -- of the cluster that all this is about
  }, Requests)
end

--- A node of the cluster of this identity is asked from now on.
function Requests:met(identity)
  keeping.met(self, identity)
end

-------------------------------------------------------------------- answers --

--- Answers a request; again: nothing.
function Requests:answer(request, err, result)
  local fn = request.answer
  if not fn then return end
  request.answer = false
  self.bytes = self.bytes - sending.weight(request)
  fn(err, result)
end

-- Back to where it was.
local function put_back(self, request)
  self.queue:push(request)
  self.is_sorted = false
end

local function sort(self)
  local all = self.queue:take_all()
  table.sort(all, function(a, b) return a.order < b.order end)
  for _, request in ipairs(all) do self.queue:push(request) end
  self.is_sorted = true
end

-- The connection is gone, or the node: may it be asked again?
local function ask_again(self, request, err)
  local is_once = request.kind == "call" and request.sends > 0
    and err.outcome ~= "none"
  if not is_once then return put_back(self, request) end
  self:answer(request, errors.new("unknown", "it was sent, and then the "
    .. "connection ended: " .. err.message))
end

-- The session of this command is gone. A node may have sent it on twice.
local function expired(self, request, err)
  if err.resent then request.sends = request.sends + 1 end
  if self.session:expired(request) then return put_back(self, request) end
  self:answer(request, err)
end

-- A node has refused: what is to be done?
local function refused(self, request, err)
  local verdict = verdicts.of(request.kind, err)
  if verdict == "expired" then return expired(self, request, err) end
  if verdict == "answer" then return self:answer(request, err) end
  if request.kind == "call" and err.outcome == "none" then request.sends = 0 end
  if verdicts.is_elsewhere(err) then self.client.search:misled() end
  self.resume_at = self.client:now() + PAUSE_MS
  ask_again(self, request, err)
end

--- All up to this index is covered by what was answered.
function Requests:acknowledge(index)
  if index > self.acknowledged then self.acknowledged = index end
end

--- A result has come.
-- @param index it is covered by
-- @param ok, value, why the answer, as @{raft.answers} has it
function Requests:result(id, index, ok, value, why)
  local request = self.flying[id] or batching.find(self, id)
  if not request then return end  -- given up before
  self.flying[id] = nil
  self.flying_count = self.flying_count - 1
  self.flying_bytes = self.flying_bytes - sending.size(request)
  self:acknowledge(index)
  if not ok then return refused(self, request, value) end
  if value == nil and why ~= nil then
    return self:answer(request, Machine.refusal("apply", why))
  end
  self:answer(request, nil, value)
end

-- What the connection has gathered and not sent was not sent.
local function unsend(self)
  for id = self.flushed_id + 1, self.last_id do
    local request = self.flying[id]
    if request then request.sends = request.sends - 1 end
  end
  self.flushed_id = self.last_id
end

--- The connection has ended: nobody answers what was on its way.
function Requests:lost()
  batching.end_all(self)
  unsend(self)
  local flying = self.flying
  self.flying, self.flying_count, self.flying_bytes = {}, 0, 0
  local all = {}
  for _, request in pairs(flying) do all[#all + 1] = request end
  table.sort(all, function(a, b) return a.order < b.order end)
  local err = errors.new("unknown", self.client.search.trouble)
  for _, request in ipairs(all) do ask_again(self, request, err) end
end

------------------------------------------------------------------- sending --

--- Something is to be done at that time: sweep.
function Requests:note_deadline(deadline)
  if not deadline then return end
  self.soonest = math.min(self.soonest or deadline, deadline)
end

--- Takes a request: kind ("command", "query", "question", "call", which acts),
-- command or body, answer, deadline, is_anywhere (any node will do).
-- @{raft.own_session} keeps more in it.
-- @param can_wait it need not be told `busy`
function Requests:add(request, can_wait)
  batching.send(self)  -- nothing overtakes it
  self.last_order = self.last_order + 1
  request.order, request.sends = request.order or self.last_order, 0
  local weight = sending.weight(request)
  local is_full = self.bytes > 0
    and self.bytes + weight > self.client.max_pending_bytes
  self.bytes = self.bytes + weight
  if is_full and not can_wait then
    return self:answer(request, errors.new("busy", "too much waits to be "
      .. "answered"))
  end
  self:note_deadline(request.deadline)
  if not sending.at_once(self, request) then self.queue:push(request) end
end

Requests.begin_batch, Requests.results = batching.begin, batching.results

--- Keeps the session: to be called from time to time.
function Requests:keep_session()
  keeping.keep(self)
end

-- Sends the oldest: true when the queue may go on.
local function dispatch_one(self, connection, request)
  if not request.answer then
    self.queue:pop()
    return true
  elseif request.kind == "command" then
    if self.session:is_stranded(request) then
      self.queue:pop()
      self:answer(request, errors.new("session_expired", "it was sent more "
        .. "than once, and the session ended meanwhile"))
      return true
    elseif not self.session.id then
      if self.session.is_opening then return false end
      keeping.open(self)
      return true
    end
  end
  local size = sending.size(request)
  if not room.has(self, size) then return false end
  self.queue:pop()
  sending.send(self, connection, request, size)
  return true
end

-- Hands what was gathered to the system.
local function flush(self, connection)
  if self.is_used then self.used_at = self.client:now() end
  self.is_used, self.flushed_id = false, self.last_id
  connection:flush()
end

-- Nobody leads: what any node can answer goes all the same.
local function dispatch_anywhere(self, connection)
  self.queue:filter(function(request)
    local size = sending.size(request)
    local can_go = request.is_anywhere and request.answer
      and room.has(self, size)
    if not can_go then return true end
    sending.send(self, connection, request, size)
    return false
  end)
  flush(self, connection)
end

-- Was something refused a moment ago? It would be again.
local function is_paused(self)
  local is_early = self.resume_at and self.client:now() < self.resume_at
  if is_early then self.client:wake(self.resume_at) end
  self.resume_at = is_early and self.resume_at
  return is_early
end

--- Sends what can be sent now.
function Requests:dispatch()
  batching.send(self)
  local search = self.client.search
  local connection = search:usable()
  if not connection then
    if self.queue:is_empty() then return end
    search:begin()
    local any = search:any()
    return any and not is_paused(self) and dispatch_anywhere(self, any)
  end
  local queue = self.queue
  while not queue:is_empty() and not is_paused(self) do
    if not self.is_sorted then sort(self) end
    if not dispatch_one(self, connection, queue:peek()) then break end
  end
  flush(self, connection)
end

-------------------------------------------------------------------- the end --

local function all_open(self)
  local all = {}
  local function add(request)
    if request.answer then all[#all + 1] = request end
  end
  self.queue:each(add)
  for _, request in pairs(self.flying) do add(request) end
  table.sort(all, function(a, b) return a.order < b.order end)
  return all
end

--- Answers those whose time is over; the next deadline, or nil.
function Requests:sweep(now)
  if not self.soonest or now < self.soonest then return self.soonest or nil end
  self.soonest = false
  batching.sweep(self, now)
  for _, request in ipairs(all_open(self)) do
    local deadline = request.deadline
    if deadline and deadline <= now then
      self:answer(request, errors.new("timeout", (request.sends == 0
        and "no answer in time, and it was never sent: "
        or "no answer in time: ") .. self.client.search.trouble))
    else
      self:note_deadline(deadline)
    end
  end
  return self.soonest or nil
end

--- Answers all. make_error(is_sent) says what.
function Requests:finish(make_error)
  batching.end_all(self)
  unsend(self)
  for _, request in ipairs(all_open(self)) do
    self:answer(request, make_error(request.sends > 0))
  end
end

return M
