--- `make powercuts`: the power fails under a life, on file systems of its own.
--
--   lua5.4 spec/crash/powercuts.lua <cuts> <path of cut> [seed]
--
-- An image with ext4, and one with xfs, is mounted through a loop device. A
-- life writes to it; after a random time the file system is cut off from its
-- device (cut.c), so that what was not durable is gone. It is mounted again,
-- recovers its journal, and must hold what the life was promised. Where loop
-- devices cannot be mounted, that is said, and counts as skipped. All is done
-- in a mount namespace of its own: whatever happens, no mount is left.
local Dice = require "spec.support.dice"
local bent_aio = require "spec.storage.bent_aio"
local lives = require "spec.crash.lives"
local raft = require "raft"
local tmpdir = require "spec.support.tmpdir"
local uv = require "luv"
local verdict = require "spec.crash.verdict"
local wait = require "spec.support.wait"

local LIVES <const> = 10               -- of one directory
local MS_MIN <const>, MS_MAX <const> = 10, 60  -- from start to an early cut
local LINES_MAX <const> = 50           -- promises before any other cut
local LINES_MS <const> = 5000          -- for a life to say so many
local LAST_MS <const> = 50             -- for a life to notice, before it ends
local PROMISES_MIN <const> = 2         -- per cut
local CUT_SHARE_MIN <const> = 0.5      -- of the lives must be cut short
local DIRECT_SHARE_MIN <const> = 0.1   -- of the lives: half are nodes
local KINDS <const> = { "node", "storage" }
local SYSTEMS <const> = {
  { name = "ext4", image_bytes = 64 << 20, make = "mkfs.ext4 -q -F" },
  { name = "xfs", image_bytes = 320 << 20, make = "mkfs.xfs -q -f" },
}

local has_aio <const> = not bent_aio.obstacle()

local cuts, cutter = tonumber(arg[1]), arg[2]
local seed = math.tointeger(tonumber(arg[3] or ""))
  or uv.hrtime() // 1000 & 0x7fffffff
local lua = os.getenv("LUA") or "lua5.4"

------------------------------------------------------------------- commands --

-- Runs a command line: true, or false and what it wrote.
local function try(...)
  local pipe = assert(io.popen(string.format(...) .. " 2>&1"))
  local text = pipe:read("a")
  return pipe:close() == true, (text:gsub("%s+$", ""))
end

local function must(...)
  local ok, text = try(...)
  if not ok then error(("%s: %s"):format(string.format(...), text), 2) end
end

----------------------------------------------------------------- one system --

local Run = { __name = "crash.powercuts" }
Run.__index = Run

local function new_run(system, tmp)
  return setmetatable({
    system = system,
    dice = Dice.new(seed, #system.name),
    image = tmp:join(system.name .. ".img"),
    mount = tmp:join(system.name),
    lives = 0,
    cut_short = 0,  -- lives that were not over when the power failed
    promised = 0,
    direct = 0,     -- lives whose log was written past the page cache
    complaints = {},
  }, Run)
end

-- Makes the image and mounts it: true, or false and why it cannot be had.
function Run:prepare()
  assert(uv.fs_mkdir(self.mount, tonumber("700", 8)))
  local file <close> = assert(io.open(self.image, "wb"))
  assert(file:seek("set", self.system.image_bytes - 1))
  assert(file:write("\0"))
  assert(file:flush())
  local ok, text = try("%s '%s'", self.system.make, self.image)
  if not ok then return false, text end
  return try("mount -o loop '%s' '%s'", self.image, self.mount)
end

function Run:complain(...)
  self.complaints[#self.complaints + 1] = string.format(...)
end

-- Waits for the moment of a cut: early, while it starts and recovers, or after
-- so many promises.
function Run:await(life)
  if self.dice:once_in(3) then
    return raft.sleep(self.dice:integer(MS_MIN, MS_MAX))
  end
  local lines = self.dice:integer(1, LINES_MAX)
  wait.try(function() return life.has_ended or life:lines() >= lines end,
    LINES_MS, "promises")
end

-- One life, and the end of the power under it: what it said.
function Run:live(dir, kind)
  self.lives = self.lives + 1
  local life = assert(lives.start(lua, { "spec/crash/life.lua", kind, dir,
    tostring(self.lives) }))
  self:await(life)
  if not life.has_ended then self.cut_short = self.cut_short + 1 end
  must("'%s' '%s'", cutter, self.mount)
  wait.try(function() return life.has_ended end, LAST_MS, "it to notice")
  life:kill()
  return (life:wait())
end

-- The power is back.
function Run:remount()
  must("umount '%s'", self.mount)
  must("mount -o loop '%s' '%s'", self.image, self.mount)
end

function Run:judge(dir, kind, promises)
  if not uv.fs_stat(dir) then
    if promises:count() > 0 then self:complain("%s is gone", dir) end
    return
  end
  local found, err = verdict.read(dir, kind)
  local complaints = found and promises:judge(found) or { tostring(err) }
  for _, text in ipairs(complaints) do
    self:complain("cut %d: %s: %s", self.lives, dir, text)
  end
end

-- One directory through several cuts. What it holds is removed at the end.
function Run:wear_out(dir, kind)
  local promises = verdict.promises()
  for _ = 1, LIVES do
    if self.lives >= cuts or #self.complaints > 0 then break end
    local said = self:live(dir, kind)
    if said:find("direct\n", 1, true) then self.direct = self.direct + 1 end
    promises:hear(said)
    self:remount()
    self:judge(dir, kind, promises)
  end
  self.promised = self.promised + promises:count()
  if #self.complaints == 0 then must("rm -rf '%s'", dir) end
end

function Run:all()
  local number = 0
  while self.lives < cuts and #self.complaints == 0 do
    number = number + 1
    self:wear_out(self.mount .. "/d" .. number, KINDS[number % 2 + 1])
  end
  if #self.complaints > 0 then return end
  if self.cut_short < cuts * CUT_SHARE_MIN then
    self:complain("too dull: only %d lives were cut short", self.cut_short)
  elseif self.promised < cuts * PROMISES_MIN then
    self:complain("too dull: only %d promises", self.promised)
  elseif has_aio and self.direct < cuts * DIRECT_SHARE_MIN then
    self:complain("too dull: only %d lives wrote past the page cache",
      self.direct)
  end
end

------------------------------------------------------------------ the whole --

-- "passed", "failed" or "skipped", and it says why.
local function run_system(system, tmp)
  local run = new_run(system, tmp)
  local is_there, why = run:prepare()
  if not is_there then
    print(("powercuts: %s skipped: %s"):format(system.name, why))
    return "skipped"
  end
  local from = uv.hrtime()
  run:all()
  local seconds = (uv.hrtime() - from) / 1e9
  print(("powercuts: %s: %d cuts, %d of them of a living process, %.1f/s, "
    .. "%d promises held, %d lives wrote past the page cache"):format(
    system.name, run.lives, run.cut_short, run.lives / seconds, run.promised,
    run.direct))
  for _, text in ipairs(run.complaints) do print("  FAILED: " .. text) end
  must("umount '%s'", run.mount)
  return #run.complaints == 0 and "passed" or "failed"
end

local function main()
  local sums = { passed = 0, failed = 0, skipped = 0 }
  local tmp = tmpdir.new()
  print(("powercuts: seed %d (SEED=%d repeats the plan)"):format(seed, seed))
  for _, system in ipairs(SYSTEMS) do
    local result = run_system(system, tmp)
    sums[result] = sums[result] + 1
  end
  if sums.failed == 0 then tmp:remove() end
  print(("%d passed, %d failed, %d skipped"):format(sums.passed, sums.failed,
    sums.skipped))
  return sums.failed == 0
end

-- Starts this very script again where its mounts are its own.
local function inside()
  local ok, text = try("unshare --mount true")
  if not ok then
    print("powercuts: skipped, no mounts of our own here: " .. text)
    print("0 passed, 0 failed, 1 skipped")
    return true
  end
  local words = { "exec unshare --mount", lua, "spec/crash/powercuts.lua",
    tostring(cuts), "'" .. cutter .. "'", tostring(seed), "inside" }
  return os.execute(table.concat(words, " ")) == true
end

if arg[4] == "inside" then
  os.exit(raft.run(main, { signals = false }))
end
os.exit(inside())
