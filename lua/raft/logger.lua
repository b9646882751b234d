--- Text lines for the people who run a node. (The Raft log is another thing.)
-- A line is lower-case words and key=value pairs, fields in order of name:
--   2026-07-01T12:00:00.123Z warn node=n1 became leader term=7 votes=2/3
-- Whatever comes from outside is quoted, so that nobody can forge a line. A
-- log function of the user that raises never disturbs the library.
local guard = require "raft.guard"

local M = {}

M.LEVELS = { "debug", "info", "warn", "error" }

local RANKS <const> = { debug = 1, info = 2, warn = 3, error = 4 }
local SILENT <const> = 5

local Logger = { __name = "raft.logger" }
Logger.__index = Logger

local function quoted(text)
  if text:find("^[%w_.:/@%[%],+-]+$") then return text end
  return '"' .. text:gsub('[%c"\\\x7f-\xff]', function(char)
    return ("\\x%02x"):format(char:byte())
  end) .. '"'
end

-- Appends " key=value" for each field, by name.
local function put_fields(parts, fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for _, name in ipairs(names) do
    local _, text = pcall(tostring, fields[name])
    parts[#parts + 1] = name .. "=" .. quoted(tostring(text))
  end
end

-- Milliseconds since 1970, to be read by people.
local function stamp(wall_ms)
  local seconds, ms = wall_ms // 1000 | 0, wall_ms % 1000 // 1 | 0
  return os.date("!%Y-%m-%dT%H:%M:%S", seconds) .. (".%03dZ"):format(ms)
end

--- One line without its end.
-- @param wall_ms false: without a time stamp
function M.format(wall_ms, level, text, fields, owner_fields)
  local parts = {}
  if wall_ms then parts[1] = stamp(wall_ms) end
  parts[#parts + 1] = level
  put_fields(parts, owner_fields or {})
  parts[#parts + 1] = (text:gsub("%c", " "))
  put_fields(parts, fields or {})
  return table.concat(parts, " ")
end

local function to_stderr(line)
  io.stderr:write(line, "\n")
end

--- A logger.
-- @param option the user's `log`: a level's name, false, or
--   function(level, text, fields), which hears all levels
-- @param world what the owner gives: `fields` on every line (node = "n1"),
--   `wall_ms` a function, false: no time stamps, `write` a function(line)
function M.new(option, world)
  world = world or {}
  local is_function = type(option) == "function"
  local rank = is_function and 1 or option == false and SILENT or RANKS[option]
  assert(rank, "a log option was not checked")
  return setmetatable({
    rank = rank,                           -- the lowest level that is heard
    sink = is_function and option,         -- the user's function, or false
    has_failed = false,                    -- has the sink raised before?
    fields = world.fields or {},           -- on every line
    wall_ms = world.wall_ms or false,      -- function, or false: no stamps
    write = world.write or to_stderr,      -- function(line)
  }, Logger)
end

--- Would a line of this level be heard? Ask before costly text is made.
function Logger:is_enabled(level)
  return RANKS[level] >= self.rank
end

function Logger:write_line(level, text, fields)
  local wall_ms = self.wall_ms and self.wall_ms()
  self.write(M.format(wall_ms, level, text, fields, self.fields))
end

-- The user's function gets a table of its own.
function Logger:hand_over(level, text, fields)
  local own = {}
  for name, value in pairs(self.fields) do own[name] = value end
  for name, value in pairs(fields or {}) do own[name] = value end
  local ok, what = guard.call(self.sink, level, text, own)
  if ok or self.has_failed then return end
  self.has_failed = true  -- said once, not for each line
  pcall(self.write_line, self, "error", "the log function raised",
    { what = what })
end

--- Writes one line.
-- @param fields name -> value, or nil
function Logger:log(level, text, fields)
  if RANKS[level] < self.rank then return end
  if self.sink then
    self:hand_over(level, text, fields)
  else
    pcall(self.write_line, self, level, text, fields)
  end
end

function Logger:debug(text, fields) self:log("debug", text, fields) end
function Logger:info(text, fields) self:log("info", text, fields) end
function Logger:warn(text, fields) self:log("warn", text, fields) end
function Logger:error(text, fields) self:log("error", text, fields) end

return M
