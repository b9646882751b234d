--- The user's state machine: apply and query, guarded.
--
-- Promises. What the user's code raises is an answer, the same on every node;
-- only running out of memory or stack is not: that is ours alone, and final.
-- Inside apply and query no call of the library is allowed: apply runs on every
-- node, so what it starts would be started on every node.
local codec = require "raft.codec"
local errors = require "raft.errors"
local guard = require "raft.guard"

local M = {}

local Machine = { __name = "raft.machine" }
Machine.__index = Machine

-- Which function of the user is running now, in whatever node; or false.
local running = false

--- Raises `reentrant` inside the user's apply or query.
-- @param what the call that was tried: "node:propose"
function M.check_outside(what)
  if not running then return end
  error(errors.new("reentrant", ("%s was called inside %s: that runs on every "
    .. "node, so every node would do it; call it from a callback or an event "
    .. "handler"):format(what, running)), 0)
end

--- A machine over the user's functions.
function M.new(options)
  return setmetatable({
    apply_fn = options.apply,
    query_fn = options.query or false,
    entry = { index = 0, term = 0, time = 0 },  -- lent to apply, reused
  }, Machine)
end

-- The message of a fault that other nodes need not have had.
local function is_local(value)
  if type(value) ~= "string" then return false end
  return value:find("not enough memory", 1, true) ~= nil
    or value:find("stack overflow", 1, true) ~= nil
    or value:find("error in error handling", 1, true) ~= nil
end

local function caught(value)
  return { value = value, traceback = debug.traceback(nil, 2) }
end

-- The way through a C frame, where the caller could be suspended.
local function call_behind_guard(fn, ...)
  local why
  local ok, result, traceback = guard.call(function(...)
    local value, reason = fn(...)
    why = reason
    return value
  end, ...)
  if ok then return true, result, why end
  return false, { value = result, traceback = traceback }
end

-- Calls fn(...): true, its first two results; or false, value, traceback.
local function call(what, fn, ...)
  local outer = running
  running = what
  local ok, result, extra
  if coroutine.isyieldable() then
    ok, result, extra = call_behind_guard(fn, ...)
  else
    ok, result, extra = xpcall(fn, caught, ...)
  end
  running = outer
  if ok then return true, result, extra end
  if type(result) ~= "table" then return false, result, "" end  -- no memory
  return false, result.value, result.traceback
end

--- Applies one command.
-- @return true, result, why; or false and an error value. The error's
--   `is_local` says that only this node had it: it must stop.
function Machine:apply(index, term, time, command)
  local entry = self.entry
  entry.index, entry.term, entry.time = index, term, time
  local ok, value, extra = call("apply", self.apply_fn, command, entry)
  if ok then return true, value, extra end
  local err = errors.caught("apply", value, extra)
  err.index = index
  err.is_local = is_local(value)
  return false, err
end

--- Answers a read-only request: result, or nil and an error value.
function Machine:query(request)
  if not self.query_fn then
    return nil, errors.new("unsupported", "this node has no query function: "
      .. "give raft.node a query(request)")
  end
  local ok, value, extra = call("query", self.query_fn, request)
  if not ok then return nil, errors.caught("query", value, extra) end
  if value == nil and extra ~= nil then return nil, M.refusal(extra) end
  return M.copied("query", value)
end

--- What a function meant by `nil, why`, as an error value.
function M.refusal(why)
  local copy, err = M.copied("apply", why)
  if err then return err end
  return errors.new("refused", errors.text(why),
    { value = copy, outcome = "none" })
end

--- A copy of a plain value: it, or nil and the error `bad_value`.
function M.copied(what, value)
  local kind = type(value)
  if kind ~= "table" and kind ~= "function" and kind ~= "userdata"
    and kind ~= "thread" then
    return value
  end
  local ok, copy = pcall(codec.copy, value)
  if ok then return copy end
  local text = errors.is_error(copy) and copy.message or errors.text(copy)
  return nil, errors.new("bad_value", what .. " returned what cannot be "
    .. "copied: " .. text, { outcome = "unknown" })
end

return M
