--- Calls of the user's functions: what they raise, and what they return.
--
-- Promises. Inside of them no call of the library is allowed, and nothing can
-- be suspended. What they raise becomes an error value, the same on every node;
-- running out of memory or stack is told apart: `is_local`.
local codec = require "raft.codec"
local errors = require "raft.errors"
local fault = require "raft.fault"

local M = {}

--- Which function of the user is running now, in whatever node; or false.
M.now = { runs = false }
local now = M.now

--- Raises `reentrant` inside the user's functions.
-- @param what the call that was tried: "node:propose"
function M.check_outside(what)
  if not now.runs then return end
  error(errors.new("reentrant", ("%s was called inside %s: that runs on every "
    .. "node, so every node would do it; call it from a callback or an event "
    .. "handler"):format(what, now.runs)), 0)
end

local YIELDED <const> = "apply and query cannot yield"
local MACHINES <const> = { apply = true, query = true }

-- What to say depends on where apply is called from; that must not show.
local function without_place(value)
  if type(value) ~= "string" then return value end
  if value:find("attempt to yield", 1, true) ~= 1 then return value end
  return MACHINES[now.runs] and YIELDED or now.runs .. " cannot yield"
end

local function caught(value)
  return {
    is_local = fault.is_local(value),
    value = without_place(value),
    traceback = debug.traceback(nil, 2),
  }
end

-- xpcall(fn, handler, ...) where nothing can be suspended: gsub calls its
-- function from C, and nothing yields across that.
local function without_yield(fn, handler, ...)
  local arguments = table.pack(...)
  local ok, result, extra
  string.gsub("x", "x", function()
    ok, result, extra = xpcall(fn, handler,
      table.unpack(arguments, 1, arguments.n))
  end)
  return ok, result, extra
end

--- Runs fn() so that nothing in it can be suspended. Raises what it raises.
function M.unsuspended(fn)
  if not coroutine.isyieldable() then return fn() end
  local ok, what = without_yield(fn, function(value) return value end)
  if not ok then error(what, 0) end
end

--- Calls fn(...): true, its first two results; or false and what `caught` made.
function M.call(what, fn, ...)
  local outer = now.runs
  now.runs = what
  local protected = coroutine.isyieldable() and without_yield or xpcall
  local ok, result, extra = protected(fn, caught, ...)
  now.runs = outer
  if ok then return true, result, extra end
  if type(result) == "table" then return false, result end
  -- Without memory, or stack, for the handler.
  return false, { is_local = true, value = result, traceback = "" }
end

--- What the user's code raised, as an error value; a plain table is copied.
function M.error_of(what, raised)
  local own = fault.value_of(raised.value)
  if errors.is_error(own) then  -- ours, with its code
    own.is_local = true
    return own
  end
  local err = errors.caught(what, own or raised.value, raised.traceback)
  if type(raised.value) == "table" and not errors.is_error(raised.value)
    and not own then
    err.value = M.copied(what, raised.value)
  end
  err.is_local = raised.is_local
  return err
end

--------------------------------------------------------------------- results --

-- The words of a refusal: of a table those of its field `message`.
local function words_of(why)
  local message = type(why) == "table" and rawget(why, "message")
  return type(message) == "string" and message or errors.text(why)
end

--- What a function meant by `nil, why`, as an error value.
-- @param outcome "none" where nothing entered the log
function M.refusal(what, why, outcome)
  local copy, err = M.copied(what, why)
  if err then return err end
  return errors.new("refused", words_of(why),
    { value = copy, outcome = outcome })
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
