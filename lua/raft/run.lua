--- raft.run: runs a function and the loop until both are done.
-- The loop is over when the function has ended and no node is open. Signals
-- stop the nodes; an error of the function, and a node that failed, come out
-- of raft.run as an error, so that a script ends with a status that says so.
local errors = require "raft.errors"
local guard = require "raft.guard"
local schema = require "raft.schema"
local scheduler = require "raft.scheduler"

local M = {}

-- What the function may still do once a signal has stopped every node.
local GRACE_MS <const> = 1000

local SIGNALS <const> = { "sigint", "sigterm" }

local Run = { __name = "raft.run" }
Run.__index = Run

local run_options = schema.fields {
  { "signals", schema.boolean, default = true },
  { "uv", schema.any_table },
}

local function new_run(loop)
  return setmetatable({
    loop = loop,             -- the scheduler
    nodes = loop.nodes,      -- the registry of open nodes
    co = false,              -- the coroutine of the function
    outcome = false,         -- packed: true, results... or false, caught
    handles = {},            -- of the signals
    signals_seen = 0,
    grace = false,           -- the timer that runs after a signal, or false
    is_cut = false,          -- is the function not waited for any more?
    interrupted_by = false,  -- the signal that ended a run without nodes
    is_stuck = false,        -- nothing on the loop could go on
  }, Run)
end

-------------------------------------------------------- when it is over --

function Run:is_over()
  if self.is_cut then return true end
  return self.outcome ~= false and self.nodes:count() == 0
end

-- Something has ended: is that all?
function Run:look()
  local wants_to_end = self.signals_seen > 0 and self.nodes:count() == 0
  if wants_to_end and not self.outcome and not self.grace then
    self.grace = self.loop:after(GRACE_MS, function() self:cut() end)
  end
  if self:is_over() then self.loop:stop() end
end

-- The function is not waited for any more.
function Run:cut()
  self.is_cut = true
  self.loop:stop()
end

local function nothing() end

-- Calls a method of every open node; none of them may stop the others.
function Run:each_node(method, ...)
  local function report(err) self.loop:report(err) end
  for _, node in ipairs(self.nodes:list()) do
    guard.run("node:" .. method, report, node[method], node, ...)
  end
end

------------------------------------------------------------------- signals --

function Run:on_signal(name)
  self.signals_seen = self.signals_seen + 1
  if self.nodes:count() == 0 then
    self.interrupted_by = name:upper()
    self:cut()
  elseif self.signals_seen == 1 then
    self:each_node("stop", nothing)
  else
    self:each_node("close")
  end
end

function Run:catch_signals()
  for _, name in ipairs(SIGNALS) do
    self.handles[#self.handles + 1] = self.loop:on_signal(name, function()
      self:on_signal(name)
    end) or nil
  end
end

-------------------------------------------------------------------- the run --

local function caught(value)
  if errors.is_error(value) and not value.traceback then
    value.traceback = debug.traceback(nil, 2)
  end
  return { value = value, traceback = debug.traceback(nil, 2) }
end

-- The function has ended. After an error nobody is left to close the nodes.
function Run:settle(...)
  self.outcome = table.pack(...)
  if not self.outcome[1] then self:each_node("close") end
  self:look()
end

function Run:start(fn)
  self.nodes:take_failures()
  self.nodes:watch(function() self:look() end)
  self.co = coroutine.create(function()
    self:settle(xpcall(fn, caught))
  end)
  self.loop:defer(function() coroutine.resume(self.co) end)
end

function Run:turn()
  while not self:is_over() do
    local is_alive = self.loop:run()
    if not self:is_over() and not is_alive then
      self.is_stuck = true
      return
    end
  end
end

-- Closes all that is ours.
function Run:close()
  self.nodes:watch(false)
  self:each_node("close")
  local ok, err = coroutine.close(self.co)
  if not ok then self.loop:report(err) end
  if self.grace then self.loop:close(self.grace) end
  for _, handle in ipairs(self.handles) do self.loop:close(handle) end
  self.loop:close_all()
end

--------------------------------------------------------- what comes out --

-- The error of the function: text gets its traceback, a value stays itself.
local function rethrow(what)
  if type(what) ~= "table" then error(what, 0) end  -- out of memory
  if type(what.value) ~= "string" then error(what.value, 0) end
  error(what.value .. "\n" .. what.traceback, 0)
end

local function raise_failure(failures)
  local first = failures[1]
  local id = errors.text(first.node.id)
  error(errors.new("failed", ("node %s failed: %s"):format(id,
    errors.text(first.err)), { id = id, cause = first.err }), 0)
end

function Run:conclude()
  local failures = self.nodes:take_failures()
  if self.outcome and not self.outcome[1] then rethrow(self.outcome[2]) end
  if #failures > 0 then raise_failure(failures) end
  if self.interrupted_by then
    error("raft.run: interrupted by " .. self.interrupted_by, 0)
  elseif self.is_stuck then
    error(("raft.run: %s, and nothing is left on the loop that could end that")
      :format(self.outcome and "a node is open" or "the function waits"), 0)
  end
  if not self.outcome then return end  -- cut short after a signal
  return table.unpack(self.outcome, 2, self.outcome.n)
end

local function go(loop, fn, opts)
  local run = new_run(loop)
  if opts.signals then run:catch_signals() end
  run:start(fn)
  run:turn()
  run:close()
  return run:conclude()
end

--- Runs fn in a coroutine, and the loop until fn has ended and no node is
-- open. SIGINT and SIGTERM stop every node, a second one closes them; with
-- no node open they end the run.
-- @param opts `signals = false`: leave the signals alone; `uv`: another loop
-- @return the results of fn
-- @raise what fn raised, with a traceback; `failed` when a node failed
function M.run(fn, opts)
  if type(fn) ~= "function" then
    error("raft.run: expected a function, got " .. type(fn), 2)
  end
  opts = schema.check("raft.run", 3, run_options, opts or {})
  local loop = scheduler.of(opts.uv or scheduler.uv())
  if loop:is_running() then
    error("raft.run: the loop is running already; raft.spawn(fn) starts a "
      .. "task in it", 2)
  end
  return scheduler.with_loop(loop.uv, go, loop, fn, opts)
end

return M
