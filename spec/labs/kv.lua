--- The key-value service of the labs, its clerks, and the test that all of
-- kvraft is made of.
--
-- A clerk is a raft.client on a machine of its own: it finds who leads, and
-- sends again what was not answered. The service knows nothing of that; that a
-- retry is no second Append is the library's doing. On an unreliable network
-- the wires of a clerk fail with 10 % on the way there, and with 10 % back; TCP
-- then sends again, or gives up and has the clerk connect anew.
local codec = require "raft.codec"
local labs = require "spec.labs.harness"
local linearizable = require "raft.sim.linearizable"
local models = require "raft.sim.models"

local M = {}

M.MAXRAFTSTATE = 1000           -- bytes of log between two snapshots
local LOSS <const> = 0.1        -- share of requests, and of answers
local LOST_MS <const> = 300     -- for which a wire fails, at most
local UNRELIABLE <const> = { rto_ms = 20, timeout_ms = 150 }  -- TCP's patience
local STEPS_MAX <const> = 100000 -- of the checker, for a key: about 1 s, as
                                -- in the labs; here who gives up has failed
local ROUNDS <const> = 3        -- of a test
local ROUND_MS <const> = 1000   -- of clients at work
local THINK_MS <const> = 66     -- between two operations of a client, at most;
                                -- by which it is as fast as Speed4B demands
local SPLIT_MS <const> = 200    -- between two partitions: 1 s and up to that

-------------------------------------------------------------------- servers --

local function apply_to(state, command)
  local request = codec.decode(command)
  local key, value = request.key, request.value
  if request.op == "append" then value = (state[key] or "") .. value end
  state[key] = value
  return true
end

--- What a server is.
function M.node()
  local state = {}
  return {
    apply = function(command) return apply_to(state, command) end,
    query = function(key) return state[key] end,
  }
end

--- The same with snapshots, taken when its log has grown to maxraftstate. What
-- one of them held at most is in t.snapshot_bytes, how many were taken or
-- restored in t.snapshots and t.restores.
function M.node_with_snapshots(t)
  local state = {}
  t.snapshot_bytes, t.snapshots = t.snapshot_bytes or 0, t.snapshots or 0
  t.restores = t.restores or 0
  return {
    apply = function(command) return apply_to(state, command) end,
    query = function(key) return state[key] end,
    snapshot_bytes = M.MAXRAFTSTATE, snapshot_mode = "inline",
    snapshot = function()
      local bytes = codec.encode(state)
      t.snapshots = t.snapshots + 1
      t.snapshot_bytes = math.max(t.snapshot_bytes, #bytes)
      return bytes
    end,
    restore = function(bytes)
      state = codec.decode(bytes)
      t.restores = t.restores + 1
    end,
  }
end

--- Is the log of each server as short as snapshots should keep it? Eight times
-- maxraftstate, as in the labs; but a state that is larger than that is not
-- written before the log is four times as large.
function M.check_log_size(t)
  local max = 8 * math.max(M.MAXRAFTSTATE, t.snapshot_bytes)
  t:each(function(id)
    local bytes = t:log_bytes(id) or 0
    labs.expect(bytes <= max, "the log of %s has %d bytes, %d at most", id,
      bytes, max)
  end)
end

--------------------------------------------------------------------- clerks --

local Clerk = { __name = "labs.clerk" }
Clerk.__index = Clerk

--- A clerk.
-- @param servers the ids it can reach until all are connected; all by default
function M.clerk(t, name, servers)
  local self = setmetatable({ t = t, name = name,
    client = t.s:client("clerk " .. name) }, Clerk)
  t:each(function(id)
    local ip = t.s.members[id].ip
    t.s.network:set(t.is_unreliable and UNRELIABLE or {}, self.client.ip, ip)
    t.s.network:set(t.is_unreliable and UNRELIABLE or {}, ip, self.client.ip)
  end)
  if servers then self:stay_with(servers) end
  return self
end

--- It reaches these and no others, as a partition has it.
function Clerk:stay_with(servers)
  local t, reached = self.t, {}
  for _, id in ipairs(servers) do reached[id] = true end
  t:each(function(id)
    if not reached[id] then t.s:cut(self.client.name, id) end
  end)
end

-- On an unreliable network: a request takes its time, and may be lost on one
-- way or the other.
local function disturb(self)
  local t = self.t
  if not t.is_unreliable then return end
  t:sleep(t.random:below(27))
  for _, way in ipairs { "to", "from" } do
    if t.random:chance(LOSS) then
      t.s.clients:cut(self.client, t.s.ids, way, 1 + t.random:below(LOST_MS))
    end
  end
end

-- Asks for as long as it takes.
local function ask(self, call, argument)
  disturb(self)
  local result, err = self.client[call](self.client, argument,
    { timeout = false })
  labs.expect(not err, "%s: %s", self.name, tostring(err))
  return result
end

local function recorded(self, input, key, fn)
  local t = self.t
  t.moments = t.moments + 1
  local operation = { client = self.name, key = key, input = input,
    call = t.moments, back = false, outcome = "unknown" }
  t.history[#t.history + 1] = operation
  operation.output = fn()
  t.moments = t.moments + 1
  operation.back, operation.outcome = t.moments, "ok"
  return operation.output
end

local function write(self, op, key, value)
  local command = codec.encode { op = op, key = key, value = value }
  recorded(self, { op = op, value = value }, key, function()
    return ask(self, "propose", command)
  end)
end

function Clerk:put(key, value) write(self, "put", key, value) end
function Clerk:append(key, value) write(self, "append", key, value) end

function Clerk:get(key)
  return recorded(self, { op = "get" }, key, function()
    return ask(self, "query", key)
  end)
end

--- Can what the clerks saw be explained by one order?
function M.check(t)
  local verdict, info = linearizable.check(t.history, models.kv(),
    { steps_max = STEPS_MAX })
  labs.expect(verdict == "ok", "not linearizable: %s", info.text)
end

-------------------------------------------------------------- a usual test --

-- What the client c does once, on its own key; keeps in mind what is there.
local function step_own(clerk, mine, random)
  if random:chance(0.5) then
    local text = ("x %s %d y"):format(clerk.name, mine.count)
    clerk:append(mine.key, text)
    mine.count, mine.value = mine.count + 1, mine.value .. text
  else
    local got = clerk:get(mine.key)
    labs.expect(got == mine.value, "%s: got %q, expected %q", clerk.name,
      tostring(got), mine.value)
  end
end

-- The same on any of 100 keys.
local function step_random(clerk, mine, random)
  local key = tostring(random:below(100))
  mine.count = mine.count + 1
  local text = ("x %s %d y"):format(clerk.name, mine.count)
  local kind = random:below(10)
  if kind < 5 then
    clerk:append(key, text)
  elseif kind == 5 then
    clerk:put(key, text)
  else
    clerk:get(key)
  end
end

local function client(t, clerk, options, is_over)
  local mine = { key = clerk.name, value = "", count = 0 }
  local step = options.random_keys and step_random or step_own
  if not options.random_keys then clerk:put(mine.key, "") end
  repeat
    step(clerk, mine, t.random)
    t:sleep(t.random:below(THINK_MS + 1))
  until is_over()
  if options.random_keys then return end
  local got = clerk:get(mine.key)
  labs.expect(got == mine.value, "%s: got %q at the end, expected %q",
    clerk.name, tostring(got), mine.value)
end

-- Two groups, drawn, every second or so.
local function partition_again_and_again(t, is_over)
  while not is_over() do
    local groups = { {}, {} }
    t:each(function(id)
      table.insert(groups[1 + t.random:below(2)], id)
    end)
    t.s:partition(groups[1], groups[2])
    t:sleep(labs.ELECTION_MS + t.random:below(SPLIT_MS))
  end
end

local function crash_all(t)
  t:crash(table.unpack(t.s.ids))
  t:sleep(labs.ELECTION_MS)
  t:restart(table.unpack(t.s.ids))
end

local function one_round(t, round, options)
  local is_over, tasks = false, {}
  local function over() return is_over end
  for i = 1, options.clients do
    local clerk = M.clerk(t, ("%d/%d"):format(round, i))
    tasks[i] = t:spawn(function() client(t, clerk, options, over) end)
  end
  if options.partitions then
    t:sleep(ROUND_MS)  -- something to disturb
    tasks[#tasks + 1] = t:spawn(function()
      partition_again_and_again(t, over)
    end)
  end
  t:sleep(ROUND_MS)
  is_over = true
  if options.partitions then
    t:join { table.remove(tasks) }
    t:connect_all()
    t:sleep(labs.ELECTION_MS)
  end
  if options.crash then crash_all(t) end
  t:join(tasks)
end

--- GenericTest of the labs: clients at work, partitions, all servers crash.
-- @param options clients, partitions, crash, random_keys
function M.generic(t, options)
  for round = 1, ROUNDS do
    one_round(t, round, options)
    if options.has_snapshots then M.check_log_size(t) end
  end
  M.check(t)
end

return M
