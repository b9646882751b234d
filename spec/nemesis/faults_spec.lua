-- The bent disk really meets the log, which is written past the page cache.
local bent_aio = require "spec.storage.bent_aio"
local helper = require "spec.support.helper"
local lives = require "spec.crash.lives"
local nemesis = require "spec.nemesis.process"
local tmpdir = require "spec.support.tmpdir"
local verdict = require "spec.crash.verdict"

local LUA <const> = os.getenv("LUA") or "lua5.4"
local LIVES_MAX <const> = 30  -- until one of them is met past the cache

describe("the bent disk of the nemesis #house", function()
  local tmp, shim, control, count

  setup(function()
    tmp, count = tmpdir.new(), 0
    shim = tmp:join "faults.so"
    assert(os.execute(("%s -std=c11 -O2 -fPIC -shared -o '%s' %s"):format(
      os.getenv("CC") or "cc", shim, "spec/nemesis/faults.c")))
    control = nemesis.control(tmp:join "control")
  end)

  teardown(function()
    control:close()
    tmp:remove()
  end)

  -- A life whose disk is bent once it leads: how it ended, with what it was
  -- promised found again.
  local function live(mode)
    count = count + 1
    local dir = tmp:join("d" .. count)
    local struck = control:hits(mode)
    local life = assert(lives.start("env", { "LD_PRELOAD=" .. shim,
      "RAFT_FAULTS=" .. control.path, LUA, "spec/crash/life.lua", "node", dir,
      "1" }))
    helper.wait_until(function() return life:lines() > 0 or life.has_ended end)
    control:mode(mode)
    helper.wait_until(function()
      return life.has_ended or control:hits(mode) > struck
    end)
    if mode == "full" then life:kill() end  -- it waits for room
    local said = life:wait()
    control:mode "pass"
    local promises = verdict.promises()
    promises:hear(said)
    assert.same({}, promises:judge(assert(verdict.read(dir, "node"))))
  end

  local function met_past_the_cache(mode)
    local before, lived = control:direct_hits(), 0
    while control:direct_hits() == before do
      live(mode)
      lived = lived + 1
      assert.is_true(lived < LIVES_MAX)
    end
  end

  for _, mode in ipairs { "refuse", "tear", "late", "slow" } do
    it("meets writes past the cache: " .. mode, function()
      local why = bent_aio.obstacle()
      if why then return pending(why) end
      met_past_the_cache(mode)
    end)
  end

  it("has no room for a file that is made longer", function()
    local before = control:hits "full"
    live "full"
    assert.is_true(control:hits "full" > before)
  end)
end)
