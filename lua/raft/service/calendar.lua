--- os.time and os.date of a stamp: always in UTC, so that no time zone of a
-- node counts. Names of days and months follow the locale of the process, which
-- is that of C unless the program has set another one.
local M = {}

local os_date = os.date
local MS_PER_S <const> = 1000
local S_PER_DAY <const> = 86400

local FIELDS <const> = { "year", "month", "day", "hour", "min", "sec" }
local DEFAULTS <const> = { hour = 12, min = 0, sec = 0 }

-- Days from 1970-01-01 to the first day of this month, counted in years that
-- begin in March: then a leap day is the last one.
local function days_to(year, month)
  month = month - 3
  year, month = year + month // 12, month % 12
  local century, in_century = year // 400, year % 400
  local day_of_year = (153 * month + 2) // 5
  return century * 146097 + in_century * 365 + in_century // 4
    - in_century // 100 + day_of_year - 719468
end

local function field(t, name)
  local value = t[name]
  if value == nil then value = DEFAULTS[name] end
  local integer = math.tointeger(value)
  if integer then return integer end
  if value == nil then
    error(("field '%s' missing in date table"):format(name), 4)
  end
  error(("field '%s' is not an integer"):format(name), 4)
end

--- Seconds: of the stamp, or of a table as os.time takes it. Here and in date
-- the caller of the caller is blamed for what is wrong.
-- @param stamp_ms of the entry
function M.time(stamp_ms, t)
  if t == nil then return stamp_ms // MS_PER_S end
  if type(t) ~= "table" then
    error(("bad argument #1 to 'time' (table expected, got %s)"):format(
      type(t)), 3)
  end
  local value = {}
  for _, name in ipairs(FIELDS) do value[name] = field(t, name) end
  local days = days_to(value.year, value.month) + value.day - 1
  return days * S_PER_DAY + value.hour * 3600 + value.min * 60 + value.sec
end

--- The date in UTC: of the stamp, or of these seconds.
function M.date(stamp_ms, format, seconds)
  format = format == nil and "%c" or format
  if type(format) ~= "string" then
    error(("bad argument #1 to 'date' (string expected, got %s)"):format(
      type(format)), 3)
  end
  if format:sub(1, 1) ~= "!" then format = "!" .. format end
  return os_date(format, seconds == nil and stamp_ms // MS_PER_S or seconds)
end

return M
