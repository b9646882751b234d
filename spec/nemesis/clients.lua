--- The clients of the nemesis: each has one operation under way, sends it to
-- any node, and notes what became of it. Together they are a history.
--
-- A write whose end is not known overlaps everything after it, so a key is
-- left for a new one once it has two of these. No more than ten operations
-- overlap on a key.
local Dice = require "spec.support.dice"
local uv = require "luv"

local M = {}

local SLOTS <const> = 5            -- keys in use at a time
local KEY_OPS_MAX <const> = 150    -- then a key is left
local KEY_UNKNOWN_MAX <const> = 2
local PAUSE_MS_MAX <const> = 10    -- between two operations of a client
local PATIENCE_MS <const> = 2500   -- then the end of an operation is unknown

local Clients = { __name = "nemesis.clients" }
Clients.__index = Clients

--- @param options count, seed, process(dice) -> where to send, or nil
function M.new(options)
  local self = setmetatable({
    pick_process = options.process,
    history = {},        -- for raft.sim.linearizable; reads that failed apart
    counts = { ok = 0, error = 0, unknown = 0 },
    writes = {},         -- name -> outcome
    slots = {},          -- { key=, generation=, ops=, unknown=, seen= }
    under_way = {},      -- name -> operation
    all = {},            -- the clients
    began = uv.hrtime(),
    last_ok = 0,         -- ms
    gap_ms = 0,          -- the longest time without an ok
    is_over = false,
  }, Clients)
  for i = 1, SLOTS do self.slots[i] = { number = i, generation = 0 } end
  for i = 1, SLOTS do self:new_key(self.slots[i]) end
  for i = 1, options.count do
    self.all[i] = { id = i, made = 0, timer = assert(uv.new_timer()),
      dice = Dice.new(options.seed, 100 + i) }
  end
  return self
end

function Clients:new_key(slot)
  slot.generation = slot.generation + 1
  slot.key = ("k%d.%d"):format(slot.number, slot.generation)
  slot.ops, slot.unknown, slot.seen = 0, 0, "-"
end

--- Milliseconds since the clients were made.
function Clients:now()
  return (uv.hrtime() - self.began) / 1e6
end

---------------------------------------------------------------- operations --

local KINDS <const> = { "get", "get", "get", "put", "append", "append", "cas" }

local LEASE_ONCE_IN <const> = 2  -- of the reads

local function line_of(op)
  local input = op.input
  local words = { op.name, op.is_lease and "lease" or input.op, op.key }
  if input.op == "cas" then words[4] = input.old end
  words[#words + 1] = input.value
  return table.concat(words, " ")
end

-- What one client will ask next.
function Clients:draw(client)
  local slot = client.dice:pick(self.slots)
  client.made = client.made + 1
  local name = ("c%d.%d"):format(client.id, client.made)
  local kind = client.dice:pick(KINDS)
  local input = { op = kind }
  if kind ~= "get" then input.value = ";" .. name end
  if kind == "cas" then input.old = slot.seen end
  slot.ops = slot.ops + 1
  local op = { client = client.id, name = name, slot = slot, key = slot.key,
    input = input, is_lease = kind == "get" and client.dice:once_in(
      LEASE_ONCE_IN), call = 0, back = false, output = false,
    outcome = "unknown" }
  if slot.ops >= KEY_OPS_MAX then self:new_key(slot) end
  return op
end

function Clients:send(client, process)
  local op = self:draw(client)
  op.owner, op.call = client, self:now()
  self.under_way[op.name] = op
  process:send(line_of(op))
  client.timer:start(PATIENCE_MS, 0, function() self:finish(op, "unknown") end)
end

function Clients:next(client)
  if self.is_over then return end
  local process = self.pick_process(client.dice)
  if process then return self:send(client, process) end
  self:rest(client)
end

function Clients:rest(client)
  client.timer:start(client.dice:integer(0, PAUSE_MS_MAX), 0,
    function() self:next(client) end)
end

--- A node has answered: words as in child.lua. Late answers do not count.
function Clients:answered(name, words)
  local op = self.under_way[name]
  if not op then return end
  if words[1] == "ok" then return self:finish(op, "ok", words[3]) end
  self:finish(op, words[4] == "none" and "error" or "unknown")
end

function Clients:finish(op, outcome, output)
  self.under_way[op.name] = nil
  op.outcome, op.output = outcome, output
  op.back = outcome ~= "unknown" and self:now()
  self:note(op)
  self:rest(op.owner)
end

function Clients:note(op)
  local is_write = op.input.op ~= "get"
  self.counts[op.outcome] = self.counts[op.outcome] + 1
  if is_write then self.writes[op.name] = op.outcome end
  if is_write or op.outcome == "ok" then
    self.history[#self.history + 1] = op
  end
  if op.outcome == "ok" then self:note_ok(op) end
  local is_current = op.slot.key == op.key
  if is_current and is_write and op.outcome == "unknown" then
    op.slot.unknown = op.slot.unknown + 1
    if op.slot.unknown >= KEY_UNKNOWN_MAX then self:new_key(op.slot) end
  end
end

function Clients:note_ok(op)
  self.gap_ms = math.max(self.gap_ms, op.back - self.last_ok)
  self.last_ok = op.back
  local is_news = op.input.op == "get" and op.slot.key == op.key
  if is_news then op.slot.seen = op.output end
end

---------------------------------------------------------------------- life --

function Clients:start()
  self.last_ok = self:now()
  for _, client in ipairs(self.all) do self:next(client) end
end

--- Sends to one node only from now on.
function Clients:aim(process)
  self.pick_process = function() return process end
end

--- How many operations that were asked since then have succeeded.
function Clients:oks_since(ms)
  local count = 0
  for i = #self.history, 1, -1 do
    local op = self.history[i]
    if op.back and op.back < ms then break end
    if op.outcome == "ok" and op.call >= ms then count = count + 1 end
  end
  return count
end

--- No new operations.
function Clients:stop()
  self.is_over = true
end

--- Have all operations come to an end?
function Clients:are_quiet()
  return next(self.under_way) == nil
end

function Clients:close()
  self.is_over = true
  for _, op in pairs(self.under_way) do self:note(op) end
  self.under_way = {}
  for _, client in ipairs(self.all) do client.timer:close() end
end

return M
