--- Is a history linearizable? What the clients of a service saw must be
-- explained by one order of the operations, in which each takes effect at one
-- moment between its call and its return.
--
--   linearizable.check(history, model) -> "ok" | "violation" | "gave_up", info
--
-- A history is an array of operations:
--
--   client    who asked; for people
--   key       operations on different keys have nothing to do with each other
--             and are checked apart; nil: all on one thing
--   call      when it was asked; any numbers that ascend
--   back      when it was answered; false: never
--   input     what was asked, a plain value
--   output    what was answered
--   outcome   "ok"; "error": it did not happen and never will; "unknown": it
--             may take effect at any time after the call, or never
--
-- A return and a call of the same time overlap. So where many things happen in
-- one millisecond, a counter of events finds more than a clock.
--
-- A model says what the service does with one key:
--
--   init(key) -> state
--   step(state, input, output, is_known) -> legal, the state after it
--                May this be answered in this state? Without is_known nobody
--                was answered: then only the effect counts. Changes nothing.
--   hash(state) -> a string, another one for another state; codec.encode
--   words(input, output, is_known) -> text, for people; optional
--
-- Promises. "ok" and "violation" are proofs; a search that would take more
-- than steps_max calls of `step` for a key gives up and says so. A violation
-- of one key counts whatever became of the others.
local codec = require "raft.codec"
local errors = require "raft.errors"
local order_search = require "raft.sim.order_search"
local schema = require "raft.schema"

local M = {}

local STEPS_MAX <const> = 1000000  -- seconds; what ends sooner ends soon
local SHOWN_MAX <const> = 12       -- operations of the prefix in the text
local VALUE_BYTES_MAX <const> = 80
local OUTCOMES <const> = { ok = true, error = true, unknown = true }

------------------------------------------------------------------ the words --

local function show_table(value)
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if math.type(a) and math.type(b) then return a < b end
    return errors.text(a) < errors.text(b)
  end)
  for i, key in ipairs(keys) do
    local text = type(value[key]) == "table" and "{..}"
      or schema.show(value[key])
    parts[i] = math.type(key) and text or errors.text(key) .. "=" .. text
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function show(value)
  local text = type(value) == "table" and show_table(value)
    or schema.show(value)
  if #text <= VALUE_BYTES_MAX then return text end
  return text:sub(1, VALUE_BYTES_MAX) .. "..."
end

local function words_of(model, op)
  local is_known = op.outcome == "ok"
  local words = model.words and model.words(op.input, op.output, is_known)
  if not words then
    words = show(op.input) .. " -> " .. (is_known and show(op.output) or "?")
  end
  local back = is_known and tostring(op.back) or "unknown"
  return ("  %s: %s   [%s .. %s]"):format(errors.text(op.client), words,
    tostring(op.call), back)
end

local function add_ops(lines, model, ops, first)
  for i = first, #ops do lines[#lines + 1] = words_of(model, ops[i]) end
end

local function opening(verdict, key, count)
  local where = key == nil and "the history" or "key " .. show(key)
  if verdict == "gave_up" then
    return ("%s: gave up on its %d operations"):format(where, count)
  end
  return ("%s: no order of its %d operations explains what was seen")
    :format(where, count)
end

local function text_of(verdict, model, info)
  local lines = { opening(verdict, info.key, info.count) }
  local prefix = info.prefix
  local first = math.max(1, #prefix - SHOWN_MAX + 1)
  lines[2] = ("the longest order found has %d of them%s:"):format(#prefix,
    first > 1 and (", the last %d are"):format(SHOWN_MAX) or "")
  add_ops(lines, model, prefix, first)
  lines[#lines + 1] = ("then the state is %s, and one of these must follow:")
    :format(show(info.state))
  add_ops(lines, model, info.stuck, 1)
  return table.concat(lines, "\n")
end

----------------------------------------------------------------- the history --

local function refuse(i, what)
  error(("linearizable.check: operation %d: %s"):format(i, what), 4)
end

local function check_op(i, op)
  if type(op) ~= "table" then refuse(i, "expected a table") end
  if not OUTCOMES[op.outcome] then
    refuse(i, 'outcome: expected "ok", "error" or "unknown", got '
      .. schema.show(op.outcome))
  end
  if not math.type(op.call) or op.call ~= op.call then
    refuse(i, "call: expected a time, got " .. schema.show(op.call))
  end
  if op.outcome ~= "ok" then return end
  if not math.type(op.back) or op.back ~= op.back or op.back < op.call then
    refuse(i, "back: expected a time not before the call, got "
      .. schema.show(op.back))
  end
end

-- The operations that may have happened, by key, in order of appearance.
local function by_key(history)
  local groups, of = {}, {}
  for i, op in ipairs(history) do
    check_op(i, op)
    local name = codec.encode(op.key, "key")
    if not of[name] then
      of[name] = { key = op.key, ops = {} }
      groups[#groups + 1] = of[name]
    end
    if op.outcome ~= "error" then table.insert(of[name].ops, op) end
  end
  return groups
end

local function check_group(group, model, steps_max)
  local verdict, info = order_search.run(group.ops, model, group.key,
    steps_max)
  info.key, info.count = group.key, #group.ops
  if verdict ~= "ok" then info.text = text_of(verdict, model, info) end
  return verdict, info
end

--- Checks a history against a model.
-- @param opts steps_max: how many calls of model.step a key may cost
-- @return "ok", { steps=, keys= }; or "violation" or "gave_up", and of the
--   first key of that kind { key=, text=, prefix=, state=, stuck=, steps= }:
--   the longest order found, where it leads, what must follow and cannot.
-- @raise when the history is none
function M.check(history, model, opts)
  local steps_max = opts and opts.steps_max or STEPS_MAX
  local groups = by_key(history)
  local given_up, steps = false, 0
  for _, group in ipairs(groups) do
    local verdict, info = check_group(group, model, steps_max)
    if verdict == "violation" then return verdict, info end
    if verdict == "gave_up" then given_up = given_up or info end
    steps = steps + info.steps
  end
  if given_up then return "gave_up", given_up end
  return "ok", { steps = steps, keys = #groups }
end

return M
