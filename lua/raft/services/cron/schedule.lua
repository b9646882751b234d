--- When a job is due: each so many ms, or as a line of cron says it, in UTC.
-- Times are ms since 1970. Pure: the same everywhere, no clock.
--
--   { every = 60000 }            multiples of it since 1970
--   { at = "30 4 * * mon-fri" }  minute hour day month weekday
--
-- A field is `*`, or a list of numbers, names, and ranges a-b, each with a
-- step /n if wanted. As ever with cron: where both the day and the weekday are
-- given, one of them is enough.
local M = {}

local MS_PER_MINUTE <const> = 60000
local MINUTES_PER_DAY <const> = 1440
local S_PER_DAY <const> = 86400
local DAYS_MAX <const> = 3000  -- from a 29 February to the next: 2,921 or less
local AT_BYTES_MAX <const> = 200

local MONTHS <const> = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6,
  jul = 7, aug = 8, sep = 9, oct = 10, nov = 11, dec = 12 }
local WEEKDAYS <const> = { sun = 0, mon = 1, tue = 2, wed = 3, thu = 4,
  fri = 5, sat = 6 }

local FIELDS <const> = {
  { name = "minute", low = 0, high = 59, words = {} },
  { name = "hour", low = 0, high = 23, words = {} },
  { name = "day", low = 1, high = 31, words = {} },
  { name = "month", low = 1, high = 12, words = MONTHS },
  { name = "weekday", low = 0, high = 7, words = WEEKDAYS },  -- 7: Sunday, too
}

-------------------------------------------------------------- a line of cron --

local function number(field, text)
  local value = text:find("^%d%d?$") and math.tointeger(tonumber(text))
    or field.words[text:lower()]
  if value and value >= field.low and value <= field.high then return value end
end

-- One item of a list, as first, last, step; nil where it is none.
local function item(field, text)
  local range, step = text:match("^([^/]+)/(%d%d?)$")
  range, step = range or text, step and math.tointeger(tonumber(step)) or 1
  if step == 0 then return nil end
  if range == "*" then return field.low, field.high, step end
  local first, last = range:match("^(%w+)-(%w+)$")
  first, last = number(field, first or range), number(field, last or range)
  if not first or not last or first > last then return nil end
  if range ~= text and not range:find("-", 1, true) then
    last = field.high  -- 5/10: from 5 on, each tenth
  end
  return first, last, step
end

-- The numbers of a field, as a set; or nil and words.
local function set_of(field, text)
  local set = { is_any = text:sub(1, 1) == "*" }
  for part in (text .. ","):gmatch("([^,]*),") do
    local first, last, step = item(field, part)
    if not first then
      return nil, ('%s: "%s" is none of * %d-%d'):format(field.name, part,
        field.low, field.high)
    end
    for value = first, last, step do set[value] = true end
  end
  return set
end

-- A line as sets; or nil and words.
local function parse(text)
  local line, words = {}, {}
  for word in text:gmatch("%S+") do words[#words + 1] = word end
  if #words ~= #FIELDS then
    return nil, ("five fields, minute hour day month weekday, not %d"):format(
      #words)
  end
  for i, field in ipairs(FIELDS) do
    local set, why = set_of(field, words[i])
    if not set then return nil, why end
    line[field.name] = set
  end
  if line.weekday[7] then line.weekday[0] = true end
  return line
end

------------------------------------------------------------------- searching --

-- Is it due on this day, counted since 1970?
local function is_day(line, day)
  local date = os.date("!*t", day * S_PER_DAY)
  if not line.month[date.month] then return false end
  local is_day_of_month = line.day[date.day] == true
  local is_weekday = line.weekday[date.wday - 1] == true
  if line.day.is_any or line.weekday.is_any then
    return is_day_of_month and is_weekday
  end
  return is_day_of_month or is_weekday
end

-- The first minute of a day from this one on, upwards or downwards.
local function minute_of_day(line, from, step)
  for minute = from, step > 0 and MINUTES_PER_DAY - 1 or 0, step do
    if line.hour[minute // 60] and line.minute[minute % 60] then
      return minute
    end
  end
end

-- The nearest minute since 1970 from this one on; nil: none in eight years.
local function find(line, from, step)
  local day, of_day = from // MINUTES_PER_DAY, from % MINUTES_PER_DAY
  for _ = 1, DAYS_MAX do
    if day < 0 then return nil end
    local minute = is_day(line, day) and minute_of_day(line, of_day, step)
    if minute then return day * MINUTES_PER_DAY + minute end
    day, of_day = day + step, step > 0 and 0 or MINUTES_PER_DAY - 1
  end
end

-------------------------------------------------------------------- the face --

--- What is wrong with the text of `at`: words, or nil.
function M.wrong_at(text)
  if type(text) ~= "string" or #text > AT_BYTES_MAX then
    return "expected a line of cron"
  end
  local line, why = parse(text)
  if not line then return "expected a line of cron: " .. why end
  if not find(line, 0, 1) then
    return ('"%s" never comes'):format(text)
  end
end

--- The first time after this one.
-- @param job every, or at
function M.after(job, ms)
  if job.every then return (ms // job.every + 1) * job.every end
  local minute = find(parse(job.at), ms // MS_PER_MINUTE + 1, 1)
  return minute * MS_PER_MINUTE
end

--- The last time up to this one; nil: there is none since 1970.
function M.before(job, ms)
  if ms < 0 then return nil end
  if job.every then return ms // job.every * job.every end
  local minute = find(parse(job.at), ms // MS_PER_MINUTE, -1)
  return minute and minute * MS_PER_MINUTE
end

return M
