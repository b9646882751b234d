--- A node of the nemesis, seen from outside: its process, its pipes, and the
-- page through which its disk and its clock are bent (faults.c).
local uv = require "luv"

local M = {}

local Process = { __name = "nemesis.process" }
Process.__index = Process

local Control = { __name = "nemesis.control" }
Control.__index = Control

------------------------------------------------------------- the control --

-- As struct control of faults.c has them, 8 bytes each.
local FIELDS <const> = { mode = 0, delay_ms = 8, jump_ms = 16, lies = 24,
  hits = 32, soft = 80, direct = 88 }
local MODES <const> = { pass = 0, refuse = 1, tear = 2, late = 3, full = 4,
  slow = 5 }
local CONTROL_BYTES <const> = 4096

--- A page that stays while processes come and go.
function M.control(path)
  local fd = assert(uv.fs_open(path, "w+", tonumber("600", 8)))
  assert(uv.fs_write(fd, ("\0"):rep(CONTROL_BYTES), 0))
  return setmetatable({ path = path, fd = fd }, Control)
end

function Control:set(field, value)
  assert(uv.fs_write(self.fd, string.pack("<i8", value), FIELDS[field]))
end

function Control:mode(name)
  self:set("mode", MODES[name])
end

--- How often a mode has struck.
function Control:hits(name)
  local bytes = uv.fs_read(self.fd, 8, FIELDS.hits + 8 * MODES[name])
  return (string.unpack("<i8", bytes))
end

--- How often a write or sync has failed, and how often one that need not end
-- the process.
function Control:failures()
  local soft = string.unpack("<i8", uv.fs_read(self.fd, 8, FIELDS.soft))
  return self:hits("refuse") + self:hits("tear") + self:hits("late"), soft
end

--- How often one of these met a write past the page cache.
function Control:direct_hits()
  return (string.unpack("<i8", uv.fs_read(self.fd, 8, FIELDS.direct)))
end

--- How often a wrong time was told.
function Control:lies()
  return (string.unpack("<i8", uv.fs_read(self.fd, 8, FIELDS.lies)))
end

--- Nothing is bent any more.
function Control:calm()
  self:mode("pass")
  self:set("jump_ms", 0)
end

function Control:close()
  assert(uv.fs_close(self.fd))
end

------------------------------------------------------------- the process --

local function environment(more)
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    if more[name] == nil then list[#list + 1] = name .. "=" .. value end
  end
  for name, value in pairs(more) do list[#list + 1] = name .. "=" .. value end
  return list
end

local function read_lines(pipe, take)
  local rest = ""
  assert(pipe:read_start(function(_, chunk)
    if not chunk then return pipe:close() end
    rest = (rest .. chunk):gsub("([^\n]*)\n", function(line)
      take(line)
      return ""
    end)
  end))
end

--- Starts one.
-- @param options id, args (of child.lua), control, shim (path of faults.so),
--   answered(name, words): of an operation; heard(process, words): what else;
--   ended(process)
function M.start(options)
  local self = setmetatable({
    id = options.id,
    control = options.control,
    answered = options.answered,
    stdin = assert(uv.new_pipe(false)),
    stdout = assert(uv.new_pipe(false)),
    stderr = assert(uv.new_pipe(false)),
    handle = false,
    errors = {},        -- lines of its stderr
    last = {},          -- first word -> words of the newest such line
    has_ended = false,
    status = 0,         -- of its end
    signal = 0,
    is_stopped = false, -- by SIGSTOP
    why = false,        -- why it is to end: "killed", "asked"
    failures_before = 0, soft_before = 0,
    heard = options.heard,
  }, Process)
  self.failures_before, self.soft_before = options.control:failures()
  local handle, text = uv.spawn(options.lua, {
    args = options.args,
    stdio = { self.stdin, self.stdout, self.stderr },
    env = environment { LD_PRELOAD = options.shim,
      RAFT_FAULTS = options.control.path },
  }, function(status, signal)
    self.has_ended, self.status, self.signal = true, status, signal
    self.handle:close()
    if not self.stdin:is_closing() then self.stdin:close() end
    options.ended(self)
  end)
  self.handle = assert(handle, text)
  read_lines(self.stdout, function(line) self:take(line) end)
  read_lines(self.stderr, function(line)
    self.errors[#self.errors + 1] = line
  end)
  return self
end

function Process:take(line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  self.last[words[1]] = words
  if words[1] == "ok" or words[1] == "no" then
    self.answered(words[2], words)
  else
    self.heard(self, words)
  end
end

--- Sends an order; false when nobody is there.
function Process:send(line)
  if self.has_ended or self.stdin:is_closing() then return false end
  self.stdin:write(line .. "\n")
  return true
end

--- Does it take orders?
function Process:has_started()
  return self.last.started ~= nil and not self.has_ended
end

function Process:kill()
  if self.has_ended then return end
  self.why = "killed"
  self.handle:kill("sigkill")
end

--- Asks it to stop in order.
function Process:ask_to_end()
  if self.has_ended then return end
  self.why = self.why or "asked"
  self.handle:kill("sigterm")
end

function Process:pause()
  self.is_stopped = true
  self.handle:kill("sigstop")
end

function Process:go_on()
  self.is_stopped = false
  if not self.has_ended then self.handle:kill("sigcont") end
end

--- The newest term in which it said that it leads, or 0.
function Process:leads_in()
  local role = self.last.role
  if self.has_ended or not role or role[2] ~= "leader" then return 0 end
  return tonumber(role[3])
end

--- Has its disk failed since it was started? Then it may end by itself.
function Process:may_end()
  return self.control:failures() > self.failures_before
end

--- And in such a way that it must?
function Process:must_end()
  local failures, soft = self.control:failures()
  return failures - soft > self.failures_before - self.soft_before
end

--- Has it ended, and is all that it said read?
function Process:is_over()
  return self.has_ended and self.stdout:is_closing()
    and self.stderr:is_closing()
end

return M
