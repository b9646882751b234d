--- Starts lives (life.lua) and listens to them until they end.
local uv = require "luv"
local wait = require "spec.support.wait"

local M = {}

local END_MS <const> = 20000  -- of a life, however it ends

local Life = { __name = "crash.life" }
Life.__index = Life

local function collect(pipe, pieces)
  assert(pipe:read_start(function(_, chunk)
    if not chunk then return pipe:close() end
    pieces[#pieces + 1] = chunk
  end))
end

--- How many lines it has said so far.
function Life:lines()
  return select(2, table.concat(self.said):gsub("\n", ""))
end

local function environment()
  local list = { "UV_THREADPOOL_SIZE=1" }  -- file calls in a row
  for name, value in pairs(uv.os_environ()) do
    if name ~= "UV_THREADPOOL_SIZE" then
      list[#list + 1] = name .. "=" .. value
    end
  end
  return list
end

--- Starts a program with arguments: a life, or what watches one.
function M.start(program, args)
  local self = setmetatable({
    said = {},        -- pieces of its stdout
    errors = {},      -- pieces of its stderr
    stdout = assert(uv.new_pipe(false)),
    stderr = assert(uv.new_pipe(false)),
    handle = false,
    has_ended = false,
    status = 0,
    signal = 0,
  }, Life)
  local handle, text = uv.spawn(program, { args = args,
    stdio = { nil, self.stdout, self.stderr }, env = environment() },
    function(status, signal)
      self.has_ended, self.status, self.signal = true, status, signal
      self.handle:close()
    end)
  if not handle then
    self.stdout:close()
    self.stderr:close()
    return nil, text
  end
  self.handle = handle
  collect(self.stdout, self.said)
  collect(self.stderr, self.errors)
  return self
end

function Life:is_over()
  return self.has_ended and self.stdout:is_closing()
    and self.stderr:is_closing()
end

--- Waits until it has ended: what it said on stdout, and on stderr.
function Life:wait()
  wait.must(function() return self:is_over() end, END_MS, "a life to end")
  return table.concat(self.said), table.concat(self.errors)
end

function Life:kill()
  if not self.has_ended then self.handle:kill("sigkill") end
end

return M
