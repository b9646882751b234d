--- Swarm testing: each seed turns every class of fault on with one half, and
-- draws its rate by order of magnitude. Runs in which little is on go deep in
-- that little; runs with everything on are not the only ones.
local M = {}

--- The classes of faults.
M.CLASSES = { "loss", "duplicate", "reorder", "delay", "crash", "power",
  "crash_at", "partition", "one_way", "pause", "clock", "wall", "stall",
  "slow_disk", "disk_error", "rot", "snapshot", "change", "wipe",
  "roll_back", "client_cut", "client_pause" }

local SNAPSHOT_BYTES <const> = { 1000, 20000 }  -- of log, between two
local CLIENTS_MAX <const> = 60  -- a number that five, or six, divide
local INITIAL_MIN <const> = 3  -- who form the cluster, where others come later

--- Which classes are on.
-- @param random a stream
-- @return class -> rate of (0, 1], or false
function M.draw(random)
  local on = {}
  for _, class in ipairs(M.CLASSES) do
    local rate = random:log_uniform(0.01, 1)
    on[class] = random:chance(0.5) and rate
  end
  return on
end

--- The options of raft.sim.new that follow from the classes.
-- @param election_ms longest election time-out
function M.options(on, random, election_ms)
  local delay_max = on.delay and 1 + on.delay * 2 * election_ms or 2
  return {
    network = {
      delay = { 0.05, delay_max },
      loss = on.loss and on.loss / 2 or 0,
      duplicate = on.duplicate and on.duplicate / 2 or 0,
      reorder_ms = on.reorder and math.ceil(on.reorder * election_ms) or 0,
    },
    disk = {
      sync = on.slow_disk and { 1, 1 + 200 * on.slow_disk } or { 0.1, 1 },
      torn = random:chance(0.5),
    },
    clock = {
      rate_ppm = on.clock and math.ceil(on.clock * 100000) or 0,
      offset_ms = on.wall and math.ceil(on.wall * 3600000) or 0,
    },
    may_fail = on.disk_error and true or false,
  }
end

--- How snapshots are taken, where a node can and does not say so itself; nil:
-- as rarely as by default.
function M.snapshots(on, random)
  if not on.snapshot then return nil end
  return { mode = random:pick { "inline", "fork" },
    bytes = math.ceil(random:log_uniform(table.unpack(SNAPSHOT_BYTES))) }
end

--- How many of the nodes form the cluster.
function M.initial(on, random, nodes)
  if not on.change or nodes <= INITIAL_MIN then return nodes end
  return random:between(INITIAL_MIN, nodes)
end

-------------------------------------------------------------------- the plan --

-- Kind of event -> function(random, ids) that draws what it needs, as a table.
local draw = {}

function draw.crash(random, ids)
  return { id = random:pick(ids), how = "process" }
end

function draw.power(random, ids)
  return { id = random:pick(ids), how = "power" }
end

function draw.crash_at(random, ids)
  return { id = random:pick(ids), operation = random:between(1, 40),
    down_ms = math.ceil(random:log_uniform(1, 5000)) }
end

function draw.partition(random, ids)
  local order = random:shuffled(ids)
  local size = random:between(1, #ids - 1)
  return { groups = { { table.unpack(order, 1, size) },
    { table.unpack(order, size + 1) } } }
end

function draw.one_way(random, ids)
  local order = random:shuffled(ids)
  return { from = order[1], to = order[2] }
end

function draw.pause(random, ids)
  return { id = random:pick(ids), ms = random:between(1, 5000) }
end

function draw.stall(random, ids)
  return { id = random:pick(ids), ms = random:between(1, 5000) }
end

function draw.disk_error(random, ids)
  return { id = random:pick(ids),
    call = random:pick { "write", "fsync", "open" } }
end

function draw.rot(random, ids)
  return { id = random:pick(ids) }
end

function draw.wipe(random, ids)
  return { id = random:pick(ids) }
end

function draw.roll_back(random, ids)
  return { id = random:pick(ids) }
end

local WISHES <const> = { "add", "add", "add", "remove", "replace", "role",
  "role", "move", "quorum", "quorum", "settings" }

-- The fields of all wishes, so that each event draws as much as another.
function draw.change(random, ids)
  local order = random:shuffled(ids)
  return {
    what = random:pick(WISHES), id = order[1], other = order[2] or order[1],
    role = random:pick { "voter", "voter", "voter", "learner", "witness" },
    priority = random:chance(0.2) and random:between(0, 3) or 0,
    is_leader = random:chance(0.3), is_fresh = random:chance(0.5),
    extra = random:pick { 0, 0, 0, 1, 2 },
    election_min_ms = random:between(300, 900),
  }
end

function draw.wall(random, ids)
  return { id = random:pick(ids), ms = random:between(-3600000, 3600000) }
end

-- Some nodes, or all of them: then what is on its way is given up.
function draw.client_cut(random, ids)
  local order = random:shuffled(ids)
  return { client = random:between(1, CLIENTS_MAX),
    ids = { table.unpack(order, 1, random:between(1, #ids)) },
    way = random:pick { "both", "to", "from" },
    ms = math.ceil(random:log_uniform(1, 10000)) }
end

function draw.client_pause(random)
  return { client = random:between(1, CLIENTS_MAX),
    ms = math.ceil(random:log_uniform(1, 10000)) }
end

-- What brings back what an event took away: kind -> the event that follows.
local UNDONE_BY <const> = { crash = "restart", power = "restart",
  disk_error = "restart", rot = "restart", wipe = "restart",
  roll_back = "restart", partition = "heal", one_way = "heal" }

local FAULTS_PER_S <const> = 1.5  -- of one class at rate 1

local function add(plan, at_ms, kind, event)
  event.at_ms, event.kind = at_ms, kind
  plan[#plan + 1] = event
end

-- What comes beside an event: a copy before, an operator after.
local function add_beside(plan, random, event)
  local kind = event.kind
  if kind == "roll_back" then
    add(plan, math.max(0, math.floor(event.at_ms - random:log_uniform(100,
      20000))), "keep_copy", { id = event.id })
  end
  if kind == "roll_back" or kind == "wipe" then
    add(plan, math.ceil(event.at_ms + random:log_uniform(100, 10000)), "mend",
      { id = event.id })
  end
end

local function add_class(plan, random, ids, kind, rate, duration_ms)
  local mean_ms = 1000 / (FAULTS_PER_S * rate)
  local at_ms = mean_ms * random:real()
  while at_ms < duration_ms do
    local event = draw[kind](random, ids)
    add(plan, math.ceil(at_ms), kind, event)
    add_beside(plan, random, event)
    local undone_by = UNDONE_BY[kind]
    if undone_by then
      local back_ms = math.ceil(at_ms + random:log_uniform(1, 5000))
      add(plan, back_ms, undone_by, { id = event.id })
    end
    at_ms = at_ms + mean_ms * 2 * random:real() + 1
  end
end

--- What happens when: an array of events { at_ms, kind, ... }, in order.
function M.plan(on, random, ids, duration_ms)
  local plan = {}
  for _, class in ipairs(M.CLASSES) do
    local is_possible = draw[class]
      and (#ids > 1 or (class ~= "partition" and class ~= "one_way"))
    if on[class] and is_possible then
      add_class(plan, random, ids, class, on[class], duration_ms)
    end
  end
  for i, event in ipairs(plan) do event.number = i end
  table.sort(plan, function(a, b)
    if a.at_ms ~= b.at_ms then return a.at_ms < b.at_ms end
    return a.number < b.number
  end)
  return plan
end

return M
