--- The front of every waiting call: callbacks and coroutines alike.
--
--   Node.propose = waiting.method {
--     name = "node:propose",  -- for messages
--     args = 1,               -- how many come before opts: 0, 1 or 2
--     is_optional = false,    -- may the last of them be left out?
--     options = { { "forward", schema.boolean, default = true } },
--     timeout = 5000,         -- default of opts.timeout; false: none
--     timeout_of = function(self) ... end,  -- or that is the default
--     has_many = false,       -- is the result a packed table of all results?
--     check = function(self) ... end,  -- may raise, before all else
--     start = function(self, opts, answer, command, _, can_wait) ... end,
--     join = function(self, opts, given, callback, command, _) ... end,
--   }
--
-- makes `node:propose(command [, opts] [, cb])`:
--   cb a function   called as cb(err, result), never before propose returned
--   cb false        nobody waits; an error goes to self:report(err)
--   no cb           suspends the running coroutine; returns result, or
--                   nil, err. Where nothing can be suspended it raises.
-- Only args, start and name must be given. `can_wait` is true when a coroutine
-- waits, so that a full queue may hold it back. `start` is called at once, with
-- every option set (it may not change them), and calls answer(err, result)
-- exactly once, at once or later; that it does so when opts.timeout ms are
-- over is its own business. start and check may raise: level 3 is the user.
-- `join`, where there is one, is asked first for a call with a callback or
-- false: when it says true it has taken the call, and calls the callback itself
-- as @{raft.guard} does, from the loop; else it has done nothing. `given` are
-- the options as they came in, or nil.
--
-- Of the object it asks for two methods: `self:defer(fn)` runs fn soon from
-- the loop, also after the object was closed; `self:report(err)` takes what
-- the user's callbacks raise.
local errors = require "raft.errors"
local guard = require "raft.guard"
local schema = require "raft.schema"

local M = {}

local TIMEOUT_MS <const> = 5000
local TIMEOUT_MS_MAX <const> = 1 << 53  -- floats count exactly up to here
local UNSET <const> = {}   -- a time-out that the object knows the default of
local ANSWER <const> = {}  -- what our own resume passes; nobody else has it

------------------------------------------------------------- the arguments --

local function timeout_rule(value, path)
  if value == false then return false end
  local is_duration = type(value) == "number" and value >= 0
    and value <= TIMEOUT_MS_MAX
  if not is_duration then
    schema.refuse(path, "ms, or false for none", value)
  end
  return math.ceil(value)
end

local function option_rule(spec)
  local default = spec.timeout
  if spec.timeout_of then default = UNSET end
  if default == nil then default = TIMEOUT_MS end
  local fields = { { "timeout", timeout_rule, default = default } }
  for _, field in ipairs(spec.options or {}) do fields[#fields + 1] = field end
  return schema.remembered(schema.fields(fields))
end

local function with_default(spec, self, opts)
  local all = {}
  for name, value in pairs(opts) do all[name] = value end
  all.timeout = spec.timeout_of(self)
  return all
end

-- The first argument is one of ours, so it was called with a colon.
local function check_self(spec, self)
  if type(self) == "table" and self.defer then return end
  error(spec.name .. ": call it with a colon, on the object", 3)
end

-- Was the last argument left out? Then options or a callback stand there.
local function is_left_out(n, ...)
  if select("#", ...) < n then return true end
  local value = select(n, ...)
  return value == false or type(value) == "table"
    or type(value) == "function"
end

-- What follows the arguments, as opts, callback. Level 4 is the user.
local function split(spec, count, first, second)
  if first == false or type(first) == "function" then
    if count > 1 then error(spec.name .. ": the callback comes last", 4) end
    return nil, first
  elseif count > 2 then
    error(spec.name .. ": too many arguments", 4)
  elseif second and type(second) ~= "function" then
    error(("%s: expected a function or false as callback, got %s"):format(
      spec.name, type(second)), 4)
  end
  return first, second
end

-- Number of arguments -> function that returns two of them, opts, callback.
local separate <const> = {
  [0] = function(spec, ...)
    return nil, nil, split(spec, select("#", ...), ...)
  end,
  [1] = function(spec, a, ...)
    return a, nil, split(spec, select("#", ...), ...)
  end,
  [2] = function(spec, a, b, ...)
    return a, b, split(spec, select("#", ...), ...)
  end,
}

-------------------------------------------------------------- the answers --

-- A second answer would be a bug of ours, and a user's code running twice.
local function check_first(spec, is_answered)
  if is_answered then error(spec.name .. " was answered twice", 3) end
end

local function results(spec, result)
  if not spec.has_many then return result end
  if result then return table.unpack(result, 1, result.n) end
end

local function answer_to_callback(spec, self, callback)
  local is_answered = false
  local function report(err) self:report(err) end
  return function(err, result)
    check_first(spec, is_answered)
    is_answered = true
    self:defer(function()
      guard.run("callback of " .. spec.name, report, callback, err,
        results(spec, result))
    end)
  end
end

-- What it is told is an error, or nothing.
local function answer_to_nobody(spec, self)
  local is_answered = false
  return function(err)
    check_first(spec, is_answered)
    is_answered = true
    if err ~= nil then self:report(err) end
  end
end

-- What a coroutine raises when we resume it has no other place to go. Its
-- to-be-closed variables are closed, as an error would do in a call.
local function resume(spec, self, co)
  local ok, value = coroutine.resume(co, ANSWER)
  if ok then return end
  local traceback = debug.traceback(co)
  coroutine.close(co)
  self:report(errors.caught("coroutine after " .. spec.name, value, traceback))
end

local function answer_to_coroutine(spec, self, call)
  return function(err, result)
    check_first(spec, call.is_answered)
    call.is_answered, call.err, call.result = true, err, result
    if not call.is_suspended then return end  -- start has not returned yet
    self:defer(function()
      -- Closed, or resumed by somebody else, meanwhile? Then nobody waits.
      if call.is_suspended and coroutine.status(call.co) == "suspended" then
        resume(spec, self, call.co)
      end
    end)
  end
end

local function new_call()
  return {
    co = coroutine.running(),  -- who waits
    is_suspended = false,      -- is it waiting now?
    is_answered = false,
    err = nil, result = nil,   -- the answer
  }
end

-- Level 3 is the user.
local function require_coroutine(spec)
  if coroutine.isyieldable() then return end
  error(spec.name .. ": nothing can wait here: give a callback as the last "
    .. "argument, or call it in a coroutine (raft.run, raft.spawn)", 3)
end

-- Level 3 is the user.
local function suspend(spec, call)
  call.is_suspended = true
  local token = coroutine.yield()
  call.is_suspended = false
  if token ~= ANSWER then
    error(spec.name .. ": somebody else resumed the coroutine while it waited",
      3)
  end
end

--- The answer of a call that was joined, and then goes the way of all others.
-- @param name of the method
-- @param callback a function, or false for nobody
function M.answer(name, self, callback)
  local spec = { name = name }
  if callback then return answer_to_callback(spec, self, callback) end
  return answer_to_nobody(spec, self)
end

--------------------------------------------------------------- the method --

--- Makes a waiting method; see above.
-- The calls of `error` count on being called from this very function.
function M.method(spec)
  assert(separate[spec.args], "0, 1 or 2 arguments")
  assert(spec.start, "what should the method do?")
  local rule = option_rule(spec)
  local defaults = schema.check(spec.name, 2, rule, {})
  local join = spec.join
  return function(self, ...)
    check_self(spec, self)
    if spec.check then spec.check(self) end
    local n = spec.args
    if spec.is_optional and is_left_out(n, ...) then n = n - 1 end
    local a, b, opts, callback = separate[n](spec, ...)
    local given = opts
    opts = opts == nil and defaults or schema.check(spec.name, 3, rule, opts)
    if opts.timeout == UNSET then opts = with_default(spec, self, opts) end
    if join and callback ~= nil and join(self, opts, given, callback, a, b) then
      return
    elseif callback then
      spec.start(self, opts, answer_to_callback(spec, self, callback), a, b)
    elseif callback == false then
      spec.start(self, opts, answer_to_nobody(spec, self), a, b)
    else
      require_coroutine(spec)
      local call = new_call()
      spec.start(self, opts, answer_to_coroutine(spec, self, call), a, b, true)
      if not call.is_answered then suspend(spec, call) end
      if call.err ~= nil then return nil, call.err end
      return results(spec, call.result)
    end
  end
end

return M
