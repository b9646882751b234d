--- Calls the user's code: what it raises is caught, and it cannot yield.
-- A handler that yielded would leave the library in the middle of a step, and
-- somebody else's resume would go on there. So where the caller could be
-- suspended, a C frame is put between: a yield across it is an error.
local errors = require "raft.errors"

local M = {}

local function caught(value)
  return { value = value, traceback = debug.traceback(nil, 2) }
end

local function protected(fn, ...)
  local ok, result = xpcall(fn, caught, ...)
  if ok then return true, result end
  if type(result) ~= "table" then  -- the memory or the stack ran out
    return false, result, ""
  end
  return false, result.value, result.traceback
end

-- gsub calls its function from C, once for the one match.
local function behind_c(fn, ...)
  local arguments = table.pack(...)
  local ok, result, traceback
  string.gsub("x", "x", function()
    ok, result, traceback = protected(fn,
      table.unpack(arguments, 1, arguments.n))
  end)
  return ok, result, traceback
end

--- Calls fn(...): true and its first result, or false, what it raised, and
-- the traceback.
function M.call(fn, ...)
  if coroutine.isyieldable() then return behind_c(fn, ...) end
  return protected(fn, ...)
end

--- Calls fn(...), and hands what it raises to report as an error value.
-- @param where whose code it is: "handler of role"
-- @return true, or false when it raised
function M.run(where, report, fn, ...)
  local ok, value, traceback = M.call(fn, ...)
  if not ok then report(errors.caught(where, value, traceback)) end
  return ok
end

--- Runs go() until it returns. What user code raises in it goes to report(err),
-- and go is called again: so it goes on behind what it has begun, and many
-- calls of user code cost one guard.
-- @param where as of run
function M.run_on(where, report, go)
  while not M.run(where, report, go) do end  -- luacheck: ignore 542
end

return M
