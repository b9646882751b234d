--- The user's state machine: apply, query, and the state as bytes, guarded.
--
-- Promises. What the user's code raises is an answer, the same on every node;
-- only running out of memory or stack is not: that is ours alone, and final.
-- Inside apply and query no call of the library is allowed: apply runs on every
-- node, so what it starts would be started on every node. The same goes for
-- snapshot, restore, save and load, which any node may run at any time.
local errors = require "raft.errors"
local user_code = require "raft.user_code"

local type <const> = type  -- it is asked for often

local M = {}

local Machine = { __name = "raft.machine" }
Machine.__index = Machine

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

-- What the command at `index` raised, as an error value.
local function raised_at(self, index, raised)
  local where = self.where_fn and self.where_fn() or "apply"
  local err = user_code.error_of(where, raised)
  err.index = index
  return err
end

-- Runs fn(what, entry) for an entry.
local function run(self, fn, index, term, time, what)
  local entry = self.entry
  entry.index, entry.term, entry.time = index, term, time
  local ok, value, extra = user_code.call("apply", fn, what, entry)
  if ok then return true, value, extra end
  return false, raised_at(self, index, value)
end

--- Applies one command.
-- @return true, result, why; or false and an error value. The error's
--   `is_local` says that only this node had it: it must stop.
function Machine:apply(index, term, time, command)
  return run(self, self.apply_fn, index, term, time, command)
end

-- Results that are told as they are.
local PLAIN <const> = { number = true, string = true, boolean = true }
M.PLAIN = PLAIN

-- Must a slice end behind this result?
local function is_last(value, bytes_max)
  local kind = type(value)
  return kind == "table" or kind == "string" and #value > bytes_max
end

--- Applies commands in a row, of which each counts for itself as with apply. It
-- ends behind one whose result is a table, which the next one may change, or a
-- string of more than bytes_max, where that is given.
-- @param commands a list; they stand at [from, from + count)
-- @return { count=, values=, whys=, errors=, is_plain= }: how many were
--   applied, and by their place from 1 on what each has come to: errors[i], or
--   values[i] and whys[i]. Is each a value that needs no copy, as most are?
--   `fault`, where there is one, is the error that only this node had, of the
--   one after these: it must stop
function Machine:apply_many(first, term, time, commands, from, count,
    bytes_max)
  bytes_max = bytes_max or math.huge
  local fn, entry = self.apply_fn, self.entry
  local values, whys, errs = {}, {}, {}
  local done, at, is_plain = 0, from - 1, true
  local function go()
    while done < count do
      entry.index, entry.term, entry.time = first + done, term, time
      local value, why = fn(commands[at + done + 1], entry)
      done = done + 1
      values[done] = value
      if why ~= nil then
        whys[done] = why
        if is_last(why, bytes_max) then count = done end
      end
      local kind = type(value)  -- is_last, without a call
      if not PLAIN[kind] then
        is_plain = false
        if kind == "table" then count = done end
      elseif kind == "string" and #value > bytes_max then
        count = done
      end
    end
  end
  local own
  while done < count and not own do
    local ok, raised = user_code.call("apply", go)
    local err = not ok and raised_at(self, first + done, raised)
    own = err and err.is_local and err
    if err and not own then
      done = done + 1
      errs[done], is_plain = err, false
    end
  end
  return { count = done, values = values, whys = whys, errors = errs,
    is_plain = is_plain, fault = own or nil }
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
  local ok, value, extra = user_code.call("query", self.query_fn, request)
  if not ok then
    local where = self.where_fn and self.where_fn() or "query"
    local err = user_code.error_of(where, value)
    err.outcome = "none"  -- a query changes nothing
    return nil, err
  end
  if value == nil and extra ~= nil then
    return nil, user_code.refusal("query", extra, "none")
  end
  return user_code.copied("query", value)
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
    local err = user_code.error_of(what, value)
    err.outcome = "none"  -- no command has to do with it
    return err
  elseif not value and why ~= nil then
    return errors.new("refused", what .. ": " .. errors.text(why),
      { value = user_code.copied(what, why), where = what, outcome = "none" })
  end
end

-- write and read are ours only while save and load run.
local function ended(what, name)
  error(("%s: %s was called after %s had returned"):format(what, name, what),
    3)
end

local function snapshot(self, add)
  local ok, value, why = user_code.call("snapshot", self.snapshot_fn)
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
  local ok, value, why = user_code.call("save", self.save_fn, write)
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
  local ok, value, why = user_code.call("restore", self.restore_fn, bytes)
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
  local ok, value, why = user_code.call("load", self.load_fn, guarded)
  is_over = true
  local err = why_failed("load", inner, ok, value, why)
  if err then return false, err end
  return true, look_for_rest(read)
end

-- Parts of user_code that go with it.
for _, name in ipairs { "check_outside", "unsuspended", "copied",
  "refusal" } do
  M[name] = user_code[name]
end

return M
