--- What crashes leave of a storage's disk, and whether each start from it finds
-- what it must: see spec.storage.life.
--
-- A life is stopped before each operation of its disk, in the middle of writes
-- too. From what is at risk there all disks are built that a power cut could
-- leave: every subset of up to ten unsynced sectors, sizes and changes of
-- names, and random ones of more. Some are opened twice, some after a crash in
-- the recovery, and with some life goes on.
local crash = require "raft.sim.disk.crash"
local Life = require "spec.storage.life"

local M = {}

local ITEMS_MAX <const> = 10     -- of which every subset is tried
local RANDOM_STATES <const> = 48 -- of more items
local TORN_STATES <const> = 3    -- with garbage, at each stop
local GARBAGE <const> = 0.4      -- how likely a sector is, in those
local STEPS <const> = 60         -- things that a life does
local RECOVERY_MAX <const> = 60  -- operations of a recovery, about

local States = { __name = "spec.states" }
States.__index = States

-- What is done once a start has found what it must.
local after = {}

-- What a start has found is durable, whatever comes.
function after.cut(life)
  life.computer:crash("power")
  life:ended()
  life:must_open()
end

-- It can go on, and what it reports then is durable.
function after.go_on(life)
  life:append()
  life:append()
  life.computer:crash("power")
  life:ended()
  life:must_open()
end

local AFTER <const> = { "cut", "go_on" }

-- A start that is cut short by another crash, if it comes so far, and then
-- another start. Was it cut short?
local function open_twice(life, random)
  life:kill_at(random:between(1, RECOVERY_MAX), random:pick { "power",
    "process" })
  local ok, err = life:open()
  if life.is_killed then
    life:ended()
    life:must_open()
    return true
  end
  life.disk.on_operation = false
  if not ok then error(tostring(err), 0) end
  return false
end

--- One disk: opens it, and looks at what is found.
function States:check(image, expected)
  self.count = self.count + 1
  local random = self.life.random
  local life = Life.from(self.count, image, expected, self.bend)
  if random:chance(0.2) then
    local is_cut = open_twice(life, random)
    self.recrashed = self.recrashed + (is_cut and 1 or 0)
  else
    life:must_open()
  end
  if random:chance(0.1) then after[random:pick(AFTER)](life) end
end

-- Which items are kept, as a bit each.
local function subset(mask, count)
  local kept = {}
  for i = 1, count do kept[i] = mask >> (i - 1) & 1 == 1 or nil end
  return kept
end

local function each_choice(self, items, fn)
  local random, count = self.life.random, #items
  if count <= ITEMS_MAX then
    for mask = 0, (1 << count) - 1 do fn(subset(mask, count)) end
  else
    fn(subset(0, count))
    fn(subset(-1, math.min(count, 64)))
    for _ = 1, RANDOM_STATES do fn((crash.random(items, random, 0))) end
  end
  if count == 0 then return end
  for _ = 1, TORN_STATES do fn((crash.random(items, random, GARBAGE))) end
end

local function describe(items, kept)
  local list = {}
  for i, item in ipairs(items) do
    local fate = kept[i] == nil and "old" or kept[i] == true and "new"
      or "garbage"
    list[#list + 1] = item.kind == "name" and item.change.what .. " " .. fate
      or ("%s of inode %d %s %s"):format(item.kind, item.file.number,
        item.page and item.page * 8 + item.sector or item.file.size, fate)
  end
  return table.concat(list, "\n  ")
end

-- What the disk and the expectations hang on: the same again, nothing new.
local function version(life)
  local counts = life.disk.counts
  return ("%d %d %d %d %d %s"):format(counts.bytes, counts.syncs,
    life.disk.tree.changes, life.reported, life.starts,
    life.adopting or life.identity or "")
end

-- Life stands still before an operation.
function States:stop(number, name, path)
  local life = self.life
  local now = version(life)
  if now == self.version or self.count >= self.count_max then return end
  self.version = now
  self.stops = self.stops + 1
  local tree, expected = life.disk.tree, life:expectation()
  local items = crash.items(tree)
  self.items_max = math.max(self.items_max, #items)
  each_choice(self, items, function(kept)
    local ok, err = pcall(self.check, self, crash.survivor(tree, items, kept),
      expected)
    if ok then return end
    error(("seed %d, before operation %d (%s %s), with\n  %s\n%s"):format(
      self.seed, number, name, path, describe(items, kept), tostring(err)), 0)
  end)
end

local function new(count_max, bend)
  return setmetatable({
    count_max = count_max,
    bend = bend,         -- what is wrong with the calls, or nil
    count = 0,           -- disks looked at
    recrashed = 0,       -- of these, with a crash in the recovery
    stops = 0,           -- places where life was stopped
    items_max = 0,       -- most that was at risk at one of them
    lives = 0,
    life = false,
    seed = 0,
    version = "",
  }, States)
end

-- Errors inside a callback of the storage would only fail that storage.
local function live(self)
  local life, wrong = self.life, nil
  life.disk.on_operation = function(...)
    if wrong then return end
    local ok, err = pcall(self.stop, self, ...)
    if not ok then wrong = err end
  end
  local ok, err = xpcall(life.run, debug.traceback, life, STEPS)
  if wrong then error(wrong, 0) end
  if not ok then error(("seed %d: %s"):format(self.seed, err), 0) end
  assert(not life.failure, "it failed by itself")
end

--- Looks at `count` disks, of as many lives as that takes.
-- @param bend function(uv) that changes what calls do, if wanted
-- @return what it saw
function M.enumerate(seed, count, bend)
  local self = new(count, bend)
  while self.count < count do
    self.seed, self.version = seed + self.lives, ""
    self.lives = self.lives + 1
    self.life = Life.new(self.seed, bend)
    live(self)
  end
  return self
end

--- One life, killed at its n-th operation, where the system goes on: what a
-- start finds then is durable, and so is what it reports.
-- @return false when life was over before
function M.kill(seed, n, bend)
  local life = Life.new(seed, bend)
  life:kill_at(n, "process")
  local is_over = life:run(STEPS)
  assert(not life.failure, "it failed by itself")
  if is_over then return false end
  life:ended()
  life:must_open()
  after[AFTER[n % 2 + 1]](life)
  return true
end

--- Lives killed at every operation, or at every `step`-th.
-- @return how many
function M.kills(seed, step, bend)
  local count, n = 0, 1
  while true do
    local ok, more = pcall(M.kill, seed, n, bend)
    if not ok then
      error(("seed %d, killed at operation %d: %s"):format(seed, n,
        tostring(more)), 0)
    end
    if not more then return count end
    count, n = count + 1, n + step
  end
end

return M
