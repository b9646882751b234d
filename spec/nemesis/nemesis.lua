--- One run: a cluster, its clients, faults for a while, then the judgement.
local Clients = require "spec.nemesis.clients"
local Cluster = require "spec.nemesis.cluster"
local Dice = require "spec.support.dice"
local judge = require "spec.nemesis.judge"
local menu = require "spec.nemesis.menu"
local raft = require "raft"
local wait = require "spec.support.wait"

local M = {}

local CLIENTS <const> = 8
local AT_ONCE_MAX <const> = 2                              -- faults
local PAUSE_MS_MIN <const>, PAUSE_MS_MAX <const> = 50, 500 -- between two
local FAULT_MS_MIN <const>, FAULT_MS_MAX <const> = 200, 1500
local STEP_MS <const> = 20      -- between two looks at the processes
local DOOM_MS <const> = 10000   -- for a node to end once its disk has failed
local FIRST_MS <const> = 15000  -- to the first leader
local STRIKES <const> = { "refuse", "tear", "late", "full", "slow", "direct",
  "lies" }

-- Purposes of dice.
local PLAN <const>, PORTS <const> = 1, 2

local Run = { __name = "nemesis.run" }
Run.__index = Run

local function new_run(options)
  local self
  self = setmetatable({
    seconds = options.seconds,
    seed = options.seed,
    dice = Dice.new(options.seed, PLAN),
    cluster = false,
    clients = false,
    deck = {},         -- names of kinds, to be drawn; all before any again
    active = {},       -- { name=, ends=, undo= }
    tally = {},        -- name -> how often
    faults = 0,        -- how many began
    ok = 0,            -- operations, until the heal
    doomed = {},       -- process -> since when its disk has failed, in ms
    complaints = {},
    story = {},        -- what was done, a line each
    counts = false,    -- operations by outcome
    gap_ms = 0,        -- the longest time without an ok, until the heal
    struck = {},       -- words: what the controls have counted
    agreed = false,    -- writes that all nodes have
    checked = "no",    -- words: what the checker saw
  }, Run)
  self.cluster = Cluster.new {
    nodes = options.nodes, lua = options.lua, shim = options.shim,
    dice = Dice.new(options.seed, PORTS),
    answered = function(name, words) self.clients:answered(name, words) end,
    fault = function(text, process) self:complain(text, process) end,
  }
  self.clients = Clients.new { count = CLIENTS, seed = options.seed,
    process = function(dice)
      local list = self.cluster:running()
      return list[1] and dice:pick(list)
    end }
  return self
end

function Run:tell(text, ...)
  self.story[#self.story + 1] = ("%8.0f ms  "):format(self.clients:now())
    .. text:format(...)
end

function Run:complain(text, process)
  self:tell("%s", text)
  local lines = process and process.errors or {}
  self.complaints[#self.complaints + 1] = text .. (#lines > 0
    and ("; it said:\n" .. table.concat(lines, "\n")) or "")
end

-------------------------------------------------------------------- faults --

function Run:draw()
  if #self.deck == 0 then self.deck = self.dice:shuffled(menu.names) end
  return table.remove(self.deck)
end

-- Begins one fault. What cannot be had now is drawn again later.
function Run:strike()
  local name = self:draw()
  local ms = self.dice:integer(FAULT_MS_MIN, FAULT_MS_MAX)
  local undo = menu.kinds[name](self.cluster, self.dice)
  if not undo then return table.insert(self.deck, 1, name) end
  self.tally[name] = (self.tally[name] or 0) + 1
  self.faults = self.faults + 1
  self.active[#self.active + 1] = { name = name, undo = undo,
    ends = self.clients:now() + ms }
  self:tell("%s for %d ms", name, ms)
end

-- Ends the faults whose time is over; all of them, if wanted.
function Run:relent(is_all)
  local left = {}
  for _, fault in ipairs(self.active) do
    if is_all or fault.ends <= self.clients:now() then
      fault.undo()
      self:tell("%s is over", fault.name)
    else
      left[#left + 1] = fault
    end
  end
  self.active = left
end

-- A node whose disk has failed must end, and soon.
function Run:watch(process)
  if process.has_ended or process.is_stopped or not process:must_end() then
    self.doomed[process] = nil
    return
  end
  local now = self.clients:now()
  local since = self.doomed[process] or now
  self.doomed[process] = since
  if now - since > DOOM_MS then
    self:complain(process.id .. " goes on after its disk has failed", process)
    process:kill()
  end
end

-- Starts who has ended and is not held down, and keeps a change going.
function Run:keep()
  self.cluster:tend(self.dice)
  for _, id in ipairs({ table.unpack(self.cluster.ids) }) do
    local process = self.cluster:process(id)
    self:watch(process)
    local is_free = (self.cluster.held[id] or 0) == 0
    if process:is_over() and is_free then
      self:tell("%s starts again", id)
      self.cluster:start(id)
    end
  end
end

-- The time of faults. A defect that shows at once ends it.
function Run:rage()
  local over = self.clients:now() + self.seconds * 1000
  local strike_at = 0
  while self.clients:now() < over and #self.complaints == 0 do
    self:relent()
    self:keep()
    if self.clients:now() >= strike_at and #self.active < AT_ONCE_MAX then
      self:strike()
      strike_at = self.clients:now()
        + self.dice:integer(PAUSE_MS_MIN, PAUSE_MS_MAX)
    end
    raft.sleep(STEP_MS)
  end
  self:relent(true)
end

------------------------------------------------------------------ the whole --

function Run:begin()
  self.cluster:start_all()
  wait.must(function() return self.cluster:leader() end, FIRST_MS,
    "the first leader")
  self.clients:start()
end

-- What raises is a complaint, and keeps nothing else from being judged.
function Run:attempt(fn)
  local ok, err = xpcall(fn, debug.traceback)
  if not ok then self:complain(tostring(err)) end
end

-- The faults are over: what must be so now.
function Run:conclude()
  local cluster, clients, complaints = self.cluster, self.clients,
    self.complaints
  self.ok, self.counts = clients.counts.ok, clients.counts
  self.gap_ms = math.max(clients.gap_ms, clients:now() - clients.last_ok)
  self:tell("heal")
  self:attempt(function()
    cluster:heal()
    judge.change_ends(cluster, self.dice, complaints)
    judge.comes_back(cluster, clients, complaints)
  end)
  clients:stop()
  wait.try(function() return clients:are_quiet() end, DOOM_MS, "the clients")
  self:attempt(function()
    self.agreed = judge.agree(cluster, complaints)
    judge.keep_promises(cluster, clients, complaints)
  end)
  self.checked = judge.is_linearizable(clients, complaints)
  for i, mode in ipairs(STRIKES) do
    self.struck[i] = mode .. " " .. cluster:struck(mode)
  end
  if #complaints == 0 then judge.is_not_dull(self, complaints) end
end

--- Runs one. Call it in raft.run.
-- @param options seconds, seed, nodes, lua, shim
-- @return a table: complaints, story, dir (kept when there are complaints),
--   and figures
function M.run(options)
  local run = new_run(options)
  run:attempt(function()
    run:begin()
    run:rage()
  end)
  run:conclude()
  run.clients:close()
  run.dir = run.cluster.dir.path
  run.cluster:close(#run.complaints > 0)
  return run
end

--- 3 nodes for an odd seed, 5 for an even one.
function M.nodes(seed)
  return seed % 2 == 1 and 3 or 5
end

return M
