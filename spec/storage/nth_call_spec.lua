local Life = require "spec.storage.life"
local helper = require "spec.support.helper"

local STEPS <const> = 24   -- things that a life does; enough for all of them

-- Refused or failed with these, never with others.
local WORLDLY <const> = { io_error = true, no_space = true }

-- How many lives were refused, failed, had no room for a while, or nothing.
local function new_census()
  return { refused = 0, failed = 0, full = 0, unharmed = 0 }
end

local function check_error(err)
  assert(type(err) == "table" and WORLDLY[err.code], tostring(err))
end

-- What became of it; and all that was reported is there, also after a power
-- cut, once the disk is well.
local function judge(life, census)
  for _, err in ipairs(life.refusals) do check_error(err) end
  if life.failure then check_error(life.failure) end
  local function count(name, is_so)
    if is_so then census[name] = census[name] + 1 end
    return is_so
  end
  local is_harmed = count("refused", #life.refusals > 0)
  is_harmed = count("failed", life.failure ~= false) or is_harmed
  is_harmed = count("full", life.was_full) or is_harmed
  count("unharmed", not is_harmed)
end

-- Where there was no room, there is again, and what waited is written; unless
-- a call under way fails still.
local function make_room(life)
  life.disk:mend()
  life:wait(function()
    return life.failure or life.has_space and life.reported == life.asked
  end, "space")
  if life.failure then check_error(life.failure) end
end

local function live(seed, n, errno, is_for_good, census)
  local life = Life.new(seed)
  life.disk:fail(n, errno, is_for_good)
  life:run(STEPS)
  judge(life, census)
  if life:is_up() then make_room(life) end
  life:ended("process")
  life:must_open()
  life:append()
  life.computer:crash("power")
  life:ended()
  life:must_open()
  return life.disk.counts
end

-- Calls in a life where nothing goes wrong.
local function count_calls(seed)
  local life = Life.new(seed)
  assert(life:run(STEPS))
  return life.disk.counts.calls
end

local function each_call(errno, is_for_good)
  local seed, census = helper.seed(), new_census()
  for n = 1, count_calls(seed) do
    local ok, err = xpcall(live, debug.traceback, seed, n, errno, is_for_good,
      census)
    if not ok then
      error(("seed %d, call %d fails with %s%s: %s"):format(seed, n, errno,
        is_for_good and " for good" or "", err), 0)
    end
  end
  return census
end

describe("storage, when its n-th call fails", function()
  it("with EIO, refuses or fails, and loses nothing", function()
    local census = each_call("EIO", false)
    assert.is_true(census.refused > 10)
    assert.is_true(census.failed > 10)
    assert.equal(0, census.full)
  end)

  it("and all later ones with EIO, too", function()
    local census = each_call("EIO", true)
    assert.is_true(census.refused > 10)
    assert.is_true(census.failed > 10)
  end)

  it("with ENOSPC, refuses, fails, or waits for room", function()
    local census = each_call("ENOSPC", false)
    assert.is_true(census.refused > 0)
    assert.is_true(census.failed > 0)
    assert.is_true(census.unharmed > 0)
  end)

  it("and all later ones with ENOSPC, too", function()
    local census = each_call("ENOSPC", true)
    assert.is_true(census.refused > 0)
    assert.is_true(census.failed > 0)
    assert.is_true(census.full > 0)
  end)

  it("to write all, writes the rest", function()
    local census = each_call("short", false)
    assert.equal(0, census.refused + census.failed + census.full)
    assert.is_true(census.unharmed > 50)
  end)
end)
