--- The user's state machine: apply, query, and the state as bytes, guarded.
--
-- Promises. What the user's code raises is an answer, the same on every node;
-- only running out of memory or stack is not: that is ours alone, and final.
-- Inside apply and query no call of the library is allowed: apply runs on every
-- node, so what it starts would be started on every node. The same goes for
-- snapshot, restore, save and load, which any node may run at any time.
local codec = require "raft.codec"
local errors = require "raft.errors"
local fault = require "raft.fault"

local M = {}

local Machine = { __name = "raft.machine" }
Machine.__index = Machine

-- Which function of the user is running now, in whatever node; or false.
local running = false

--- Raises `reentrant` inside the user's functions.
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
    configure_fn = options.configure or false,
    where_fn = options.where or false,  -- what ran when something was raised
    snapshot_fn = options.snapshot or false,  -- these two,
    restore_fn = options.restore or false,
    save_fn = options.save or false,          -- or these two, or none
    load_fn = options.load or false,
    entry = { index = 0, term = 0, time = 0 },  -- lent to apply, reused
  }, Machine)
end

local YIELDED <const> = "apply and query cannot yield"
local MACHINES <const> = { apply = true, query = true }

-- What to say depends on where apply is called from; that must not show.
local function without_place(value)
  if type(value) ~= "string" then return value end
  if value:find("attempt to yield", 1, true) ~= 1 then return value end
  return MACHINES[running] and YIELDED or running .. " cannot yield"
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

-- Calls fn(...): true, its first two results; or false and what `caught` made.
local function call(what, fn, ...)
  local outer = running
  running = what
  local protected = coroutine.isyieldable() and without_yield or xpcall
  local ok, result, extra = protected(fn, caught, ...)
  running = outer
  if ok then return true, result, extra end
  if type(result) == "table" then return false, result end
  -- Without memory, or stack, for the handler.
  return false, { is_local = true, value = result, traceback = "" }
end

-- What the user's code raised, as an error value; a plain table is copied.
local function error_of(what, raised)
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

-- Runs fn(what, entry) for an entry.
local function run(self, fn, index, term, time, what)
  local entry = self.entry
  entry.index, entry.term, entry.time = index, term, time
  local ok, value, extra = call("apply", fn, what, entry)
  if ok then return true, value, extra end
  local err = error_of(self.where_fn and self.where_fn() or "apply", value)
  err.index = index
  return false, err
end

--- Applies one command.
-- @return true, result, why; or false and an error value. The error's
--   `is_local` says that only this node had it: it must stop.
function Machine:apply(index, term, time, command)
  return run(self, self.apply_fn, index, term, time, command)
end

--- Another configuration is committed: true, or false and an error value as
-- of apply. Only services want to know of it.
-- @param config its bytes
function Machine:configure(index, term, time, config)
  if not self.configure_fn then return true end
  return run(self, self.configure_fn, index, term, time, config)
end

--- Answers a read-only request: result, or nil and an error value. It changes
-- nothing, so running out of memory in it is the caller's trouble only.
function Machine:query(request)
  if not self.query_fn then
    return nil, errors.new("unsupported", "this node has no query function: "
      .. "give raft.node a query(request)")
  end
  local ok, value, extra = call("query", self.query_fn, request)
  if not ok then
    local err = error_of(self.where_fn and self.where_fn() or "query", value)
    err.outcome = "none"  -- a query changes nothing
    return nil, err
  end
  if value == nil and extra ~= nil then
    return nil, M.refusal("query", extra, "none")
  end
  return M.copied("query", value)
end

------------------------------------------------------------------- snapshots --

--- Can the state become bytes, and bytes the state?
function Machine:has_snapshots()
  return (self.snapshot_fn or self.save_fn) ~= false
end

local function not_a_string(what, value)
  return errors.new("bad_value", ("%s a string, got %s"):format(what,
    type(value)))
end

-- What kept one of these functions from being done, as an error value: what an
-- inner call had raised, even where the user has caught that; what the user
-- has raised; or meant by `nil, why`. Nil when it is done.
local function why_failed(what, inner, ok, value, why)
  if inner then return inner end
  if not ok then
    local err = error_of(what, value)
    err.outcome = "none"  -- no command has to do with it
    return err
  elseif not value and why ~= nil then
    return errors.new("refused", what .. ": " .. errors.text(why),
      { value = M.copied(what, why), where = what, outcome = "none" })
  end
end

-- write and read are ours only while save and load run.
local function ended(what, name)
  error(("%s: %s was called after %s had returned"):format(what, name, what),
    3)
end

local function snapshot(self, add)
  local ok, value, why = call("snapshot", self.snapshot_fn)
  local err = why_failed("snapshot", false, ok, value, why)
  if not err and type(value) ~= "string" then
    err = not_a_string("snapshot: expected", value)
  end
  if err then return false, err end
  local is_added, failure = pcall(add, value)
  return is_added, failure
end

--- Says the state, in pieces: add(piece), which may raise error values.
-- @return true; or false and an error value
function Machine:save(add)
  if self.snapshot_fn then return snapshot(self, add) end
  local inner, is_over = false, false
  local function write(piece)
    if is_over then ended("save", "write") end
    if type(piece) ~= "string" then
      inner = inner or not_a_string("save: write expects", piece)
    end
    if inner then error(inner, 0) end
    local is_added, why = pcall(add, piece)
    if is_added then return end
    inner = why
    error(why, 0)
  end
  local ok, value, why = call("save", self.save_fn, write)
  is_over = true
  local err = why_failed("save", inner, ok, value, why)
  return not err, err
end

-- All pieces, as one string.
local function all_of(read)
  local pieces = {}
  for piece in read do pieces[#pieces + 1] = piece end
  return table.concat(pieces)
end

local function restore(self, read)
  local is_read, bytes = pcall(all_of, read)
  if not is_read then return false, bytes end
  local ok, value, why = call("restore", self.restore_fn, bytes)
  local err = why_failed("restore", false, ok, value, why)
  return not err, err
end

-- Whoever reads one piece where there are several has half of the state, and
-- does not know it: a warning, for the rest may be of no use to it.
local function look_for_rest(read)
  local is_read, piece = pcall(read)
  if not is_read or not piece then return nil end
  return errors.new("apply_error", "load returned before read() had returned "
    .. "nil: a part of the snapshot was not read", { where = "load",
    outcome = "none" })
end

--- Takes a state over: read() -> piece, or nil at the end; it may raise error
-- values.
-- @return true, and perhaps a warning; or false and an error value: then the
--   state is half of each, and nothing may be applied to it
function Machine:load(read)
  if self.restore_fn then return restore(self, read) end
  local inner, is_over = false, false
  local function guarded()
    if is_over then ended("load", "read") end
    if inner then error(inner, 0) end
    local ok, piece = pcall(read)
    if ok then return piece end
    inner = piece
    error(piece, 0)
  end
  local ok, value, why = call("load", self.load_fn, guarded)
  is_over = true
  local err = why_failed("load", inner, ok, value, why)
  if err then return false, err end
  return true, look_for_rest(read)
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
