--- What clients asked for and what came of it, in order.
--
-- An operation is { number, client, kind, input, call, call_ms, back, back_ms,
-- output, err, outcome }: `call` and `back` count the beginnings and ends of
-- all operations, so that one ended before another began if its `back` is
-- below the other's `call`. `outcome` is "ok", "error" (it did not happen and
-- never will) or "unknown"; before the end it is "unknown" and `back` false.
local errors = require "raft.errors"

local M = {}

local History = { __name = "raft.sim.history" }
History.__index = History

local NS_PER_MS <const> = 1000000

function M.new(world, trace)
  return setmetatable({
    world = world,
    trace = trace,
    moments = 0,       -- beginnings and ends so far
    operations = {},   -- in order of their beginning
    counts = { ok = 0, error = 0, unknown = 0 },  -- of those that have ended
  }, History)
end

function History:moment()
  self.moments = self.moments + 1
  return self.moments
end

--- An operation begins.
-- @param kind "propose", "query" or "read"
function History:begin(client, kind, input)
  local operation = {
    number = #self.operations + 1,
    client = client, kind = kind, input = input,
    call = self:moment(), call_ms = self.world.now / NS_PER_MS,
    back = false, back_ms = false,
    output = nil, err = nil, outcome = "unknown",
  }
  self.operations[operation.number] = operation
  self.trace:note(client, kind, operation.number)
  return operation
end

local function outcome_of(err)
  if err == nil then return "ok" end
  return err.outcome == "none" and "error" or "unknown"
end

--- It ends. What the user's own function refused or raised has happened.
function History:finish(operation, err, output)
  operation.back = self:moment()
  operation.back_ms = self.world.now / NS_PER_MS
  operation.output, operation.err = output, err
  operation.outcome = outcome_of(err)
  local counts = self.counts
  counts[operation.outcome] = counts[operation.outcome] + 1
  self.trace:note(operation.client, operation.outcome, operation.number,
    err and err.code)
end

local function shown(value)
  if type(value) == "string" then return ("%q"):format(value) end
  return tostring(value)
end

--- An operation in words, one line.
function M.words(operation)
  local answer = operation.back and (operation.err
    and errors.text(operation.err) or shown(operation.output)) or "no answer"
  return ("%8.1f - %8.1f ms  %s: %s %s -> %s"):format(operation.call_ms,
    operation.back_ms or operation.call_ms, operation.client, operation.kind,
    shown(operation.input), answer)
end

--- The last n operations in words, a line each.
function History:tail(n)
  local lines = {}
  for i = math.max(1, #self.operations - n + 1), #self.operations do
    lines[#lines + 1] = "  " .. M.words(self.operations[i])
  end
  return table.concat(lines, "\n")
end

--- A copy of the list.
function History:list()
  return table.move(self.operations, 1, #self.operations, 1, {})
end

return M
