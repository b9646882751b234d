--- The services of a node as one state machine, of the functions that
-- raft.machine runs: apply, query, snapshot, restore, configure.
--
-- Promises. A command that raises tells nothing (emit), and one of a service
-- with `atomic` that fails in any way leaves nothing. That one runs on a copy
-- of the whole state: it costs as much as the state is large.
local codec = require "raft.codec"
local errors = require "raft.errors"
local in_use = require "raft.service.in_use"
local moment = require "raft.service.moment"
local plain = require "raft.plain"
local request = require "raft.service.request"

local M = {}

local FORMAT <const> = 1  -- of a snapshot

local Machine = { __name = "raft.service.machine" }
Machine.__index = Machine

--- @param definitions of raft.service, an array
-- @param id of this node; nil where there is none
function M.new(definitions, id)
  return setmetatable({
    in_use = in_use.new(definitions, id),
    newest = { index = 0, term = 0, time = 0 },  -- command that was applied
    where = "apply",  -- what runs, or ran last: "counter.add"
    told = {},  -- { service=, event=, values= } since they were taken last
  }, Machine)
end

local function tell(self, service, events)
  for _, item in ipairs(events) do
    item.service = service
    self.told[#self.told + 1] = item
  end
end

-- The arguments of a call.
local function arguments_of(call)
  return table.unpack(call[3], 1, call[4])
end

local APPLY <const> = {}  -- kind of request -> function(self, request, entry)

function APPLY.call(self, call, entry)
  local name = call[1]
  local fn, used, definition = self.in_use:command(name, call[2], call[5])
  if not fn then return nil, used end
  local state = used.state
  if definition.atomic then
    state = plain.copy(state, "the state of service " .. name)
  end
  self.where = name .. "." .. call[2]
  local now = moment.new(entry, used.version, "command")
  local value, why = in_use.run(now, fn, state, arguments_of(call))
  local is_refused = value == nil and why ~= nil
  if definition.atomic and is_refused then return nil, why end
  used.state = state
  tell(self, name, now.events)
  return value, why
end

function APPLY.announcement(self, said, entry)
  self.in_use:announce(said[2], said[3], entry)
  return true
end

--- Applies a command: a result; or nil and why it was refused.
function Machine:apply(bytes, entry)
  local said = codec.decode(bytes)
  local kind = request.kind(said)
  if not kind then return nil, "not a command of a service" end
  self.newest = { index = entry.index, term = entry.term, time = entry.time }
  self.where = "apply"
  return APPLY[kind](self, said, entry)
end

--- Another configuration is committed.
-- @param ids of those who apply commands, sorted
function Machine:configure(ids, entry)
  self.where = "apply"
  self.in_use:configure(ids, entry)
end

--- Answers a query: a result; or nil and why not.
function Machine:query(call)
  self.where = "query"
  if request.kind(call) ~= "call" then
    return nil, "not a query of a service"
  end
  local fn, used = self.in_use:query(call[1], call[2])
  if not fn then return nil, used end
  self.where = call[1] .. "." .. call[2]
  local now = moment.new(self.newest, used.version, "query")
  return in_use.run(now, fn, used.state, arguments_of(call))
end

--- What was emitted since the last time, oldest first.
function Machine:take_told()
  local told = self.told
  if #told > 0 then self.told = {} end
  return told
end

--- The state of all services as bytes.
function Machine:snapshot()
  return codec.encode { format = FORMAT, newest = self.newest,
    in_use = self.in_use:plain() }
end

--- The state from such bytes. Raises error values.
function Machine:restore(bytes)
  local all, err = codec.decode(bytes)
  if err or type(all) ~= "table" or all.format ~= FORMAT then
    error(errors.new("format_version", "not a snapshot of services: it was "
      .. "written by a node with apply, or by a newer version of raft"), 0)
  end
  self.in_use:take(all.in_use)
  self.newest = all.newest
end

return M
