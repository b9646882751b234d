--- `make killpoints`: lives that are killed as they enter one of their file
-- calls. What they were promised must be in the directory that they leave.
--
--   lua5.4 spec/crash/killpoints.lua <points> [seed]
--
-- strace counts the calls of each kind apart, and those of the main thread,
-- which opens and recovers, apart from those of the one thread of the pool,
-- which writes: it kills at the n-th of a kind, whichever thread gets there
-- first. Kind and n are drawn; each directory is killed several times, so that
-- recovery meets what killed recoveries left. A run that has not hit every
-- kind of call on every kind of file was too dull, and fails.
local Dice = require "spec.support.dice"
local bent_aio = require "spec.storage.bent_aio"
local lives = require "spec.crash.lives"
local raft = require "raft"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"
local verdict = require "spec.crash.verdict"

-- Names of a call; with a question mark those that some machines lack.
local CALLS <const> = {
  write = "pwrite64,pwritev,?pwritev2", sync = "fsync,fdatasync",
  rename = "?rename,renameat,?renameat2", truncate = "ftruncate",
  mkdir = "?mkdir,mkdirat", submit = "io_submit",
}

local has_aio <const> = not bent_aio.obstacle()

-- Points, as call and how many of it: those of a new directory before the
-- first write of the log; of one that is there, until it is recovered; of a
-- life that writes.
local FIRST <const> = { { "mkdir", 1 }, { "truncate", 1 }, { "sync", 9 },
  { "rename", 2 }, { "write", 8 } }
local EARLY <const> = { { "truncate", 1 }, { "sync", 4 }, { "write", 3 } }
-- The log of a node goes past the page cache, where there is such a way.
local LATE <const> = {
  node = has_aio and { { "submit", 40 }, { "write", 20 }, { "rename", 14 },
    { "sync", 12 } },
  storage = { { "write", 60 }, { "rename", 14 }, { "sync", 12 } },
}
LATE.node = LATE.node or LATE.storage

local LIVES <const> = 8  -- of one directory
local KINDS <const> = { "node", "storage" }

-- What must be hit, as "call file", by a run of this many points.
local WHOLE_POINTS <const> = 200
local MUST_HIT <const> = { "mkdir dir", "truncate lock", "write lock",
  "write identity.tmp", "sync identity.tmp", "rename identity.tmp",
  "sync dir", "sync identity", "write identity", "write spare.tmp",
  "sync spare.tmp", "rename spare.tmp", "write spare", "rename spare",
  "sync wal", "write wal" }
if has_aio then
  MUST_HIT[#MUST_HIT + 1] = "submit wal"
  MUST_HIT[#MUST_HIT + 1] = "submit spare.tmp"
end

local points, seed = tonumber(arg[1]), math.tointeger(tonumber(arg[2] or ""))
seed = seed or uv.hrtime() // 1000 & 0x7fffffff
local lua = os.getenv("LUA") or "lua5.4"

local Run = { __name = "crash.killpoints" }
Run.__index = Run

------------------------------------------------------------------ one life --

-- Where another thread was traced in between, a call has two lines: the first.
local function begun(trace, line)
  local process, call = line:match("^(%d+) +<%.%.%. (%S+) resumed>")
  if not call then return line end
  local found
  for first in trace:gmatch("[^\n]+") do
    if first:find("^" .. process .. " +" .. call .. "%(") then found = first end
  end
  return found or line
end

-- The file of the call that never came back, by the trace's last lines.
local function file_of(trace, dir)
  local line = trace:match("([^\n]*)= %?[^\n]*\n[^\n]*killed by SIGKILL")
  if not line then return "unknown" end
  line = begun(trace, line)
  local from = line:find(dir, 1, true)
  return from and (line:sub(from + #dir):match("^/([%a.]+)") or "dir")
    or "another"
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

-- Draws all points of a list, { call=, n= }, in random order, and again.
local function deck(dice, list)
  local all, rest = {}, {}
  for _, item in ipairs(list) do
    for n = 1, item[2] do all[#all + 1] = { call = item[1], n = n } end
  end
  return function()
    if #rest == 0 then rest = dice:shuffled(all) end
    return table.remove(rest)
  end
end

-- Where the next life of a directory ends.
function Run:draw(is_new, kind)
  if is_new then return self.first() end
  if self.dice:once_in(4) then return self.early() end
  return self.late[kind]()
end

-- Runs one life under strace: was it killed, and what it said.
function Run:live(dir, kind, point)
  local trace, calls = self.tmp:join("trace"), CALLS[point.call]
  local life = assert(lives.start("strace", { "-f", "-y", "-v", "-s", "0",
    "-o", trace, "-e", "trace=" .. calls, "-e",
    ("inject=%s:signal=KILL:when=%d"):format(calls, point.n), lua,
    "spec/crash/life.lua", kind, dir, tostring(self.lives) }))
  local said, errors = life:wait()
  local is_killed = life.signal == 9
  if is_killed then
    local hit = point.call .. " " .. file_of(read_file(trace), dir)
    self.hits[hit] = (self.hits[hit] or 0) + 1
  elseif life.status ~= 0 then
    self:complain(dir, "ended with status %d: %s", life.status, errors)
  end
  return is_killed, said
end

------------------------------------------------------------- one directory --

function Run:complain(dir, ...)
  self.failed = self.failed + 1
  print(("  FAILED: %s: %s"):format(dir, string.format(...)))
end

-- What is there must be what was promised.
function Run:judge(dir, kind, promises, point)
  if not uv.fs_stat(dir) then
    if promises:count() > 0 then self:complain(dir, "the directory is gone") end
    return
  end
  local found, err = verdict.read(dir, kind)
  local complaints = found and promises:judge(found) or { tostring(err) }
  for _, text in ipairs(complaints) do
    self:complain(dir, "killed at %s %d: %s", point.call, point.n, text)
  end
end

-- One directory, killed again and again.
function Run:wear_out(dir, kind)
  local promises = verdict.promises()
  for i = 1, LIVES do
    if self.killed >= points or self.failed > 0 then break end
    self.lives = self.lives + 1
    local point = self:draw(i == 1, kind)
    local is_killed, said = self:live(dir, kind, point)
    promises:hear(said)
    self:judge(dir, kind, promises, point)
    if is_killed then self.killed = self.killed + 1 end
  end
  self.promised = self.promised + promises:count()
end

------------------------------------------------------------------ the whole --

-- Why strace cannot be had here, or nil. Asked of a process that is nothing of
-- ours: a life that fails must not look like a tool that is missing.
local function obstacle(tmp)
  local life, text = lives.start("strace", { "-f", "-o", tmp:join("probe"),
    "-e", "inject=exit_group:signal=KILL:when=1", lua, "-e", "" })
  if not life then return "strace is not there: " .. text end
  local _, errors = life:wait()
  if life.signal == 9 then return nil end
  return "strace cannot kill here: " .. errors:match("[^\n]*")
end

function Run:complain_if_dull()
  if points < WHOLE_POINTS or self.failed > 0 then return end
  for _, name in ipairs(MUST_HIT) do
    if not self.hits[name] then self:complain("too dull", "no %s", name) end
  end
end

function Run:report(seconds)
  local list = {}
  for name, count in pairs(self.hits) do
    list[#list + 1] = ("%s %d"):format(name, count)
  end
  table.sort(list)
  print(("  %d kills in %d lives, %.1f points/s, %d promises held"):format(
    self.killed, self.lives, self.killed / seconds, self.promised))
  print("  hit: " .. table.concat(list, ", "))
end

local function main()
  local dice = Dice.new(seed, 1)
  local run = setmetatable({
    dice = dice,
    tmp = tmpdir.new(),
    first = deck(dice, FIRST),  -- points of new directories
    early = deck(dice, EARLY),
    late = { node = deck(dice, LATE.node), storage = deck(dice, LATE.storage) },
    killed = 0,    -- lives that met their point
    lives = 0,
    promised = 0,  -- promises that were held against a directory
    failed = 0,
    hits = {},     -- "call file" -> how often
  }, Run)
  local why = obstacle(run.tmp)
  if why then
    run.tmp:remove()
    print("killpoints: skipped: " .. why)
    print("0 passed, 0 failed, 1 skipped")
    return true
  end
  print(("killpoints: %d points, seed %d (SEED=%d repeats the plan)"):format(
    points, seed, seed))
  local from, number = uv.hrtime(), 0
  while run.killed < points and run.failed == 0 do
    number = number + 1
    run:wear_out(run.tmp:join("d" .. number), KINDS[number % 2 + 1])
  end
  run:complain_if_dull()
  run:report((uv.hrtime() - from) / 1e9)
  if run.failed == 0 then run.tmp:remove() end
  print(("%d passed, %d failed, 0 skipped"):format(
    run.failed == 0 and 1 or 0, run.failed))
  return run.failed == 0
end

os.exit(raft.run(main, { signals = false }))
