--- What clients asked for and what came of it, in order.
--
-- An operation is { number, client, kind, input, call, call_ms, back, back_ms,
-- output, err, outcome }: `call` and `back` count the beginnings and ends of
-- all operations, so that one ended before another began if its `back` is
-- below the other's `call`. `outcome` is "ok", "error" (it did not happen and
-- never will) or "unknown"; before the end it is "unknown" and `back` false.
local M = {}

local History = { __name = "raft.sim.history" }
History.__index = History

local NS_PER_MS <const> = 1000000

function M.new(world)
  return setmetatable({
    world = world,
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
end

--- A copy of the list.
function History:list()
  return table.move(self.operations, 1, #self.operations, 1, {})
end

return M
