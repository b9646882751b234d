--- Where a client is connected: the search for who leads.
--
-- One connection at a time. Any node says who leads and where, and says it
-- again when that changes; the client goes there. Where the leader cannot be
-- reached from here, another node passes requests on. A node that knows of no
-- leader is left after a while: perhaps it is cut off from the others.
local Backoff = require "raft.transport.backoff"
local Connection = require "raft.client.connection"
local frames = require "raft.client.frames"

local M = {}

local HEAD <const> = frames.KINDS.head
local HEAD_ID <const> = 1        -- of the request for the head
local PATIENCE_MS <const> = 1500 -- with a node that knows of no leader
local AVOID_MS <const> = 1000    -- a leader that could not be reached,
local AVOID_MS_MAX <const> = 60000  -- twice as long each time
local DIAL_MIN_MS <const> = 20
local DIAL_MAX_MS <const> = 1000
local MOVES_FREE <const> = 2     -- from node to node without a wait

local Search = { __name = "raft.client.search" }
Search.__index = Search

--- @param client sockets, id, cluster; changed(): look again what can be sent;
--   met(identity): a node of this cluster, false where it has not formed;
--   requests, which take what is answered; lost(): what was on its way is not
-- @param addresses where to look at first
function M.new(client, addresses)
  return setmetatable({
    client = client,
    addresses = table.move(addresses, 1, #addresses, 1, {}),
    place = 0,          -- of the address that was dialed last, in turn
    ended = false,      -- the address of the connection that has just ended
    connection = false, -- the one there is, in whatever state
    avoided = {},       -- address -> { till =, ms = }: not gone to before that
    backoff = Backoff.new(DIAL_MIN_MS, DIAL_MAX_MS),
    timer = false,      -- ends a wait, or our patience
    moves = 0,          -- since somebody was of use
    trouble = "nothing was tried yet",  -- the last, in words
    refusals = 0,       -- in a row; every address has refused us?
    refusal = false,    -- the last of them
    is_over = false,
  }, Search)
end

local function stop_timer(self)
  if self.timer then self.client.sockets:close(self.timer) end
  self.timer = false
end

local function after(self, ms, fn)
  stop_timer(self)
  self.timer = self.client.sockets:timer()
  self.client.sockets:start(self.timer, ms, 0, function()
    stop_timer(self)
    fn()
  end)
end

-------------------------------------------------------------------- dialing --

local function dial(self, where)
  local client = self.client
  self.trouble = "no answer from " .. where
  self.connection = Connection.dial {
    sockets = client.sockets, id = client.id, cluster = client.cluster,
    where = where,
    opened = function(connection) self:opened(connection) end,
    result = function(connection, id, number, ok, value, why)
      if id == HEAD_ID then return self:heard(connection, ok and value) end
      client.requests:result(id, number, ok, value, why)
    end,
    results = function(connection, first, count, number, values, whys)
      if first == HEAD_ID then self:heard(connection, values[1]) end
      client.requests:results(first, count, number, values, whys)
    end,
    heard = function() client:changed() end,
    closed = function(_, reason, refusal)
      self:closed(where, reason, refusal)
    end,
  }
end

-- For how many ms we do not go there.
local function avoided_for(self, where)
  local known = self.avoided[where]
  return known and math.max(0, known.till - self.client.sockets:now()) or 0
end

-- In turn; who is not there, or was not a moment ago, comes after the others: a
-- machine that is off does not even refuse.
local function dial_next(self)
  local count, first = #self.addresses, self.place
  repeat
    self.place = self.place % count + 1
    local where = self.addresses[self.place]
    local is_fine = where ~= self.ended and avoided_for(self, where) == 0
  until is_fine or self.place == math.max(first, 1)
  self.ended = false
  dial(self, self.addresses[self.place])
end

--- Somebody wants to ask something: looks for whom.
function Search:begin()
  if self.connection or self.timer or self.is_over then return end
  dial_next(self)
end

-- Leaves where we are; what was on its way there is not answered.
local function leave(self)
  local connection = self.connection
  self.connection = false
  stop_timer(self)
  if not connection then return end
  connection:close("elsewhere", nil, true)
  self.client:lost()
end

local function wait_and_dial(self)
  local delay = self.backoff:next(self.client.sockets:random())
  after(self, delay, function() dial_next(self) end)
end

-- There is nobody there, or not for us.
local function avoid(self, where)
  local known = self.avoided[where]
  local ms = known and math.min(2 * known.ms, AVOID_MS_MAX) or AVOID_MS
  self.avoided[where] = { till = self.client.sockets:now() + ms, ms = ms }
end

--- The connection has ended.
function Search:closed(where, reason, refusal)
  local was_open = self.connection and self.connection.head ~= false
  self.trouble = ("%s: %s"):format(where, reason)
  self.client.logger:log(refusal and "warn" or "debug", "no connection",
    { address = where, reason = reason })
  self.connection, self.ended = false, where
  stop_timer(self)
  if not was_open then avoid(self, where) end
  self.refusals = refusal and self.refusals + 1 or 0
  self.refusal = refusal or false
  self.client:lost()
  if self.is_over then return end
  wait_and_dial(self)
end

--- Goes to another address, with a pause where we go to and fro.
function Search:move(where)
  leave(self)
  self.moves = self.moves + 1
  if self.moves <= MOVES_FREE then return dial(self, where) end
  after(self, self.backoff:next(self.client.sockets:random()),
    function() dial(self, where) end)
end

-------------------------------------------------------------------- heads --

-- Who is of no use after a while is left.
local function give_time(self)
  if self.timer then return end
  after(self, PATIENCE_MS, function()
    leave(self)
    dial_next(self)
  end)
end

function Search:opened(connection)
  self.refusals = 0
  self.avoided[connection.where] = nil
  self.client:met(connection.identity)
  connection.writer:frame(HEAD, HEAD_ID, 0, "")
  connection:flush()
  self.trouble = connection.where .. " does not say who leads"
  give_time(self)
end

local function address_of(member)
  return type(member) == "table" and member.address or member
end

-- Is this what a node says of itself? Perhaps none listens there.
local function is_head(head)
  if type(head) ~= "table" or type(head.id) ~= "string"
    or type(head.ping_ms) ~= "number" or head.ping_ms < 1
    or type(head.members) ~= "table" then
    return false
  end
  for id, member in pairs(head.members) do  -- no order is seen
    if type(id) ~= "string" or type(address_of(member)) ~= "string" then
      return false
    end
  end
  return (not head.leader or type(head.leader) == "string")
    and (not head.address or type(head.address) == "string")
    and math.type(head.max_command_bytes or 1) == "integer"
end

-- Addresses of members that we had not heard of.
local function learn(self, members)
  local known = {}
  for _, where in ipairs(self.addresses) do known[where] = true end
  local ids = {}
  for id in pairs(members) do ids[#ids + 1] = id end
  table.sort(ids)
  for _, id in ipairs(ids) do
    local where = address_of(members[id])
    if not known[where] then self.addresses[#self.addresses + 1] = where end
  end
end

-- Nobody leads, as far as this node knows: it is given some time.
local function have_patience(self, head)
  self.trouble = head.id .. " knows of no leader"
  give_time(self)
end

-- Another node leads: we go there, at once or as soon as that is worth a try.
local function follow(self, where)
  local wait_ms = avoided_for(self, where)
  self.trouble = "no answer from " .. where
  if wait_ms == 0 then return self:move(where) end
  after(self, wait_ms, function() self:move(where) end)
  self.client:changed()
end

--- A node has said who leads.
-- @param head what it said; anything may come
function Search:heard(connection, head)
  if not is_head(head) then return connection:close("bad frame") end
  if not connection.head then connection:expect_pings(head.ping_ms) end
  connection.head = head
  learn(self, head.members)
  if not head.leader then
    have_patience(self, head)
  else
    stop_timer(self)
    local is_elsewhere = head.leader ~= head.id and head.address
    if is_elsewhere then return follow(self, head.address) end
    self.backoff:reset()
    self.moves, self.trouble = 0, "no answer from " .. connection.where
    self.client.logger:debug("the leader is here", { node = head.id })
  end
  self.client:changed()
end

--- The connection on which anything can be asked; or nil.
function Search:usable()
  local connection = self.connection
  return connection and connection.head and connection.head.leader
    and connection or nil
end

--- One on which a node answers for itself; or nil.
function Search:any()
  local connection = self.connection
  return connection and connection.head and connection or nil
end

--- The node there does not lead any more, whatever it said.
function Search:misled()
  local connection = self.connection
  if connection and connection.head then
    connection.head.leader = nil
    have_patience(self, connection.head)
  end
end

--- Have all addresses refused us, for a reason that stays? It, or nil.
function Search:hopeless()
  local refusal = self.refusal
  if refusal and refusal.code ~= "busy" and self.refusals >= #self.addresses
  then
    return refusal
  end
end

--- Ends the connection, and looks no more.
function Search:close()
  self.is_over = true
  stop_timer(self)
  local connection = self.connection
  self.connection = false
  if connection then connection:close("closing", nil, true) end
end

return M
