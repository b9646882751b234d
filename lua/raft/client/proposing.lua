--- client:propose, and the two ways it goes: calls with a callback form a batch
-- (raft.client.batch); all others are requests of their own.
local Machine = require "raft.machine"
local sending = require "raft.client.sending"
local user_code = require "raft.user_code"
local waiting = require "raft.waiting"

local M = {}

local now <const> = user_code.now

-- By itself.
local function start_of(client)
  return function(self, opts, answer, command, _, can_wait)
    if type(command) ~= "string" then
      error("client:propose: expected the command as a string, got "
        .. type(command) .. " (raft.codec.encode makes one of any plain value)",
        3)
    end
    client.ask(client.insides[self], opts, answer, can_wait,
      sending.command(command))
  end
end

-- As the first of a batch.
local function join_of(client)
  return function(self, opts, given, callback, command)
    local inside = client.insides[self]
    return type(command) == "string" and not inside.is_closed
      and inside.requests:begin_batch(opts.timeout, given, command, callback)
  end
end

--- Makes the method.
-- @param client insides: public object -> what is inside of it; ask(inside,
--   opts, answer, can_wait, request); timeout_of(object): the default
function M.method(client)
  local insides <const> = client.insides
  local propose_any <const> = waiting.method {
    name = "client:propose", args = 1, timeout_of = client.timeout_of,
    check = function() Machine.check_outside("client:propose") end,
    join = join_of(client),
    start = start_of(client),
  }
  -- Most calls are like the one before, in the same turn: they cost no more
  -- than to join its batch.
  return function(self, command, opts, callback, extra)
    local inside = insides[self]
    local batch = inside and inside.requests.batch
    if batch and not now.runs and extra == nil then
      if callback == nil and type(opts) ~= "table" then
        if batch:add(command, nil, opts) then return end
      elseif batch:add(command, opts, callback) then
        return
      end
    end
    -- Calls at the end: errors blame whoever called us.
    if extra ~= nil then
      return propose_any(self, command, opts, callback, extra)
    elseif callback ~= nil then
      return propose_any(self, command, opts, callback)
    elseif opts ~= nil then
      return propose_any(self, command, opts)
    end
    return propose_any(self, command)
  end
end

return M
