-- When jobs of the battery cron are due.
local helper = require "spec.support.helper"
local schedule = require "raft.services.cron.schedule"

local function utc(text)
  local y, m, d, h, min = text:match("(%d+)-(%d+)-(%d+) (%d+):(%d+)")
  local t = os.date("!*t", 0)
  t.year, t.month, t.day, t.hour, t.min, t.sec = y, m, d, h, min, 0
  t.isdst = false
  local offset = os.time(os.date("!*t", 86400)) - 86400
  return (os.time(t) - offset) * 1000
end

local function text_of(ms)
  return os.date("!%Y-%m-%d %H:%M", ms // 1000)
end

describe("cron schedule: every", function()
  it("is due at multiples since 1970", function()
    local job = { every = 1000 }
    assert.equal(1000, schedule.after(job, 0))
    assert.equal(1000, schedule.after(job, 999))
    assert.equal(2000, schedule.after(job, 1000))
    assert.equal(1000, schedule.before(job, 1000))
    assert.equal(0, schedule.before(job, 999))
    assert.is_nil(schedule.before(job, -1))
  end)
end)

describe("cron schedule: at", function()
  for _, case in ipairs {
    { "* * * * *", "2026-11-21 22:05", "2026-11-21 22:06" },
    { "*/15 * * * *", "2026-11-21 22:45", "2026-11-21 23:00" },
    { "5/20 * * * *", "2026-11-21 22:46", "2026-11-21 23:05" },
    { "30 4 * * *", "2026-11-21 22:05", "2026-11-22 04:30" },
    { "30 4 * * *", "2026-11-22 04:29", "2026-11-22 04:30" },
    { "0 0 1 * *", "2026-12-31 23:59", "2027-01-01 00:00" },
    { "0 0 31 * *", "2026-04-01 00:00", "2026-05-31 00:00" },
    { "0 12 29 feb *", "2026-11-21 22:05", "2028-02-29 12:00" },
    { "0 12 29 2 *", "2096-02-29 12:00", "2104-02-29 12:00" },
    { "0 9-17/4 * * mon-fri", "2026-11-20 17:00", "2026-11-23 09:00" },
    { "0 0 * * 0", "2026-11-21 22:05", "2026-11-22 00:00" },
    { "0 0 * * 7", "2026-11-21 22:05", "2026-11-22 00:00" },
    { "0 0 * * Sun", "2026-11-21 22:05", "2026-11-22 00:00" },
    { "0 0 13 * fri", "2026-11-21 22:05", "2026-11-27 00:00" },
    { "0 0 13 * fri", "2026-12-12 00:00", "2026-12-13 00:00" },
    { "0 0 */2 * fri", "2026-11-21 22:05", "2026-11-27 00:00" },
    { "10,50 8,20 * * *", "2026-11-21 20:10", "2026-11-21 20:50" },
  } do
    it(("%s comes after %s at %s"):format(table.unpack(case)), function()
      local job = { at = case[1] }
      assert.is_nil(schedule.wrong_at(case[1]))
      local due_ms = schedule.after(job, utc(case[2]))
      assert.equal(case[3], text_of(due_ms))
      assert.equal(0, due_ms % 60000)
      assert.equal(due_ms, schedule.before(job, due_ms))
      assert.equal(due_ms, schedule.before(job, due_ms + 59999))
      assert.is_true(schedule.before(job, due_ms - 1) <= utc(case[2]))
    end)
  end

  for text, words in pairs {
    ["* * * *"] = "expected a line of cron: five fields, minute hour day month "
      .. "weekday, not 4",
    ["60 * * * *"] = 'expected a line of cron: minute: "60" is none of * 0-59',
    ["* 24 * * *"] = 'expected a line of cron: hour: "24" is none of * 0-23',
    ["* * 0 * *"] = 'expected a line of cron: day: "0" is none of * 1-31',
    ["* * * foo *"] = 'expected a line of cron: month: "foo" is none of * 1-12',
    ["* * * * 8"] = 'expected a line of cron: weekday: "8" is none of * 0-7',
    ["5-1 * * * *"] = "expected a line of cron: minute: "
      .. '"5-1" is none of * 0-59',
    ["*/0 * * * *"] = "expected a line of cron: minute: "
      .. '"*/0" is none of * 0-59',
    ["1,,2 * * * *"] = 'expected a line of cron: minute: "" is none of * 0-59',
    ["0 0 30 2 *"] = '"0 0 30 2 *" never comes',
    [5] = "expected a line of cron",
  } do
    it("refuses " .. tostring(text), function()
      assert.equal(words, schedule.wrong_at(text))
    end)
  end
end)

-- Is this minute due? As the rule says it, with sets that are written out.
local function is_due(sets, ms)
  local t = os.date("!*t", ms // 1000)
  return sets.minute[t.min] and sets.hour[t.hour] and sets.weekday[t.wday - 1]
end

local function draw(low, high, count)
  local list, set = {}, {}
  for i = 1, count do
    list[i] = math.random(low, high)
    set[list[i]] = true
  end
  return table.concat(list, ","), set
end

describe("cron schedule: random lines", function()
  it("skip no minute and add none, upwards and downwards", function()
    helper.seed()
    for _ = 1, 20 do
      local minute, minutes = draw(0, 59, 3)
      local hour, hours = draw(0, 23, 3)
      local weekday, weekdays = draw(0, 6, 2)
      local sets = { minute = minutes, hour = hours, weekday = weekdays }
      local job = { at = ("%s %s * * %s"):format(minute, hour, weekday) }
      local from = math.random(0, 30000000) * 60000
      local ms, due = from, schedule.after(job, from)
      for _ = 1, 10 * 1440 do
        ms = ms + 60000
        assert.equal(ms == due, is_due(sets, ms) == true, job.at)
        if ms == due then
          assert.equal(due, schedule.before(job, ms + 30000))
          due = schedule.after(job, due)
        end
      end
    end
  end)
end)
