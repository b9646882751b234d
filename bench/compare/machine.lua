--- Where a run took place: figures mean nothing without it.
local uv = require "luv"

local M = {}

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  pipe:close()
  return text
end

--- The kind of file system a directory lies on. One in memory raises: a sync
-- there costs nothing, and the figures would be of something else.
function M.file_system(dir)
  local kind = lines_of(("df --output=fstype '%s' 2>/dev/null"):format(dir))
    :match("\n(%S+)") or "unknown"
  if kind == "tmpfs" or kind == "ramfs" then
    error(("%s is in memory (%s): set TMPDIR to a directory on a disk")
      :format(dir, kind), 0)
  end
  return kind
end

--- Plain data.
function M.describe()
  local cpus = uv.cpu_info()
  local system = uv.os_uname()
  local dir = os.getenv "TMPDIR" or "/tmp"
  return { cpu = cpus[1].model, cores = #cpus, system = system.sysname,
    release = system.release, load_before = (uv.loadavg()),
    file_system = M.file_system(dir), lua = _VERSION,
    date = os.date "!%Y-%m-%d" }
end

return M
