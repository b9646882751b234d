--- The simulator's proof run for clients: raft.client with several requests
-- under way, which are given up and asked for again, whose processes stand
-- still, end and come back, and whose wires to the nodes are cut.
--
--   make sim-clients SEEDS=400 MS=20000      SEED=17 ...: one seed again
--
-- Each history must be that of one store; each command was done once at most,
-- and those of one client object in call order.
local codec = require "raft.codec"
local sim = require "raft.sim"
local swarm = require "spec.sim.swarm"

local M = {}

local CLIENTS <const> = 4
local LANES <const> = 5            -- requests under way of one client, at most
local KEYS <const> = { "a", "b" }
local THINK_MS <const> = 500       -- at most, between two requests of a lane
local TIMEOUT_MS <const> = { 50, 20000 }
local LIFE_MS <const> = { 500, 20000 }  -- of a client object
local HOURS_MS <const> = 3000      -- at most, between two jumps of all clocks
local AN_HOUR_MS <const> = 3600000
local LONG_SEEDS <const> = 20      -- a batch of so many must meet all marks

M.MARKS = { "client_cut", "client_pause", "reconnected", "retried", "gap",
  "expired", "unknown" }

local function timeout(random)
  return math.ceil(random:log_uniform(table.unpack(TIMEOUT_MS)))
end

-- A token that is appended once: who, and the place in call order.
local function token(life)
  life.count = life.count + 1
  return ("%s.%d;"):format(life.name, life.count)
end

-- What a lane does next.
local function step(c, life, random)
  local key, opts = random:pick(KEYS), { timeout = timeout(random) }
  if random:chance(0.3) then return c:query(key, opts) end
  local op = random:chance(0.1) and "put" or "append"
  c:propose(codec.encode { op = op, key = key, value = token(life) },
    opts)
end

-- One client object, from its first request to its end.
local function live(s, name, random, stop_ms)
  local c <close> = s:client(name)
  local life = { name = name, count = 0 }
  local end_ms = math.min(stop_ms, s:now() + random:log_uniform(
    table.unpack(LIFE_MS)))
  local tasks = {}
  for i = 1, LANES do
    tasks[i] = s:spawn(function()
      while s:now() < end_ms do
        step(c, life, random)
        s:sleep(random:between(0, THINK_MS))
      end
    end)
  end
  for _, task in ipairs(tasks) do
    local _, err = task:wait { timeout = false }
    if err then error(err, 0) end
  end
end

-- All sessions are over now, by the log's time.
local function let_hours_pass(s, random, stop_ms)
  while s:now() < stop_ms do
    s:sleep(random:between(1, HOURS_MS))
    for _, id in ipairs(s.ids) do s:jump(id, AN_HOUR_MS) end
  end
end

--- Clients at work for so long, one life after another.
function M.workload(ms)
  return function(s, random)
    local stop_ms, left = s:now() + ms, CLIENTS
    for i = 1, CLIENTS do
      s:spawn(function()
        local own, lives = random:derive("client " .. i), 0
        while s:now() < stop_ms do
          lives = lives + 1
          live(s, ("c%d/%d"):format(i, lives), own, stop_ms)
        end
        left = left - 1
      end)
    end
    if random:chance(0.3) then
      s:spawn(function()
        let_hours_pass(s, random:derive("hours"), stop_ms)
      end)
    end
    s:wait(function() return left == 0 end, ms + 60000)
    assert(left == 0, "a request was never answered")
  end
end

-- Is each token there once, and those of a client in call order?
local function check_order(value)
  local last = {}
  for name, number in value:gmatch("([^;]-)%.(%d+);") do
    number = tonumber(number)
    if number <= (last[name] or 0) then
      return nil, ("%s.%d comes behind %s.%d in %q"):format(name, number, name,
        last[name], value)
    end
    last[name] = number
  end
  return true
end

--- Is the history that of one store, of commands that were done once and in
-- call order?
function M.check(s)
  for _, o in ipairs(s:history()) do
    if type(o.output) == "string" then
      local ok, why = check_order(o.output)
      if not ok then return nil, why end
    end
  end
  return swarm.check(s)
end

--- Runs these seeds: as sim.explore has it.
-- @param options more of that, if wanted
function M.explore(seeds, ms, options)
  local all = { seeds = seeds, nodes = 3, node = swarm.node, duration_ms = ms,
    workload = M.workload(ms), check = M.check,
    probe = codec.encode { op = "none" } }
  for name, value in pairs(options or {}) do all[name] = value end
  return sim.explore(all)
end

local function main(args)
  local count, ms = tonumber(args[1] or 40), tonumber(args[2] or 20000)
  local report, err = M.explore(count // 1 | 0, ms // 1 | 0,
    { marks = count >= LONG_SEEDS and M.MARKS or nil })
  if not report then
    print(err.missing and err.message or "1 failed")
    return false
  end
  print(report.marks:words())
  print(("%d passed, 0 failed, 0 skipped"):format(report.seeds))
  return true
end

if arg and arg[0] and arg[0]:find("spec/sim/clients%.lua$") then
  os.exit(main(arg))
end

return M
