--- What the checks of the examples have in common: they start the example as
-- a person would, in a directory of its own, and look at what it prints.
--
-- An example has fixed ports, for people. A check copies its files and puts
-- ports there that the kernel has just found free.
--
-- Whatever happens, all that was started here is killed and the directory is
-- removed. Nothing waits for ever: each wait is bounded.
local uv = require "luv"

local M = {}

local WAIT_MS <const> = 20000
local LOOK_MS <const> = 5  -- between two looks of a wait
local LAST_WORDS_MS <const> = 2000  -- a child of it may hold the pipes open
local DIR_MODE <const> = tonumber("700", 8)

local Trial = { __name = "trial" }
Trial.__index = Trial

local Process = { __name = "trial.process" }
Process.__index = Process

--------------------------------------------------------------- the world --

--- The directory of the script that runs, with a slash at its end.
function M.here()
  return arg[0]:match("^(.*/)") or "./"
end

-- The Lua that runs this script.
local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

-- Ports that are free now: n sockets are bound at once, so that all differ.
local function free_ports(n)
  local sockets, ports = {}, {}
  for i = 1, n do
    sockets[i] = uv.new_tcp()
    assert(sockets[i]:bind("127.0.0.1", 0))
    ports[i] = sockets[i]:getsockname().port
  end
  for _, socket in ipairs(sockets) do socket:close() end
  return ports
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write_file(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function remove(path)
  local entries = uv.fs_scandir(path)
  while entries do
    local name, kind = uv.fs_scandir_next(entries)
    if not name then break end
    local below = path .. "/" .. name
    if kind == "directory" then remove(below) else uv.fs_unlink(below) end
  end
  uv.fs_rmdir(path)
end

--- Runs the loop until predicate() is true: true, or false after ms.
function M.wait(predicate, ms)
  local timer = uv.new_timer()
  local until_ns = uv.hrtime() + (ms or WAIT_MS) * 1000000
  timer:start(LOOK_MS, LOOK_MS, function() end)  -- so that `once` returns
  local value = predicate()
  while not value and uv.hrtime() < until_ns do
    uv.run("once")
    value = predicate()
  end
  timer:close()
  return value or false
end

--------------------------------------------------------------- processes --

-- Appends what comes out of the pipe to a field of the process.
local function collect(process, pipe, field)
  assert(pipe:read_start(function(_, chunk)
    if chunk then
      process[field] = process[field] .. chunk
    elseif not pipe:is_closing() then
      pipe:close()
      process.open_pipes = process.open_pipes - 1
    end
  end))
end

-- Starts a program in the trial's directory.
-- @param input a pipe to its standard input, or nil
local function start(trial, input, program, ...)
  local out, err = uv.new_pipe(false), uv.new_pipe(false)
  local process = setmetatable({
    name = table.concat({ ... }, " "),
    text = "",       -- what it has printed so far
    errors = "",     -- the same of stderr
    status = false,  -- its exit status, once it has ended
    signal = false,  -- the signal that ended it, or 0
    handle = false,  -- luv's
    input = input or false,  -- what we type goes there
    open_pipes = 2,  -- of these two, how many may still bring something
  }, Process)
  local function ended(status, signal)
    process.status, process.signal = status, signal
    process.handle:close()
    if process.input then process:hang_up() end
  end
  process.handle = assert(uv.spawn(program, {
    args = { ... }, cwd = trial.dir, stdio = { input, out, err },
  }, ended))
  collect(process, out, "text")
  collect(process, err, "errors")
  trial.processes[#trial.processes + 1] = process
  return process
end

--- Starts `lua5.4 ...` in the trial's directory.
function Trial:start(...)
  return start(self, nil, interpreter(), ...)
end

--- The same, with a keyboard: process:type(text), process:hang_up().
function Trial:start_terminal(...)
  return start(self, uv.new_pipe(false), interpreter(), ...)
end

--- Starts a program of the system, from a path that `has` found.
function Trial:start_program(path, ...)
  return start(self, nil, path, ...)
end

--- The path of a program of the system, or nil.
function Trial:has(name)
  for dir in os.getenv("PATH"):gmatch("[^:]+") do
    if uv.fs_access(dir .. "/" .. name, "X") then return dir .. "/" .. name end
  end
end

--- Its complete lines so far.
function Process:lines()
  local lines = {}
  for line in self.text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines
end

--- Waits for its n-th line (the first): the line, or nil when none comes.
function Process:line(n)
  n = n or 1
  M.wait(function() return self:lines()[n] or self.status end)
  return self:lines()[n]
end

--- Types text.
function Process:type(text)
  assert(self.input:write(text))
end

--- No more is typed: Ctrl-D.
function Process:hang_up()
  if not self.input:is_closing() then self.input:close() end
end

--- Sends a signal, unless it has ended.
function Process:kill(name)
  if not self.status then self.handle:kill(name) end
end

--- Waits for its end, and for all that it has printed: its exit status and
-- signal; or nil when it goes on.
function Process:wait(ms)
  if not M.wait(function() return self.status end, ms) then return nil end
  M.wait(function() return self.open_pipes == 0 end, LAST_WORDS_MS)
  return self.status, self.signal
end

------------------------------------------------------------------- trials --

--- Copies files of the example into the trial's directory, with free ports in
-- the place of the fixed ones: the same one for the same number.
function Trial:copy(...)
  for _, name in ipairs { ... } do
    local text = read_file(M.here() .. name)
    text = text:gsub("127%.0%.0%.1:(%d+)", function(port)
      if not self.ports[port] then
        self.ports[port] = table.remove(self.free)
      end
      return "127.0.0.1:" .. self.ports[port]
    end)
    write_file(self.dir .. "/" .. name, text)
  end
end

--- The text of a file in the trial's directory.
function Trial:read(name)
  return read_file(self.dir .. "/" .. name)
end

--- Writes a file into the trial's directory.
function Trial:write(name, text)
  write_file(self.dir .. "/" .. name, text)
end

--- Counts one thing that must be so, and says it where it is not.
function Trial:check(is_so, what, ...)
  what = what:format(...)
  if is_so then
    self.passed = self.passed + 1
  else
    self.failed = self.failed + 1
    print("FAILED: " .. what)
  end
  return is_so
end

--- The same for two values that must be equal.
function Trial:equal(expected, found, what)
  return self:check(expected == found, "%s: expected %s, got %s", what,
    tostring(expected), tostring(found))
end

--- Leaves something out, and says why.
function Trial:skip(why)
  self.skipped = self.skipped + 1
  print("SKIPPED: " .. why)
end

-- Ends all that was started, in whatever state it is.
local function clean(trial)
  for _, process in ipairs(trial.processes) do process:kill("sigkill") end
  for _, process in ipairs(trial.processes) do process:wait() end
  remove(trial.dir)
end

-- What the processes printed, for who has to find out why it went wrong.
local function show_all(trial)
  for _, process in ipairs(trial.processes) do
    print(("---- %s printed:\n%s%s"):format(process.name, process.text,
      process.errors))
  end
end

local PORTS <const> = 8  -- more than any example has

--- Runs body(trial) and ends the script with a status that says how it went.
function M.run(body)
  io.stdout:setvbuf("line")
  local dir = assert(uv.fs_mkdtemp(uv.os_tmpdir() .. "/raft-example-XXXXXX"))
  assert(uv.fs_chmod(dir, DIR_MODE))
  local trial = setmetatable({
    dir = dir,
    free = free_ports(PORTS),  -- ports not yet given away
    ports = {},                -- port in the example -> port here
    processes = {},            -- all that were started
    passed = 0,
    failed = 0,
    skipped = 0,
  }, Trial)
  local ok, err = xpcall(body, debug.traceback, trial)
  if not ok then trial:check(false, "%s", err) end
  clean(trial)
  if trial.failed > 0 then show_all(trial) end
  print(("%d passed, %d failed, %d skipped"):format(trial.passed, trial.failed,
    trial.skipped))
  os.exit(trial.failed == 0)
end

return M
